//! Folding a stream from its snapshot and its tail.

use crate::BoxError;
use crate::aggregate::Aggregate;
use crate::log::{Commit, EventLog, ReadError};
use crate::message::DispatchError;
use crate::position::{LogPosition, Position};
use crate::stream::StreamName;
use crate::version::Version;

use super::Inner;
use super::cache::{Loaded, Loading};
use super::snapshots::Restored;

/// How many events one read of a stream asks for.
const PAGE: usize = 2 * Commit::MAX_EVENTS;

/// A stream folded up to its durable end.
pub(super) struct Folded<A> {
    pub(super) state: A,
    pub(super) version: Version,
    pub(super) at: LogPosition,
    pub(super) tail_events: u64,
    pub(super) tail_bytes: usize,
}

impl<A: Aggregate, L: EventLog> Inner<A, L> {
    /// Folds `stream` and puts it in the cache. On an error the next one that waits tries.
    pub(super) async fn load_into<E>(
        &self,
        loading: Loading<'_, A>,
        stream: &StreamName,
    ) -> Result<(), DispatchError<E>> {
        let folded = self.fold(stream).await?;
        self.stats.loaded();
        let due = loading.done(Loaded {
            state: folded.state,
            version: folded.version,
            tail_events: folded.tail_events,
            tail_bytes: folded.tail_bytes,
        });
        if due && self.snapshots.is_some() {
            self.queue.push(stream.clone());
        }
        Ok(())
    }

    pub(super) async fn fold<E>(&self, stream: &StreamName) -> Result<Folded<A>, DispatchError<E>> {
        if let Some(snapshots) = &self.snapshots
            && let Some(restored) = snapshots.load(stream).await
        {
            let version = restored.version;
            match self.fold_from(stream, restored).await {
                // A snapshot that does not fit its stream (a log restored from an older backup) is discarded.
                Err(DispatchError::Corrupt { source }) => {
                    tracing::warn!(%stream, %version, error = %source, "snapshot discarded");
                }
                folded => return folded,
            }
        }
        let partition = stream.partition(self.log.partitions());
        let empty = Restored {
            state: A::default(),
            version: Version::EMPTY,
            at: LogPosition::new(partition, Position::START),
        };
        self.fold_from(stream, empty).await
    }

    async fn fold_from<E>(
        &self,
        stream: &StreamName,
        restored: Restored<A>,
    ) -> Result<Folded<A>, DispatchError<E>> {
        let mut folded = Folded {
            state: restored.state,
            version: restored.version,
            at: restored.at,
            tail_events: 0,
            tail_bytes: 0,
        };
        loop {
            let page = self.log.read_stream(stream, folded.version, PAGE).await;
            let page = page.map_err(read_error)?;
            let mut events = 0;
            for commit in &page {
                if commit.version_before() != folded.version {
                    let (found, version) = (commit.version_before(), folded.version);
                    return Err(corrupt(ReadError::Corrupt {
                        at: commit.at,
                        reason: format!(
                            "stream `{stream}` goes on after version {found}, not {version}"
                        ),
                    }));
                }
                let decoded = self.decode(commit).map_err(corrupt)?;
                folded.state = decoded.iter().fold(folded.state, A::evolve);
                (folded.version, folded.at) = (commit.version, commit.at);
                folded.tail_bytes += commit.events.iter().map(|e| e.payload.len()).sum::<usize>();
                events += commit.events.len();
            }
            folded.tail_events += events as u64;
            // A page that had room for the largest commit ended because the stream did.
            if events + Commit::MAX_EVENTS <= PAGE {
                return Ok(folded);
            }
        }
    }
}

pub(super) fn read_error<E>(error: ReadError) -> DispatchError<E> {
    match error {
        ReadError::Store { source } => DispatchError::Unavailable { source },
        corrupt @ (ReadError::Corrupt { .. } | ReadError::NoSuchPartition { .. }) => {
            DispatchError::Corrupt {
                source: corrupt.into(),
            }
        }
    }
}

pub(super) fn corrupt<E>(source: impl Into<BoxError>) -> DispatchError<E> {
    DispatchError::Corrupt {
        source: source.into(),
    }
}
