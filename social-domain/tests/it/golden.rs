//! Every stored and answered shape, byte for byte. A file that changes breaks stored data; add one instead.

use std::collections::BTreeSet;
use std::path::Path;

use cqrs_core::{
    Codec, Encoding, Event, EventData, EventType, LogPosition, Partition, Position, Snapshotted,
    Version,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use social_domain::{
    Author, AuthorEvent, AuthorRegistered, CommentAdded, CommentEdited, CommentLiked,
    CommentRemoved, CommentUnliked, DisplayNameChanged, HandleChanged, Post, PostCreated,
    PostDeleted, PostEdited, PostError, PostEvent, PostLiked, PostUnliked, Receipt, author_id,
};
use uuid::Uuid;

use crate::support::{comment, fold};

const COMMENT: Uuid = Uuid::from_u128(0x0198_c5a0_7c1e_7d3a_9b64_2f0e_8d6a_1c57);

fn post_events() -> Vec<PostEvent> {
    let (comment_id, actor) = (COMMENT, "cyd".to_owned());
    vec![
        PostCreated {
            author: "ada".into(),
            message: "Grüße,\n\"all\"".into(),
        }
        .into(),
        PostEdited {
            message: "hello again".into(),
        }
        .into(),
        PostDeleted {}.into(),
        PostLiked {
            actor: "bob".into(),
        }
        .into(),
        PostUnliked {
            actor: "bob".into(),
        }
        .into(),
        CommentAdded {
            comment_id,
            author: "bob".into(),
            message: "nice".into(),
        }
        .into(),
        CommentEdited {
            comment_id,
            message: "very nice".into(),
        }
        .into(),
        CommentRemoved { comment_id }.into(),
        CommentLiked {
            comment_id,
            actor: actor.clone(),
        }
        .into(),
        CommentUnliked { comment_id, actor }.into(),
    ]
}

fn author_events() -> Vec<AuthorEvent> {
    vec![
        AuthorRegistered {
            handle: "Ada_99".into(),
            display_name: "Ada L.".into(),
        }
        .into(),
        HandleChanged {
            previous: "Ada_99".into(),
            handle: "countess".into(),
        }
        .into(),
        DisplayNameChanged {
            display_name: "Ada Lovelace".into(),
        }
        .into(),
    ]
}

fn golden(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
    text.trim_end().to_owned()
}

/// Written from here it is the file, and read from the file it is this. Returns the files' names.
fn both_ways<E: Event + PartialEq + std::fmt::Debug>(events: Vec<E>) -> BTreeSet<String> {
    let codec = Codec::<E>::new();
    let files = events.into_iter().map(|event| {
        let (name, version) = event.event_type();
        let file = format!("{name}.v{version}");
        let stored = EventData {
            event_type: EventType::new(name, version),
            encoding: Encoding::Json,
            payload: golden(&file).into(),
        };
        assert_eq!(codec.encode(&event).unwrap(), stored, "writing {file}");
        assert_eq!(codec.decode(&stored).unwrap(), event, "reading {file}");
        file
    });
    files.collect()
}

#[track_caller]
fn json_both_ways<T>(name: &str, value: &T)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    assert_eq!(serde_json::to_string(value).unwrap(), golden(name));
    assert_eq!(&serde_json::from_str::<T>(&golden(name)).unwrap(), value);
}

#[test]
fn every_stored_event_is_as_it_ever_was() {
    let mut shown = both_ways(post_events());
    shown.extend(both_ways(author_events()));
    let types = PostEvent::TYPES.iter().chain(AuthorEvent::TYPES);
    let known: BTreeSet<_> = types.map(|(name, v)| format!("{name}.v{v}")).collect();
    assert_eq!(shown, known, "every type has its file");
}

#[test]
fn names_and_versions_are_frozen() {
    let names = |types: &[(&'static str, u32)]| {
        let shown: Vec<_> = types.iter().map(|(n, v)| format!("{n} v{v}")).collect();
        shown.join(", ")
    };
    assert_eq!(
        names(PostEvent::TYPES),
        "post-created v1, post-edited v1, post-deleted v1, post-liked v1, post-unliked v1, \
         comment-added v1, comment-edited v1, comment-removed v1, comment-liked v1, \
         comment-unliked v1"
    );
    assert_eq!(
        names(AuthorEvent::TYPES),
        "author-registered v1, handle-changed v1, display-name-changed v1"
    );
    assert_eq!(Post::schema().to_string(), "post-snapshot v1");
    assert_eq!(Author::schema().to_string(), "author-snapshot v1");
}

#[test]
fn snapshots_are_as_they_ever_were() {
    let removed = comment(1).as_uuid();
    let added = |comment_id, message: &str| {
        PostEvent::from(CommentAdded {
            comment_id,
            author: "bob".into(),
            message: message.into(),
        })
    };
    let liked = |actor: &str| {
        PostEvent::from(PostLiked {
            actor: actor.into(),
        })
    };
    let post: Post = fold(&[
        PostCreated {
            author: "ada".into(),
            message: "hello".into(),
        }
        .into(),
        liked("cyd"),
        liked("bob"),
        added(removed, "gone"),
        CommentRemoved {
            comment_id: removed,
        }
        .into(),
        added(COMMENT, "nice"),
        CommentLiked {
            comment_id: COMMENT,
            actor: "cyd".into(),
        }
        .into(),
    ]);
    json_both_ways("post-snapshot.v1", &post.to_wire());
    let author: Author = fold(&author_events()[..1]);
    json_both_ways("author-snapshot.v1", &author.to_wire());
}

#[test]
fn answers_and_refusals_are_as_they_ever_were() {
    let receipt = Receipt {
        id: COMMENT,
        version: Version::new(3),
        position: LogPosition::new(Partition::new(0), Position::new(42)),
    };
    json_both_ways("receipt", &receipt);
    let refusals = vec![
        PostError::PostNotFound,
        PostError::PostDeleted,
        PostError::CommentNotFound,
        PostError::NotTheAuthor,
        PostError::AlreadyExists,
    ];
    json_both_ways("post-errors", &refusals);
    assert!(
        refusals
            .iter()
            .all(|refusal| !refusal.to_string().is_empty())
    );
}

/// A change here gives every author another id.
#[test]
fn ids_of_authors_are_frozen() {
    assert_eq!(
        author_id("ada").to_string(),
        "1f9d1b3e-4a1b-5f8d-9618-f9a1ba9c60a7"
    );
}
