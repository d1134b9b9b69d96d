//! What queries answer. The members' names and order are those of the HTTP contract.

use std::fmt;

use cqrs_core::Timestamp;
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// A moment, written as RFC 3339 in UTC with milliseconds: `2026-11-23T09:31:00.123Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcMillis(Timestamp);

impl UtcMillis {
    /// The moment itself.
    #[must_use]
    pub const fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl From<Timestamp> for UtcMillis {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl fmt::Display for UtcMillis {
    /// Moments outside of the years -9999 to 9999 are written as the nearest one inside.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let bound = if millis < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        };
        let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(bound);
        write!(f, "{at:.3}")
    }
}

impl Serialize for UtcMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A post that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostView {
    /// Its id.
    pub id: Uuid,
    /// The actor who wrote it.
    pub author: String,
    /// The author's present handle; `None` when not registered.
    pub author_handle: Option<String>,
    /// The text, as last edited.
    pub message: String,
    /// When it was created.
    pub created_at: UtcMillis,
    /// When the text last changed.
    pub edited_at: Option<UtcMillis>,
    /// How many actors like it.
    pub like_count: u64,
    /// How many comments are present.
    pub comment_count: u64,
    /// The version of the post's stream.
    pub version: u64,
}

/// A comment that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommentView {
    /// Its id, unique under its post.
    pub id: Uuid,
    /// The actor who wrote it.
    pub author: String,
    /// The author's present handle; `None` when not registered.
    pub author_handle: Option<String>,
    /// The text, as last edited.
    pub message: String,
    /// When it was added.
    pub created_at: UtcMillis,
    /// When the text last changed.
    pub edited_at: Option<UtcMillis>,
    /// How many actors like it.
    pub like_count: u64,
}

/// A like on a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LikeView {
    /// Who likes it.
    pub actor: String,
    /// Since when.
    pub at: UtcMillis,
}

/// An actor with what can still be read of theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuthorView {
    /// The actor.
    pub actor: String,
    /// The present handle; `None` when not registered.
    pub handle: Option<String>,
    /// The present display name; `None` when not registered.
    pub display_name: Option<String>,
    /// Posts that can be read.
    pub post_count: u64,
    /// Comments that can be read.
    pub comment_count: u64,
    /// Likes on those posts and comments.
    pub likes_received: u64,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub items: Vec<T>,
    /// What asks for the page after this one; `None` on the last.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        let text = |millis| UtcMillis::from(Timestamp::from_millis(millis)).to_string();
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(1_795_426_260_123), "2026-11-23T09:31:00.123Z");
        assert_eq!(text(1_795_426_260_100), "2026-11-23T09:31:00.100Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999Z");
        assert!(text(i64::MAX).starts_with("9999-"));
        assert!(text(i64::MIN).starts_with("-009999-"));
    }

    #[test]
    fn a_post_is_written_with_the_contract_s_members() {
        let at = UtcMillis::from(Timestamp::from_millis(0));
        let post = PostView {
            id: Uuid::from_u128(1),
            author: "ada".into(),
            author_handle: None,
            message: "hi".into(),
            created_at: at,
            edited_at: None,
            like_count: 2,
            comment_count: 3,
            version: 4,
        };
        let page = Page {
            items: vec![post],
            next: None,
        };
        assert_eq!(
            serde_json::to_string(&page).unwrap(),
            r#"{"items":[{"id":"00000000-0000-0000-0000-000000000001","author":"ada","author_handle":null,"message":"hi","created_at":"1970-01-01T00:00:00.000Z","edited_at":null,"like_count":2,"comment_count":3,"version":4}],"next":null}"#
        );
    }
}
