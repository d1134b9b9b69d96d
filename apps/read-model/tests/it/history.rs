//! What happens to posts and authors in a test, and a plain model of what follows from it.

use std::collections::{BTreeMap, BTreeSet};

use cqrs_core::{
    Actor, Codec, CommandId, CommitHeader, Envelope, Event, EventData, LogPosition, Position,
    RecordedCommit, Reservations, StreamName, Timestamp, Version,
};
use proptest::prelude::*;
use social_domain::{
    AuthorEvent, AuthorRegistered, CommentAdded, CommentLiked, CommentRemoved, CommentUnliked,
    HandleChanged, PostCreated, PostDeleted, PostEdited, PostEvent, PostLiked, PostUnliked,
};
use uuid::Uuid;

pub(crate) const ACTORS: usize = 3;
pub(crate) const POSTS: usize = 4;

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Create {
        post: usize,
        actor: usize,
        at: usize,
    },
    Edit {
        post: usize,
    },
    Delete {
        post: usize,
    },
    Like {
        post: usize,
        actor: usize,
    },
    Unlike {
        post: usize,
        actor: usize,
    },
    Comment {
        post: usize,
        comment: usize,
        actor: usize,
    },
    RemoveComment {
        post: usize,
        comment: usize,
    },
    LikeComment {
        post: usize,
        comment: usize,
        actor: usize,
    },
    UnlikeComment {
        post: usize,
        comment: usize,
        actor: usize,
    },
    Register {
        actor: usize,
        handle: String,
    },
    Handle {
        actor: usize,
        handle: String,
    },
}

impl Op {
    pub(crate) fn create(post: usize, at: usize) -> Self {
        Self::Create { post, actor: 0, at }
    }
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    let (post, actor, comment) = (|| 0..POSTS, || 0..ACTORS, || 0..3_usize);
    prop_oneof![
        3 => (post(), actor(), 0..3_usize).prop_map(|(post, actor, at)| Op::Create { post, actor, at }),
        1 => post().prop_map(|post| Op::Edit { post }),
        1 => post().prop_map(|post| Op::Delete { post }),
        4 => (post(), actor()).prop_map(|(post, actor)| Op::Like { post, actor }),
        2 => (post(), actor()).prop_map(|(post, actor)| Op::Unlike { post, actor }),
        3 => (post(), comment(), actor()).prop_map(|(post, comment, actor)| Op::Comment { post, comment, actor }),
        1 => (post(), comment()).prop_map(|(post, comment)| Op::RemoveComment { post, comment }),
        4 => (post(), comment(), actor()).prop_map(|(post, comment, actor)| Op::LikeComment { post, comment, actor }),
        2 => (post(), comment(), actor()).prop_map(|(post, comment, actor)| Op::UnlikeComment { post, comment, actor }),
    ]
}

pub(crate) fn post(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

pub(crate) fn comment(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1_000)
}

pub(crate) fn actor(number: usize) -> String {
    format!("actor-{number}")
}
#[derive(Default)]
pub(crate) struct PlainPost {
    pub(crate) author: usize,
    pub(crate) at: usize,
    pub(crate) deleted: bool,
    pub(crate) version: u64,
    pub(crate) likes: BTreeSet<usize>,
    pub(crate) comments: Vec<(usize, usize, BTreeSet<usize>)>,
    pub(crate) used: BTreeSet<usize>,
}

/// Obviously right: sets, counted when asked.
#[derive(Default)]
pub(crate) struct Plain {
    pub(crate) posts: BTreeMap<usize, PlainPost>,
    pub(crate) authors: BTreeMap<usize, u64>,
    pub(crate) active: BTreeSet<usize>,
}

impl Plain {
    /// The event of `op`, where it can happen. Likes repeat on purpose.
    pub(crate) fn step(&mut self, op: &Op) -> Option<(StreamName, EventData, u64)> {
        let (number, event): (usize, PostEvent) = match op.clone() {
            Op::Register { actor: n, handle } => {
                self.authors.insert(n, 1);
                let event = AuthorRegistered {
                    handle,
                    display_name: "Name".into(),
                };
                return Some((author_stream(n), data(&AuthorEvent::from(event)), 1));
            }
            Op::Handle { actor: n, handle } => {
                let version = self.authors.get_mut(&n)?;
                *version += 1;
                let event = HandleChanged {
                    previous: String::new(),
                    handle,
                };
                return Some((author_stream(n), data(&AuthorEvent::from(event)), *version));
            }
            Op::Create {
                post,
                actor: author,
                at,
            } => {
                if self.posts.contains_key(&post) {
                    return None;
                }
                self.active.insert(author);
                self.posts.insert(
                    post,
                    PlainPost {
                        author,
                        at,
                        ..PlainPost::default()
                    },
                );
                let author = actor(author);
                (
                    post,
                    PostCreated {
                        author,
                        message: "text".into(),
                    }
                    .into(),
                )
            }
            Op::Edit { post } => {
                self.live(post)?;
                (
                    post,
                    PostEdited {
                        message: "edited".into(),
                    }
                    .into(),
                )
            }
            Op::Delete { post } => {
                self.live(post)?.deleted = true;
                (post, PostDeleted {}.into())
            }
            Op::Like { post, actor: n } => {
                self.live(post)?.likes.insert(n);
                self.active.insert(n);
                (post, PostLiked { actor: actor(n) }.into())
            }
            Op::Unlike { post, actor: n } => {
                self.live(post)?.likes.remove(&n);
                self.active.insert(n);
                (post, PostUnliked { actor: actor(n) }.into())
            }
            Op::Comment {
                post,
                comment: c,
                actor: n,
            } => {
                let plain = self.live(post)?;
                if !plain.used.insert(c) {
                    return None;
                }
                plain.comments.push((c, n, BTreeSet::new()));
                self.active.insert(n);
                let (comment_id, author) = (comment(c), actor(n));
                (
                    post,
                    CommentAdded {
                        comment_id,
                        author,
                        message: "c".into(),
                    }
                    .into(),
                )
            }
            Op::RemoveComment { post, comment: c } => {
                self.comment(post, c)?;
                self.live(post)?.comments.retain(|(id, ..)| *id != c);
                (
                    post,
                    CommentRemoved {
                        comment_id: comment(c),
                    }
                    .into(),
                )
            }
            Op::LikeComment {
                post,
                comment: c,
                actor: n,
            } => {
                self.comment(post, c)?.insert(n);
                self.active.insert(n);
                (
                    post,
                    CommentLiked {
                        comment_id: comment(c),
                        actor: actor(n),
                    }
                    .into(),
                )
            }
            Op::UnlikeComment {
                post,
                comment: c,
                actor: n,
            } => {
                self.comment(post, c)?.remove(&n);
                self.active.insert(n);
                (
                    post,
                    CommentUnliked {
                        comment_id: comment(c),
                        actor: actor(n),
                    }
                    .into(),
                )
            }
        };
        let plain = self.posts.get_mut(&number)?;
        plain.version += 1;
        let stream = StreamName::new("post", &post(number)).unwrap();
        Some((stream, data(&event), plain.version))
    }

    fn live(&mut self, post: usize) -> Option<&mut PlainPost> {
        self.posts.get_mut(&post).filter(|p| !p.deleted)
    }

    fn comment(&mut self, post: usize, id: usize) -> Option<&mut BTreeSet<usize>> {
        let comments = &mut self.live(post)?.comments;
        comments.iter_mut().find(|c| c.0 == id).map(|c| &mut c.2)
    }
}
fn author_stream(number: usize) -> StreamName {
    StreamName::new("author", &actor(number)).unwrap()
}

fn data<E: Event>(event: &E) -> EventData {
    Codec::new().encode(event).unwrap()
}

/// The commits of those `ops` that can happen, each in its stream's partition.
pub(crate) fn commits(ops: &[Op], partitions: u16) -> Vec<RecordedCommit> {
    let mut plain = Plain::default();
    let mut heads = vec![Position::START; usize::from(partitions)];
    let mut commits = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        let Some((stream, event, version)) = plain.step(op) else {
            continue;
        };
        let time = match op {
            Op::Create { at, .. } => *at,
            _ => 1_000 + index,
        };
        let envelope = Envelope::new(
            CommandId::new(Uuid::from_u128(index as u128 + 1)),
            Actor::parse("actor-0").unwrap(),
            Timestamp::from_millis(time as i64),
        );
        let partition = stream.partition(partitions);
        let head = &mut heads[usize::from(partition.index())];
        *head = head.next();
        commits.push(RecordedCommit {
            at: LogPosition::new(partition, *head),
            stream,
            version: Version::new(version),
            header: CommitHeader::from(&envelope),
            events: vec![event],
            reservations: Reservations::default(),
        });
    }
    commits
}
