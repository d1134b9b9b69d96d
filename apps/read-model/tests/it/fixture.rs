//! Events made by hand, the model fed with them, and the plain recount of what it must answer.

use std::collections::{BTreeMap, BTreeSet};

use cqrs_core::{
    Actor, ApplyError, Batch, Codec, CommandId, CommitHeader, Envelope, Event, EventData, EventRef,
    LogPosition, Partition, Position, Projection, RecordedCommit, Reservations, StreamName,
    Timestamp, Version,
};
use cqrs_sqlite::{SqliteOptions, SqliteProjection, SqliteStore};
use proptest::prelude::*;
use social_domain::{
    AuthorEvent, AuthorRegistered, CommentAdded, CommentLiked, CommentRemoved, CommentUnliked,
    HandleChanged, PostCreated, PostDeleted, PostEdited, PostEvent, PostLiked, PostUnliked,
};
use social_read_model::{
    AuthorKey, PageRequest, PostFilter, QueryError, SocialQueries, SocialReadModel, Sort,
    SqliteQueries, Tokens,
};
use uuid::Uuid;

const ACTORS: usize = 3;
const POSTS: usize = 4;

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

fn actor(number: usize) -> String {
    format!("actor-{number}")
}

#[derive(Default)]
struct PlainPost {
    author: usize,
    at: usize,
    deleted: bool,
    version: u64,
    likes: BTreeSet<usize>,
    comments: Vec<(usize, usize, BTreeSet<usize>)>,
    used: BTreeSet<usize>,
}

/// Obviously right: sets, counted when asked.
#[derive(Default)]
struct Plain {
    posts: BTreeMap<usize, PlainPost>,
    authors: BTreeMap<usize, u64>,
    active: BTreeSet<usize>,
}

impl Plain {
    /// The event of `op`, where it can happen. Likes repeat on purpose.
    fn step(&mut self, op: &Op) -> Option<(StreamName, EventData, u64)> {
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

/// The commits of those `ops` that can happen, in partition 0.
pub(crate) fn commits(ops: &[Op]) -> Vec<RecordedCommit> {
    let mut plain = Plain::default();
    let mut commits = Vec::new();
    for (index, op) in ops.iter().enumerate() {
        let Some((stream, event, version)) = plain.step(op) else {
            continue;
        };
        let position = commits.len() as u64 + 1;
        let time = match op {
            Op::Create { at, .. } => *at,
            _ => 1_000 + index,
        };
        let envelope = Envelope::new(
            CommandId::new(Uuid::from_u128(position.into())),
            Actor::parse("actor-0").unwrap(),
            Timestamp::from_millis(time as i64),
        );
        commits.push(RecordedCommit {
            at: LogPosition::new(Partition::new(0), Position::new(position)),
            stream,
            version: Version::new(version),
            header: CommitHeader::from(&envelope),
            events: vec![event],
            reservations: Reservations::default(),
        });
    }
    commits
}

/// Everything that the queries answer, without texts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dump {
    new: Vec<(Uuid, u64, u64, u64)>,
    top: Vec<Uuid>,
    gone: Vec<Uuid>,
    comments: Vec<Vec<(Uuid, u64)>>,
    likes: Vec<Vec<String>>,
    liked_by: Vec<Vec<Uuid>>,
    commented_by: Vec<Vec<Uuid>>,
    both_and_popular: Vec<Vec<Uuid>>,
    authors: Vec<Option<(u64, u64, u64)>>,
}

pub(crate) fn recount(ops: &[Op]) -> Dump {
    let mut plain = Plain::default();
    for op in ops {
        plain.step(op);
    }
    let mut live: Vec<_> = plain.posts.iter().filter(|(_, p)| !p.deleted).collect();
    live.sort_by_key(|(n, p)| std::cmp::Reverse((p.at, post(**n))));
    let mut top = live.clone();
    top.sort_by_key(|(n, p)| std::cmp::Reverse((p.likes.len(), p.at, post(**n))));
    let those = |test: &dyn Fn(&PlainPost) -> bool| {
        let passing = live.iter().filter(|(_, p)| test(p));
        passing.map(|(n, _)| post(**n)).collect::<Vec<_>>()
    };
    let commented = |p: &PlainPost, a| p.comments.iter().any(|(_, author, _)| *author == a);
    let mut dump = Dump {
        new: live
            .iter()
            .map(|(n, p)| {
                (
                    post(**n),
                    p.likes.len() as u64,
                    p.comments.len() as u64,
                    p.version,
                )
            })
            .collect(),
        top: top.iter().map(|(n, _)| post(**n)).collect(),
        ..Dump::default()
    };
    for (number, p) in &plain.posts {
        if p.deleted {
            dump.gone.push(post(*number));
            continue;
        }
        let comments = p.comments.iter();
        dump.comments.push(
            comments
                .map(|(c, _, l)| (comment(*c), l.len() as u64))
                .collect(),
        );
        dump.likes.push(p.likes.iter().map(|a| actor(*a)).collect());
    }
    for a in 0..ACTORS {
        dump.liked_by.push(those(&|p| p.likes.contains(&a)));
        dump.commented_by.push(those(&|p| commented(p, a)));
        dump.both_and_popular.push(those(&|p| {
            p.author == a && commented(p, a) && p.likes.contains(&a) && p.likes.len() > 1
        }));
        let own: Vec<_> = live.iter().filter(|(_, p)| p.author == a).collect();
        let comments = live.iter().flat_map(|(_, p)| &p.comments);
        let mine: Vec<_> = comments.filter(|(_, author, _)| *author == a).collect();
        let likes = own.iter().map(|(_, p)| p.likes.len()).sum::<usize>()
            + mine.iter().map(|c| c.2.len()).sum::<usize>();
        let stats = (own.len() as u64, mine.len() as u64, likes as u64);
        dump.authors
            .push(plain.active.contains(&a).then_some(stats));
    }
    dump
}

/// A store of its own with the model in it.
pub(crate) struct World {
    pub(crate) projection: SqliteProjection<SocialReadModel>,
    pub(crate) queries: SqliteQueries,
    _folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("social.db"), SqliteOptions::default());
        let store = store.unwrap();
        let model = SocialReadModel::new();
        let projection = SqliteProjection::open(store.clone(), model).await.unwrap();
        let queries = SqliteQueries::new(store);
        Self {
            projection,
            queries,
            _folder: folder,
        }
    }

    pub(crate) async fn apply(&mut self, commits: &[RecordedCommit]) {
        self.try_apply(commits).await.unwrap();
    }

    pub(crate) async fn try_apply(&self, commits: &[RecordedCommit]) -> Result<(), ApplyError> {
        let Some(last) = commits.last() else {
            return Ok(());
        };
        let partition = Partition::new(0);
        let apply: Vec<_> = (0..commits.len())
            .map(|commit| EventRef { commit, event: 0 })
            .collect();
        let batch = Batch {
            partition,
            expected: self.projection.checkpoint(partition).await.unwrap(),
            position: last.at.position,
            commits,
            apply: &apply,
            park: &[],
        };
        self.projection.apply(&batch).await
    }

    pub(crate) async fn ids(&self, filter: &PostFilter, limit: u32) -> Vec<Uuid> {
        let page = PageRequest {
            limit,
            cursor: None,
        };
        let page = self.queries.posts(filter, &page, &Tokens::none()).await;
        page.unwrap().items.into_iter().map(|p| p.id).collect()
    }

    /// The same list in pages of one.
    async fn walk(&self, filter: &PostFilter) -> Vec<Uuid> {
        let (mut ids, mut page) = (
            Vec::new(),
            PageRequest {
                limit: 1,
                cursor: None,
            },
        );
        loop {
            let found = self
                .queries
                .posts(filter, &page, &Tokens::none())
                .await
                .unwrap();
            ids.extend(found.items.into_iter().map(|p| p.id));
            if found.next.is_none() {
                return ids;
            }
            page.cursor = found.next;
        }
    }

    pub(crate) async fn dump(&self) -> Dump {
        let (page, none) = (PageRequest::default(), Tokens::none());
        let all = PostFilter::default();
        let top = PostFilter {
            sort: Sort::Top,
            ..PostFilter::default()
        };
        let posts = self.queries.posts(&all, &page, &none).await.unwrap().items;
        let mut dump = Dump {
            new: posts
                .iter()
                .map(|p| (p.id, p.like_count, p.comment_count, p.version))
                .collect(),
            top: self.walk(&top).await,
            ..Dump::default()
        };
        for id in (0..POSTS).map(post) {
            match self.queries.post(id, &none).await {
                Ok(_) => {}
                Err(QueryError::Gone) => {
                    dump.gone.push(id);
                    continue;
                }
                Err(_) => continue,
            }
            let comments = self.queries.comments(id, &page, &none).await.unwrap().items;
            dump.comments
                .push(comments.iter().map(|c| (c.id, c.like_count)).collect());
            let likes = self.queries.likes(id, &page, &none).await.unwrap().items;
            dump.likes
                .push(likes.into_iter().map(|l| l.actor).collect());
        }
        for n in 0..ACTORS {
            let who = Actor::parse(&actor(n)).ok();
            let liked = PostFilter {
                liked_by: who.clone(),
                ..PostFilter::default()
            };
            let commented = PostFilter {
                commented_by: who.clone(),
                ..PostFilter::default()
            };
            let every = PostFilter {
                author: who.clone(),
                liked_by: who.clone(),
                commented_by: who.clone(),
                min_likes: Some(2),
                min_comments: Some(1),
                sort: Sort::New,
            };
            dump.liked_by.push(self.walk(&liked).await);
            dump.commented_by.push(self.walk(&commented).await);
            dump.both_and_popular.push(self.walk(&every).await);
            let author = self
                .queries
                .author(&AuthorKey::Actor(who.unwrap()), &none)
                .await;
            let counts = author.map(|a| (a.post_count, a.comment_count, a.likes_received));
            dump.authors.push(counts.ok());
        }
        dump
    }
}
