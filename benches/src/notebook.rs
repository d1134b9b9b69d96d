//! The same question for everybody: text is added to notes, one command for each addition.

use cqrs_core::{
    AppendToLog, Codec, Commit, CommitHeader, Event, EventData, Executor, ExecutorOptions,
    ExpectedVersion, Handler, MemoryStore, ReadLog, Reservations, StreamName, Version,
};
use uuid::Uuid;

use crate::{Add, Added, Note, NoteEvent, envelope};

/// Keeps notes in memory: this library, or another one.
pub trait Notebook: Clone + Send + Sync + 'static {
    /// Whose it is.
    const NAME: &'static str;

    /// An empty one.
    fn open() -> Self;

    /// Puts a note of `length` additions in place, by the shortest way there is.
    fn fill(&self, note: Uuid, length: u64) -> impl Future<Output = ()> + Send;

    /// Adds to a note, as a command; whether that was acknowledged.
    fn add(&self, note: Uuid) -> impl Future<Output = bool> + Send;

    /// How many additions of a note are stored.
    fn stored(&self, note: Uuid) -> impl Future<Output = u64> + Send;
}

/// This library: checks the version, encodes as JSON, holds the folded state.
#[derive(Clone)]
pub struct Ours {
    store: MemoryStore,
    executor: Executor<Note, MemoryStore>,
}

impl Notebook for Ours {
    const NAME: &'static str = "ours";

    fn open() -> Self {
        let store = MemoryStore::new(1);
        let executor = executor(&store);
        Self { store, executor }
    }

    async fn fill(&self, note: Uuid, length: u64) {
        fill(&self.store, note, length).await;
    }

    async fn add(&self, note: Uuid) -> bool {
        let envelope = envelope();
        self.executor.handle(Add(note), &envelope).await.is_ok()
    }

    async fn stored(&self, note: Uuid) -> u64 {
        let (stream, mut version) = (stream(note), Version::EMPTY);
        loop {
            let read = self.store.read_stream(&stream, version, 10_000);
            match read.await.expect("read").last() {
                Some(last) => version = last.version,
                None => return version.get(),
            }
        }
    }
}

/// An executor over `store` that has seen nothing yet.
#[must_use]
pub fn executor(store: &MemoryStore) -> Executor<Note, MemoryStore> {
    Executor::new(store.clone(), Codec::new(), ExecutorOptions::default())
}

/// The stream of a note.
///
/// # Panics
///
/// Never: the name is a valid one.
#[must_use]
pub fn stream(note: Uuid) -> StreamName {
    StreamName::new("note", &note).expect("a valid name")
}

/// Appends a note of `length` additions to the log.
///
/// # Panics
///
/// Where the log refuses.
pub async fn fill(log: &impl AppendToLog, note: Uuid, length: u64) {
    let mut version = 0;
    while version < length {
        let events = (length - version).min(Commit::MAX_EVENTS as u64);
        let commit = Commit {
            stream: stream(note),
            expected: ExpectedVersion::Exact(Version::new(version)),
            header: CommitHeader::from(&envelope()),
            events: vec![addition(); events as usize],
            reservations: Reservations::none(),
        };
        version = log.append(commit).await.expect("appended").version.get();
    }
}

fn addition() -> EventData {
    let event = NoteEvent::from(Added::usual());
    debug_assert_eq!(event.event_type().0, "note-added");
    Codec::new().encode(&event).expect("encoded")
}
