//! eventcore, asked as the others are: its commands, and its store in memory, which checks versions and encodes as JSON.
//!
//! Every command reads its whole stream first. Its events name their stream, so that they are a little longer.

use std::sync::Arc;

use benches::Added;
use benches::notebook::Notebook;
use eventcore::{
    CommandError, CommandLogic, CommandStreams, Event, EventStream, NewEvents, RetryPolicy,
    StreamDeclarations, StreamId, collect_events, execute,
};
use eventcore_memory::InMemoryEventStore;
use eventcore_types::{EventStore, StreamVersion, StreamWrites};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Text was added to a note.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NoteAdded {
    note: StreamId,
    added: Added,
}

impl Event for NoteAdded {
    fn stream_id(&self) -> &StreamId {
        &self.note
    }

    fn event_type_name() -> &'static str {
        "note-added"
    }
}

/// Adds to a note.
#[derive(Debug)]
pub struct AddTo(StreamId);

impl AddTo {
    /// Adds to `note`.
    ///
    /// # Panics
    ///
    /// Never: the name is a valid one.
    #[must_use]
    pub fn note(note: Uuid) -> Self {
        Self(StreamId::try_new(format!("note-{note}")).expect("a valid name"))
    }

    fn event(&self) -> NoteAdded {
        NoteAdded {
            note: self.0.clone(),
            added: Added::usual(),
        }
    }
}

impl CommandStreams for AddTo {
    fn stream_declarations(&self) -> StreamDeclarations {
        StreamDeclarations::single(self.0.clone())
    }
}

impl CommandLogic for AddTo {
    type Event = NoteAdded;
    type State = u64;

    fn apply(&self, additions: u64, _: &NoteAdded) -> u64 {
        additions + 1
    }

    fn handle(&self, _: u64) -> Result<NewEvents<NoteAdded>, CommandError> {
        Ok(vec![self.event()].into())
    }
}

/// Notes kept by eventcore in memory.
#[derive(Clone)]
pub struct EventCore(Arc<InMemoryEventStore>);

impl Notebook for EventCore {
    const NAME: &'static str = "eventcore";

    fn open() -> Self {
        Self(Arc::new(InMemoryEventStore::new()))
    }

    async fn fill(&self, note: Uuid, length: u64) {
        if length == 0 {
            return;
        }
        let add = AddTo::note(note);
        let writes = StreamWrites::new().register_stream(add.0.clone(), StreamVersion::new(0));
        let writes = (0..length).try_fold(writes.expect("registered"), |writes, _| {
            writes.append(add.event())
        });
        let filled = self.0.append_events(writes.expect("collected")).await;
        filled.expect("appended");
    }

    async fn add(&self, note: Uuid) -> bool {
        let added = execute(self.0.as_ref(), AddTo::note(note), RetryPolicy::new()).await;
        added.is_ok()
    }

    async fn stored(&self, note: Uuid) -> u64 {
        let read: EventStream<NoteAdded> =
            self.0.read_stream(AddTo::note(note).0).await.expect("read");
        collect_events(read).await.expect("read").len() as u64
    }
}
