//! The read model that the suite of projections is run with, and what an adapter supplies for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::log::{EventLog, RecordedEvent};
use crate::projection::{ParkedStreams, Projection};

/// A list of the events that were applied, in the order in which they were: it shows every hole, repeat and swap.
///
/// An adapter's read model keeps one row for each [`Note`] and numbers them as they come; clones share whether
/// they are mended.
#[derive(Debug, Clone, Default)]
pub struct Notebook {
    mended: Arc<AtomicBool>,
}

/// One event that was applied.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Note {
    /// Its stream.
    pub stream: String,
    /// The stream's version after it.
    pub version: u64,
}

/// All rows, in the order in which they were written. Two are equal that hold the same: which partition came first is no
/// part of a read model.
#[derive(Debug, Clone, Default)]
pub struct Notes(pub Vec<Note>);

impl PartialEq for Notes {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |notes: &Self| {
            let mut notes = notes.0.clone();
            notes.sort_unstable();
            notes
        };
        sorted(self) == sorted(other)
    }
}

/// An event that cannot be noted until the notebook is mended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event is illegible")]
pub struct Illegible;

impl Notebook {
    /// The projection's name.
    pub const NAME: &'static str = "contract-notebook";
    /// The one event type that it names.
    pub const EVENT: &'static str = "contract-tested";
    /// The payload that is poisonous.
    pub const POISON: &'static str = "illegible";

    /// What to write for `event`.
    ///
    /// # Errors
    ///
    /// [`Illegible`]: the event is poisonous; the model fails with this at the event's index.
    pub fn note(&self, event: &RecordedEvent<'_>) -> Result<Note, Illegible> {
        if event.data.payload == Self::POISON && !self.mended.load(Ordering::SeqCst) {
            return Err(Illegible);
        }
        Ok(Note {
            stream: event.commit.stream.to_string(),
            version: event.version.get(),
        })
    }

    /// From now on nothing is poisonous.
    pub fn mend(&self) {
        self.mended.store(true, Ordering::SeqCst);
    }
}

/// What an adapter opens for each test of [`projection_contract!`](crate::projection_contract): a [`Notebook`] kept in
/// its store, empty, beside the log that the projection may read parked events from.
pub trait NotebookStore: Send + Sync {
    /// A log of two partitions or more.
    type Log: EventLog;
    /// The projection: [`Notebook::NAME`], of [`Notebook::EVENT`] only, written by [`Notebook::note`].
    type Projection: Projection + ParkedStreams;

    /// The log.
    fn log(&self) -> &Self::Log;

    /// The projection.
    fn projection(&self) -> &Self::Projection;

    /// The notebook that its model writes by.
    fn notebook(&self) -> &Notebook;

    /// All rows, in the order in which they were written.
    fn notes(&self) -> impl Future<Output = Vec<Note>> + Send;
}
