//! Gives the records of the partitions that are this consumer's.
//!
//! One thread polls the client, always: a reader that is slow pauses its partition, it does not stop the polling.
//!
//! Invariants:
//!
//! - A partition gives nothing from its assignment until its cursor is moved (`seek`), which is when its reader says where its
//!   checkpoint stands; until then it is paused. So no offset is guessed.
//! - The group's offset, committed with the position that it stands for, is never ahead of a durable
//!   checkpoint. It is a hint: one for a position beyond the reader's checkpoint is not used.
//! - What is held of a partition is bounded in records and bytes, here and in the client.
//! - Every assignment has a term of its own; what was held in an earlier one is dropped.
//!
//! | what happens | what is done |
//! |---|---|
//! | a partition is assigned | assigned at once, paused, without asking for an offset; the reader moves its cursor |
//! | `seek` behind the group's kept position | begin at the group's offset |
//! | `seek` before it (a rebuild), or nothing is kept | begin at the topic's beginning; what is done already are repeats |
//! | the kept offset is out of range (a topic made anew) | the client begins at the beginning |
//! | a partition is revoked, or lost | what is held is dropped, its reader waits until it is told; a running write is judged by the checkpoint |
//! | the reader is slow | paused above a bound, resumed below half of it |
//! | a record is no event of a log | counted as nothing, traced as an error: had it been one, its lack is a hole, and a hole stops visibly |
//! | the brokers are away | the client reconnects; readers wait |
//! | a fatal error | the client is made anew: all partitions are assigned anew |
//! | the last handle is dropped | the offsets are committed, the group is left |

mod lane;
mod poller;

use std::sync::Arc;
use std::sync::mpsc::Sender;

use cqrs_core::{Assigned, Assignment, BusError, BusRecord, ConsumeEvents, Partition, Position};
use tokio::sync::{oneshot, watch};

use crate::error::{bus, client};
use crate::{ClientError, KafkaConfig};
use lane::Lane;
use poller::{Ask, Mode, Poller};

/// Reads a topic as a member of a group, or by itself. Cheap to clone; clones share the cursors.
#[derive(Debug, Clone)]
pub struct KafkaConsumer(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    asks: Sender<Ask>,
}

/// What the polling thread and the readers share.
#[derive(Debug)]
struct Shared {
    topic: String,
    lanes: Box<[Lane]>,
    assignment: watch::Sender<Assignment>,
}

impl Shared {
    fn lane(&self, partition: Partition) -> Option<&Lane> {
        self.lanes.get(usize::from(partition.index()))
    }

    /// Assigns `partitions`, each for a new term.
    fn assign(&self, partitions: &[Partition]) {
        self.assignment.send_modify(|assignment| {
            for &partition in partitions {
                assignment.assign(partition);
                let term = assignment.partitions.get(&partition).copied();
                if let Some(lane) = self.lane(partition) {
                    lane.begin(term);
                }
            }
        });
    }

    fn revoke(&self, partitions: &[Partition]) {
        self.assignment.send_modify(|assignment| {
            for &partition in partitions {
                assignment.revoke(partition);
                if let Some(lane) = self.lane(partition) {
                    lane.begin(None);
                }
            }
        });
    }

    fn assigned(&self) -> Vec<Partition> {
        self.assignment
            .borrow()
            .partitions
            .keys()
            .copied()
            .collect()
    }
}

impl KafkaConsumer {
    /// Joins `group`, which shares the `partitions` partitions of `topic` among its members.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the settings are refused.
    pub fn join(
        config: KafkaConfig,
        topic: impl Into<String>,
        partitions: u16,
        group: impl Into<String>,
    ) -> Result<Self, ClientError> {
        let group = group.into();
        Self::start(config, topic.into(), partitions, Mode::Group(group))
    }

    /// Reads all `partitions` partitions of `topic` by itself, whatever others do, each from its beginning.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the settings are refused.
    pub fn read_all(
        config: KafkaConfig,
        topic: impl Into<String>,
        partitions: u16,
    ) -> Result<Self, ClientError> {
        Self::start(config, topic.into(), partitions, Mode::All)
    }

    fn start(
        config: KafkaConfig,
        topic: String,
        partitions: u16,
        mode: Mode,
    ) -> Result<Self, ClientError> {
        let shared = Arc::new(Shared {
            topic,
            lanes: (0..partitions).map(|_| Lane::default()).collect(),
            assignment: watch::Sender::new(Assignment::default()),
        });
        let (asks, asked) = std::sync::mpsc::channel();
        let poller = Poller::new(config, mode, Arc::clone(&shared), asked).map_err(client)?;
        let thread = std::thread::Builder::new().name("kafka-consumer".to_owned());
        let started = thread.spawn(move || poller.run());
        started.map_err(|error| ClientError {
            source: error.into(),
        })?;
        Ok(Self(Arc::new(Handle { shared, asks })))
    }

    /// Commits the group's offsets and leaves the group; completes once that is done. The consumer gives nothing more.
    ///
    /// Dropping the last clone does the same, unwatched.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.0.asks.send(Ask::Close(done)).is_ok() {
            // The thread ends in any case; that it ended without an answer is an answer.
            let _ = closed.await;
        }
    }
}

impl Assigned for KafkaConsumer {
    async fn changed(&self, seen: u64) -> Assignment {
        let mut changes = self.0.shared.assignment.subscribe();
        loop {
            let now = changes.borrow_and_update().clone();
            if now.number != seen {
                return now;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl ConsumeEvents for KafkaConsumer {
    async fn seek(&self, partition: Partition, after: Position) -> Result<(), BusError> {
        let (done, answer) = oneshot::channel();
        let ask = Ask::Seek {
            partition,
            after,
            done,
        };
        self.0.asks.send(ask).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    async fn next(&self, partition: Partition, max: usize) -> Result<Vec<BusRecord>, BusError> {
        let Some(lane) = self.0.shared.lane(partition) else {
            return Err(bus(format!("the topic has no partition {partition}")));
        };
        let (records, resume) = lane.take(max.max(1)).await?;
        if resume {
            // Where the thread is gone, the next call says so.
            let _ = self.0.asks.send(Ask::Resume(partition));
        }
        Ok(records)
    }

    fn done(&self, partition: Partition, done: Position, offset: u64) {
        // A hint; where the thread is gone, nobody needs it.
        let _ = self.0.asks.send(Ask::Done {
            partition,
            done,
            offset,
        });
    }
}

fn closed() -> BusError {
    bus("the consumer is closed")
}
