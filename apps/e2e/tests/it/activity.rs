//! The second consumer: a recount of what happened to each author's posts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::history::History;
use crate::wait::until;
use crate::world::System;

/// What happened, to which post, under which comment, by whom.
type Entry = (String, String, Option<String>, String);

impl System {
    /// Waits until the activity of every author is what the log says: each like and comment once.
    pub(crate) fn check_activity(&self, history: &History) {
        let due = recount(history);
        let mut client = self.activity.client();
        for (author, mut entries) in due {
            entries.sort_unstable();
            until("the activity to be what the log says", || {
                let items = client.walk(&format!("/v1/activity/{author}"), "0-0");
                let mut shown: Vec<_> = items.iter().map(entry).collect();
                shown.sort_unstable();
                if shown.len() < entries.len() {
                    let (shown, due) = (shown.len(), entries.len());
                    return Err(format!("{shown} of {due} entries of {author}"));
                }
                assert!(
                    shown == entries,
                    "the activity of {author} is not that of the log"
                );
                Ok(())
            });
        }
    }
}

fn entry(item: &Value) -> Entry {
    let text = |member: &str| item[member].as_str().map(str::to_owned);
    let whole = |member| text(member).unwrap();
    (
        whole("kind"),
        whole("post"),
        text("comment"),
        whole("actor"),
    )
}

fn recount(history: &History) -> BTreeMap<String, Vec<Entry>> {
    let mut authors = BTreeMap::new();
    let mut entries: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for event in history
        .commits()
        .flat_map(|commit| commit.recorded_events())
    {
        let post = event.commit.stream.id().to_owned();
        let payload: Value = serde_json::from_slice(&event.data.payload).unwrap();
        let text = |member: &str| payload[member].as_str().map(str::to_owned);
        let (kind, comment, actor) = match event.data.event_type.name() {
            "post-created" => {
                let author = text("author").unwrap();
                entries.entry(author.clone()).or_default();
                authors.insert(post, author);
                continue;
            }
            "post-liked" => ("liked", None, text("actor").unwrap()),
            "post-unliked" => ("unliked", None, text("actor").unwrap()),
            "comment-added" => ("commented", text("comment_id"), text("author").unwrap()),
            "comment-removed" => {
                let by = event.commit.header.actor.as_str().to_owned();
                ("comment-removed", text("comment_id"), by)
            }
            _ => continue,
        };
        let of = entries.get_mut(&authors[&post]).unwrap();
        of.push((kind.to_owned(), post, comment, actor));
    }
    entries
}
