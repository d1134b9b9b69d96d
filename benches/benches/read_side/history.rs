//! What happened to many posts, as commits and as the rows that follow.

use std::collections::{BTreeMap, BTreeSet};

use cqrs_core::{
    Actor, Codec, Commit, CommitHeader, Envelope, ExpectedVersion, Partition, Reservations,
    StreamName, Timestamp, Version,
};
use social_domain::{CommentAdded, PostCreated, PostEvent, PostLiked};
use uuid::Uuid;

/// What happens to each post: it is created, liked and commented three times, and every later one of its partition, so many
/// posts apart, likes it once more. So a slice has rows that are new and rows that an earlier one wrote.
const APART: [usize; 3] = [50, 100, 150];
const TEXT: usize = 280;
const ACTORS: usize = 1_000;
const EPOCH: i64 = 1_700_000_000_000;

/// One event; each is a commit of its own.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) commit: Commit,
    post: Uuid,
    event: PostEvent,
    at: i64,
    version: u64,
}

/// The events of each partition, at least `events` in all.
pub(crate) fn history(partitions: u16, events: usize) -> Vec<Vec<Told>> {
    let each = events.div_ceil(usize::from(partitions));
    Partition::all(partitions)
        .map(|partition| of_partition(partition, partitions, each))
        .collect()
}

fn of_partition(partition: Partition, partitions: u16, events: usize) -> Vec<Told> {
    let mut ids = (1..)
        .map(|_| benches::next_id())
        .filter(|id| stream(*id).partition(partitions) == partition);
    let mut told = Teller::default();
    let mut posts: Vec<Uuid> = Vec::new();
    while told.all.len() < events {
        let post = ids.next().expect("ids without end");
        let number = posts.len();
        posts.push(post);
        told.tell(
            post,
            PostCreated {
                author: actor(number),
                message: "x".repeat(TEXT),
            },
        );
        for time in 1..=3 {
            told.tell(post, liked(number, time));
            told.tell(
                post,
                CommentAdded {
                    comment_id: benches::next_id(),
                    author: actor(number + 7 * time),
                    message: "x".repeat(TEXT),
                },
            );
        }
        for (time, apart) in (4..).zip(APART) {
            if let Some(earlier) = number.checked_sub(apart) {
                told.tell(posts[earlier], liked(earlier, time));
            }
        }
    }
    told.all
}

fn liked(post: usize, time: usize) -> PostLiked {
    let actor = actor(post + 101 * time);
    PostLiked { actor }
}

fn actor(number: usize) -> String {
    format!("actor-{}", number % ACTORS)
}

fn stream(post: Uuid) -> StreamName {
    StreamName::new("post", &post).expect("a name")
}

#[derive(Default)]
struct Teller {
    all: Vec<Told>,
    versions: BTreeMap<Uuid, u64>,
}

impl Teller {
    fn tell(&mut self, post: Uuid, event: impl Into<PostEvent>) {
        let event = event.into();
        let version = self.versions.entry(post).or_default();
        let expected = match *version {
            0 => ExpectedVersion::NoStream,
            before => ExpectedVersion::Exact(Version::new(before)),
        };
        *version += 1;
        let at = EPOCH + self.all.len() as i64;
        let envelope = benches::envelope();
        let actor = Actor::parse("ada").expect("a valid actor");
        let envelope = Envelope::new(envelope.command_id, actor, Timestamp::from_millis(at));
        let data = Codec::<PostEvent>::new().encode(&event);
        let commit = Commit {
            stream: stream(post),
            expected,
            header: CommitHeader::from(&envelope),
            events: vec![data.expect("an event is encoded")],
            reservations: Reservations::none(),
        };
        self.all.push(Told {
            commit,
            post,
            event,
            at,
            version: *version,
        });
    }
}

/// Rows that a slice of events comes to, column by column, as `unnest` takes them.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    /// New ones, and after them those that an earlier slice wrote.
    pub(crate) posts: Posts,
    pub(crate) new_posts: usize,
    pub(crate) likes: Likes,
    pub(crate) comments: Comments,
    pub(crate) commenters: Likes,
    pub(crate) stats: Stats,
    pub(crate) events: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Posts {
    pub(crate) id: Vec<Uuid>,
    pub(crate) author: Vec<String>,
    pub(crate) created_at: Vec<i64>,
    pub(crate) like_count: Vec<i64>,
    pub(crate) comment_count: Vec<i64>,
    pub(crate) message: Vec<String>,
    pub(crate) version: Vec<i64>,
}

/// Of commenters `at` is how many comments they have.
#[derive(Debug, Default)]
pub(crate) struct Likes {
    pub(crate) post: Vec<Uuid>,
    pub(crate) actor: Vec<String>,
    pub(crate) at: Vec<i64>,
    pub(crate) post_at: Vec<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Comments {
    pub(crate) post: Vec<Uuid>,
    pub(crate) id: Vec<Uuid>,
    pub(crate) created_at: Vec<i64>,
    pub(crate) seq: Vec<i64>,
    pub(crate) author: Vec<String>,
    pub(crate) message: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) actor: Vec<String>,
    pub(crate) posts: Vec<i64>,
    pub(crate) comments: Vec<i64>,
    pub(crate) likes: Vec<i64>,
}

#[derive(Debug, Clone)]
struct Post {
    author: String,
    created_at: i64,
    likes: i64,
    comments: i64,
    message: String,
    version: i64,
}

/// The rows of each slice of so many events.
pub(crate) fn slices(told: &[Told], size: usize) -> Vec<Slice> {
    let mut posts = BTreeMap::new();
    told.chunks(size)
        .map(|told| slice(&mut posts, told))
        .collect()
}

fn slice(posts: &mut BTreeMap<Uuid, Post>, told: &[Told]) -> Slice {
    let mut slice = Slice {
        events: told.len(),
        ..Slice::default()
    };
    let (mut new, mut changed) = (Vec::new(), BTreeSet::new());
    let mut stats: BTreeMap<String, (i64, i64, i64)> = BTreeMap::new();
    for told in told {
        let (id, at, version) = (told.post, told.at, told.version as i64);
        match &told.event {
            PostEvent::PostCreated(created) => {
                new.push(id);
                stats.entry(created.author.clone()).or_default().0 += 1;
                let post = Post {
                    author: created.author.clone(),
                    created_at: at,
                    likes: 0,
                    comments: 0,
                    message: created.message.clone(),
                    version,
                };
                posts.insert(id, post);
                continue;
            }
            PostEvent::PostLiked(liked) => {
                let post = posts.get_mut(&id).expect("it was created");
                post.likes += 1;
                post.version = version;
                stats.entry(liked.actor.clone()).or_default();
                stats.entry(post.author.clone()).or_default().2 += 1;
                let row = (liked.actor.clone(), at, post.created_at);
                slice.likes.push(id, row);
            }
            PostEvent::CommentAdded(added) => {
                let post = posts.get_mut(&id).expect("it was created");
                post.comments += 1;
                post.version = version;
                stats.entry(added.author.clone()).or_default().1 += 1;
                // Nobody comments a post twice.
                let row = (added.author.clone(), 1, post.created_at);
                slice.commenters.push(id, row);
                slice.comments.post.push(id);
                slice.comments.id.push(added.comment_id);
                slice.comments.created_at.push(at);
                slice.comments.seq.push(version);
                slice.comments.author.push(added.author.clone());
                slice.comments.message.push(added.message.clone());
            }
            event => unreachable!("nobody tells of {event:?}"),
        }
        changed.insert(id);
    }
    slice.new_posts = new.len();
    let earlier = changed.into_iter().filter(|id| !new.contains(id));
    let earlier: Vec<_> = earlier.collect();
    for id in new.iter().chain(&earlier) {
        slice.posts.push(*id, &posts[id]);
    }
    for (actor, (posts, comments, likes)) in stats {
        slice.stats.actor.push(actor);
        slice.stats.posts.push(posts);
        slice.stats.comments.push(comments);
        slice.stats.likes.push(likes);
    }
    slice
}

impl Posts {
    fn push(&mut self, id: Uuid, post: &Post) {
        self.id.push(id);
        self.author.push(post.author.clone());
        self.created_at.push(post.created_at);
        self.like_count.push(post.likes);
        self.comment_count.push(post.comments);
        self.message.push(post.message.clone());
        self.version.push(post.version);
    }

    /// Those from `first` on.
    pub(crate) fn split_off(&mut self, first: usize) -> Self {
        Self {
            id: self.id.split_off(first),
            author: self.author.split_off(first),
            created_at: self.created_at.split_off(first),
            like_count: self.like_count.split_off(first),
            comment_count: self.comment_count.split_off(first),
            message: self.message.split_off(first),
            version: self.version.split_off(first),
        }
    }
}

impl Likes {
    fn push(&mut self, post: Uuid, (actor, at, post_at): (String, i64, i64)) {
        self.post.push(post);
        self.actor.push(actor);
        self.at.push(at);
        self.post_at.push(post_at);
    }
}
