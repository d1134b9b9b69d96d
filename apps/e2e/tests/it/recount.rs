//! A recount of the log, by sets and nothing clever, and the comparison with everything that queries answer.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::client::{Client, get};
use crate::history::History;

#[derive(Debug, Default)]
struct Post {
    author: String,
    message: String,
    deleted: bool,
    version: u64,
    likes: BTreeSet<String>,
    comments: BTreeMap<String, Comment>,
}

#[derive(Debug, Default)]
struct Comment {
    author: String,
    message: String,
    likes: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Author {
    handle: Option<String>,
    display_name: Option<String>,
}

/// What follows from the log.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    posts: BTreeMap<String, Post>,
    authors: BTreeMap<String, Author>,
}

impl History {
    pub(crate) fn recount(&self) -> Recount {
        let mut recount = Recount::default();
        for commit in self.commits() {
            let id = commit.stream.id();
            let before = commit.version_before().get();
            for (event, version) in commit.events.iter().zip(before + 1..) {
                let payload = serde_json::from_slice(&event.payload).unwrap();
                match commit.stream.category() {
                    "post" => recount.post(id, event.event_type.name(), &payload, version),
                    _ => recount.author(id, event.event_type.name(), &payload),
                }
            }
        }
        recount
    }
}

fn text(payload: &Value, member: &str) -> String {
    payload[member].as_str().unwrap().to_owned()
}

impl Recount {
    fn post(&mut self, id: &str, kind: &str, payload: &Value, version: u64) {
        let post = self.posts.entry(id.to_owned()).or_default();
        post.version = version;
        let comment = payload["comment_id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        match kind {
            "post-created" => {
                post.author = text(payload, "author");
                post.message = text(payload, "message");
            }
            "post-edited" => post.message = text(payload, "message"),
            "post-deleted" => post.deleted = true,
            "post-liked" => assert!(post.likes.insert(text(payload, "actor")), "liked twice"),
            "post-unliked" => assert!(post.likes.remove(&text(payload, "actor"))),
            "comment-added" => {
                let added = Comment {
                    author: text(payload, "author"),
                    message: text(payload, "message"),
                    likes: BTreeSet::new(),
                };
                assert!(
                    post.comments.insert(comment, added).is_none(),
                    "added twice"
                );
            }
            "comment-edited" => {
                post.comments.get_mut(&comment).unwrap().message = text(payload, "message");
            }
            "comment-removed" => drop(post.comments.remove(&comment).unwrap()),
            "comment-liked" => {
                let likes = &mut post.comments.get_mut(&comment).unwrap().likes;
                assert!(likes.insert(text(payload, "actor")), "liked twice");
            }
            "comment-unliked" => {
                let likes = &mut post.comments.get_mut(&comment).unwrap().likes;
                assert!(likes.remove(&text(payload, "actor")));
            }
            kind => panic!("an event of type `{kind}`"),
        }
    }

    fn author(&mut self, id: &str, kind: &str, payload: &Value) {
        let author = self.authors.entry(id.to_owned()).or_default();
        match kind {
            "author-registered" => {
                author.handle = Some(text(payload, "handle"));
                author.display_name = Some(text(payload, "display_name"));
            }
            "handle-changed" => author.handle = Some(text(payload, "handle")),
            "display-name-changed" => author.display_name = Some(text(payload, "display_name")),
            kind => panic!("an event of type `{kind}`"),
        }
    }

    fn handle(&self, actor: &str) -> Value {
        json!(
            self.authors
                .get(actor)
                .and_then(|author| author.handle.as_deref())
        )
    }

    /// Checks that no two authors hold one handle.
    pub(crate) fn check_handles(&self) {
        let mut holders = BTreeMap::new();
        for (actor, author) in &self.authors {
            let handle = author.handle.as_ref().unwrap().to_ascii_lowercase();
            let other = holders.insert(handle, actor);
            assert!(other.is_none(), "{other:?} and {actor} hold one handle");
        }
    }

    /// Compares with what the queries answer once they reflect `token`: every post, comment, like and author, and every count.
    pub(crate) fn check_queries(&self, client: &mut Client, token: &str) {
        let mut listed = BTreeMap::new();
        for post in client.walk("/v1/posts", token) {
            let id = text(&post, "id");
            assert!(listed.insert(id, post).is_none(), "a post is listed twice");
        }
        for (id, post) in &self.posts {
            let path = format!("/v1/posts/{id}");
            if post.deleted {
                assert!(!listed.contains_key(id), "{id} is deleted, and listed");
                client.send(&get(&path).at(token, 30)).expect(410);
                continue;
            }
            let shown = listed
                .remove(id)
                .unwrap_or_else(|| panic!("{id} is not listed"));
            let due = json!({
                "id": id, "author": post.author, "author_handle": self.handle(&post.author), "message": post.message,
                "like_count": post.likes.len(), "comment_count": post.comments.len(), "version": post.version,
            });
            assert_members(&shown, &due);
            self.check_under(client, &path, post, token);
        }
        assert!(
            listed.is_empty(),
            "posts that nobody created: {:?}",
            listed.keys()
        );
        for actor in self.active() {
            let path = format!("/v1/authors/{actor}");
            let shown = client.send(&get(&path).at(token, 30)).expect(200).value();
            assert_members(&shown, &self.author_due(actor));
        }
    }

    fn check_under(&self, client: &mut Client, path: &str, post: &Post, token: &str) {
        if !post.comments.is_empty() {
            let mut comments = BTreeMap::new();
            for comment in client.walk(&format!("{path}/comments"), token) {
                let twice = comments.insert(text(&comment, "id"), comment);
                assert!(twice.is_none(), "a comment is listed twice");
            }
            assert!(
                comments.keys().eq(post.comments.keys()),
                "the comments of {path}"
            );
            for (id, comment) in &post.comments {
                let due = json!({
                    "id": id, "author": comment.author, "author_handle": self.handle(&comment.author),
                    "message": comment.message, "like_count": comment.likes.len(),
                });
                assert_members(&comments[id], &due);
            }
        }
        if !post.likes.is_empty() {
            let likes = client.walk(&format!("{path}/likes"), token);
            let actors: BTreeSet<_> = likes.iter().map(|like| text(like, "actor")).collect();
            assert_eq!(actors.len(), likes.len(), "a like is listed twice");
            assert!(actors == post.likes, "the likes of {path}");
        }
    }

    /// Who registered, posted or commented.
    fn active(&self) -> BTreeSet<&str> {
        let posts = self.posts.values();
        let comments = posts.clone().flat_map(|post| post.comments.values());
        let registered = self.authors.keys().map(String::as_str);
        registered
            .chain(posts.map(|post| &*post.author))
            .chain(comments.map(|comment| &*comment.author))
            .collect()
    }

    fn author_due(&self, actor: &str) -> Value {
        let readable = || self.posts.values().filter(|post| !post.deleted);
        let posts = readable().filter(|post| post.author == actor);
        let comments = readable()
            .flat_map(|post| post.comments.values())
            .filter(|comment| comment.author == actor);
        let likes = posts.clone().map(|post| post.likes.len()).sum::<usize>()
            + comments
                .clone()
                .map(|comment| comment.likes.len())
                .sum::<usize>();
        let author = self.authors.get(actor);
        json!({
            "actor": actor,
            "handle": author.and_then(|author| author.handle.as_deref()),
            "display_name": author.and_then(|author| author.display_name.as_deref()),
            "post_count": posts.count(), "comment_count": comments.count(), "likes_received": likes,
        })
    }
}

/// Checks that `shown` has every member of `due`, with its value.
#[track_caller]
fn assert_members(shown: &Value, due: &Value) {
    for (member, value) in due.as_object().unwrap() {
        assert_eq!(&shown[member], value, "`{member}` of {shown}");
    }
}
