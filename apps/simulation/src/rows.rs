//! The read model: a small one, in which an effect that is missing or doubled shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cqrs_core::{BoxError, Codec, Event, EventData, RecordedCommit, RecordedEvent};
use social_domain::{AuthorEvent, PostEvent};

/// What makes an event poisonous, until the code is mended.
pub(crate) const POISON: &str = "poison";

/// All rows, by stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) streams: BTreeMap<String, Row>,
    /// Events by actor and partition: a counter, which a repeat would raise.
    pub(crate) counts: BTreeMap<(String, u16), u64>,
}

/// One post or author.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// The stream's version after the last event.
    pub(crate) version: u64,
    pub(crate) events: u64,
    text: String,
    deleted: bool,
    likes: BTreeSet<String>,
    comments: BTreeMap<String, String>,
}

/// The stored types that the model names.
pub(crate) fn types() -> impl Iterator<Item = &'static str> {
    let all = PostEvent::TYPES.iter().chain(AuthorEvent::TYPES);
    all.map(|(name, _)| *name)
}

/// Whether the code that is not mended cannot apply it.
pub(crate) fn is_poisonous(event: &EventData) -> bool {
    let payload = &event.payload;
    payload
        .windows(POISON.len())
        .any(|w| w == POISON.as_bytes())
}

impl Rows {
    /// The rows that follow from `journal`.
    pub(crate) fn of(journal: &[RecordedCommit]) -> Result<Self, BoxError> {
        let (mut rows, mended) = (Self::default(), Arc::new(AtomicBool::new(true)));
        for commit in journal {
            for event in commit.recorded_events() {
                rows.fold(&event, &mended)?;
            }
        }
        Ok(rows)
    }

    /// Applies one event; refuses a poisonous one until the code is `mended`.
    pub(crate) fn fold(
        &mut self,
        event: &RecordedEvent<'_>,
        mended: &AtomicBool,
    ) -> Result<(), BoxError> {
        let stream = &event.commit.stream;
        if is_poisonous(event.data) && !mended.load(Ordering::Relaxed) {
            return Err("a poisonous event".into());
        }
        let row = self.streams.entry(stream.as_str().to_owned()).or_default();
        match stream.category() {
            "post" => row.post(&Codec::<PostEvent>::new().decode(event.data)?),
            _ => row.author(&Codec::<AuthorEvent>::new().decode(event.data)?),
        }
        row.version = event.version.get();
        row.events += 1;
        let actor = event.commit.header.actor.as_str().to_owned();
        let partition = event.commit.at.partition.index();
        *self.counts.entry((actor, partition)).or_default() += 1;
        Ok(())
    }
}

impl Row {
    fn post(&mut self, event: &PostEvent) {
        match event {
            PostEvent::PostCreated(created) => self.text.clone_from(&created.message),
            PostEvent::PostEdited(edited) => self.text.push_str(&edited.message),
            PostEvent::PostDeleted(_) => self.deleted = true,
            PostEvent::PostLiked(liked) => {
                self.likes.insert(liked.actor.clone());
            }
            PostEvent::PostUnliked(unliked) => {
                self.likes.remove(&unliked.actor);
            }
            PostEvent::CommentAdded(added) => {
                let id = added.comment_id.to_string();
                self.comments.insert(id, added.message.clone());
            }
            PostEvent::CommentEdited(_)
            | PostEvent::CommentRemoved(_)
            | PostEvent::CommentLiked(_)
            | PostEvent::CommentUnliked(_) => {}
        }
    }

    fn author(&mut self, event: &AuthorEvent) {
        match event {
            AuthorEvent::AuthorRegistered(registered) => self.text.clone_from(&registered.handle),
            AuthorEvent::HandleChanged(changed) => self.text.clone_from(&changed.handle),
            AuthorEvent::DisplayNameChanged(changed) => self.text.push_str(&changed.display_name),
        }
    }
}
