//! What can be asked of the social read model, whichever store keeps it.

use std::fmt;
use std::str::FromStr;

use cqrs_core::{Actor, BoxError, InvalidLogPosition, LogPosition, Partition, Position};
use uuid::Uuid;

use crate::views::{AuthorView, CommentView, LikeView, Page, PostView};

/// The commits that an answer must reflect; none by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<LogPosition>);

impl Tokens {
    /// No demand: whatever is there.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The commits.
    #[must_use]
    pub fn positions(&self) -> &[LogPosition] {
        &self.0
    }

    /// Demands `at` as well.
    pub fn push(&mut self, at: LogPosition) {
        self.0.push(at);
    }
}

impl From<Vec<LogPosition>> for Tokens {
    fn from(positions: Vec<LogPosition>) -> Self {
        Self(positions)
    }
}

impl FromIterator<LogPosition> for Tokens {
    fn from_iter<I: IntoIterator<Item = LogPosition>>(positions: I) -> Self {
        Self(positions.into_iter().collect())
    }
}

impl FromStr for Tokens {
    type Err = InvalidLogPosition;

    /// Reads positions separated by commas, with blanks around them allowed: `0-42, 1-7`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let blank = [' ', '\t'];
        text.split(',')
            .map(|token| token.trim_matches(blank).parse())
            .collect()
    }
}

/// The order of a list of posts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Sort {
    /// The newest first, by the time of the command that created them.
    #[default]
    New,
    /// The most liked first, then the newest.
    Top,
}

impl Sort {
    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Top => "top",
        }
    }

    /// Reads [`Sort::as_str`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::New, Self::Top]
            .into_iter()
            .find(|sort| sort.as_str() == name)
    }
}

/// Which posts to list; every member that is set must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostFilter {
    /// Written by this actor.
    pub author: Option<Actor>,
    /// With a present comment of this actor.
    pub commented_by: Option<Actor>,
    /// Liked by this actor.
    pub liked_by: Option<Actor>,
    /// With at least so many likes.
    pub min_likes: Option<u64>,
    /// With at least so many present comments.
    pub min_comments: Option<u64>,
    /// In this order.
    pub sort: Sort,
}

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The most rows: 1 to [`PageRequest::MAX_LIMIT`]. What is outside is brought to the nearest inside.
    pub limit: u32,
    /// [`Page::next`] of the page before; `None` asks for the first.
    pub cursor: Option<String>,
}

impl PageRequest {
    /// The most rows on a page.
    pub const MAX_LIMIT: u32 = 100;
    /// The rows on a page where nothing is said.
    pub const DEFAULT_LIMIT: u32 = 20;

    /// The limit, brought into its range.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.limit.clamp(1, Self::MAX_LIMIT)
    }
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            limit: Self::DEFAULT_LIMIT,
            cursor: None,
        }
    }
}

/// What an author is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorKey {
    /// The actor's id.
    Actor(Actor),
    /// The handle, without the `@`; ASCII case does not matter.
    Handle(String),
}

/// The kind of thing that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// No such post.
    Post,
    /// No such comment under the post, or it was removed.
    Comment,
    /// No such actor, or nobody has the handle.
    Author,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Post => "post",
            Self::Comment => "comment",
            Self::Author => "author",
        })
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// It is not known.
    #[error("no such {0}")]
    NotFound(Missing),
    /// The post was deleted.
    #[error("the post was deleted")]
    Gone,
    /// The read model does not reflect a token yet: wait for progress, then ask again.
    #[error("commit {token} is not in the read model, which is at {reached}")]
    Behind {
        /// The first token that is not reflected.
        token: LogPosition,
        /// Where its partition stands. A parked commit is not reflected although the checkpoint passed it.
        reached: Position,
    },
    /// A token names a partition that the log does not have.
    #[error("the log has no partition {0}")]
    UnknownPartition(Partition),
    /// The cursor is damaged, or from another list.
    #[error("the cursor is not of this list")]
    InvalidCursor,
    /// Too many queries wait for the store already. Try again later.
    #[error("too many queries are waiting")]
    Overloaded,
    /// The store did not answer.
    #[error("the read model's store did not answer")]
    Store {
        /// What the store said.
        source: BoxError,
    },
}

/// The queries on the social read model.
///
/// Tokens are compared with the checkpoint in the same read transaction as the rows are read: an
/// answer reflects every one of them, or is [`QueryError::Behind`]. Nothing waits here: the caller
/// awaits the projection's progress and asks again. Position 0 is always reflected.
///
/// Every query can end in [`QueryError::Behind`], [`QueryError::UnknownPartition`],
/// [`QueryError::Overloaded`] and [`QueryError::Store`]; each names what else it can end in. A
/// bad cursor is told first, then a token that is not reflected, then all else.
///
/// # Pages
///
/// Pages are found by key, never by offset. A cursor belongs to its list (and, for posts, to its
/// filter); the limit may change between pages.
///
/// # Cancel safety
///
/// Dropping a query's future has no effect.
pub trait SocialQueries: Send + Sync {
    /// The post `id`.
    ///
    /// # Errors
    ///
    /// [`QueryError::NotFound`], [`QueryError::Gone`].
    fn post(
        &self,
        id: Uuid,
        tokens: &Tokens,
    ) -> impl Future<Output = Result<PostView, QueryError>> + Send;

    /// The posts that pass `filter`.
    ///
    /// A walk in the order [`Sort::New`] neither skips nor repeats a post that was there when it
    /// began and still is; posts that appear meanwhile stand before its beginning, except those
    /// whose command was received earlier than some post already walked over, which may or may not
    /// be met, once at most. [`Sort::Top`] orders by the like counts at each page's reading.
    ///
    /// # Errors
    ///
    /// [`QueryError::InvalidCursor`].
    fn posts(
        &self,
        filter: &PostFilter,
        page: &PageRequest,
        tokens: &Tokens,
    ) -> impl Future<Output = Result<Page<PostView>, QueryError>> + Send;

    /// The present comments of `post`, the oldest first.
    ///
    /// # Errors
    ///
    /// [`QueryError::NotFound`], [`QueryError::Gone`], [`QueryError::InvalidCursor`].
    fn comments(
        &self,
        post: Uuid,
        page: &PageRequest,
        tokens: &Tokens,
    ) -> impl Future<Output = Result<Page<CommentView>, QueryError>> + Send;

    /// The comment `id` of `post`.
    ///
    /// # Errors
    ///
    /// [`QueryError::NotFound`], [`QueryError::Gone`].
    fn comment(
        &self,
        post: Uuid,
        id: Uuid,
        tokens: &Tokens,
    ) -> impl Future<Output = Result<CommentView, QueryError>> + Send;

    /// Who likes `post`, ordered by actor.
    ///
    /// # Errors
    ///
    /// [`QueryError::NotFound`], [`QueryError::Gone`], [`QueryError::InvalidCursor`].
    fn likes(
        &self,
        post: Uuid,
        page: &PageRequest,
        tokens: &Tokens,
    ) -> impl Future<Output = Result<Page<LikeView>, QueryError>> + Send;

    /// The author known by `key`.
    ///
    /// # Errors
    ///
    /// [`QueryError::NotFound`].
    fn author(
        &self,
        key: &AuthorKey,
        tokens: &Tokens,
    ) -> impl Future<Output = Result<AuthorView, QueryError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_read_from_a_list() {
        let tokens: Tokens = "0-42,\t1-7".parse().unwrap();
        let at = |partition, position| {
            LogPosition::new(Partition::new(partition), Position::new(position))
        };
        assert_eq!(tokens.positions(), [at(0, 42), at(1, 7)]);
        for nonsense in ["", "0-1,", "0-1 1-2", ",", "a"] {
            assert!(nonsense.parse::<Tokens>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_sort_reads_back_what_it_writes() {
        for sort in [Sort::New, Sort::Top] {
            assert_eq!(Sort::parse(sort.as_str()), Some(sort));
        }
        assert_eq!(Sort::parse("NEW"), None);
    }
}
