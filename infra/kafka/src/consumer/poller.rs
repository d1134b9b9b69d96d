//! The thread that polls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use cqrs_core::{BusError, Partition, Position};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset};
use tokio::sync::oneshot;

use super::Shared;
use crate::error::bus;
use crate::{KafkaConfig, record, topic};

/// How long a poll waits, and so how long a reader's ask may.
const POLL: Duration = Duration::from_millis(10);
/// How often offsets are committed.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long a question to the brokers may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose the partitions are.
#[derive(Debug)]
pub(super) enum Mode {
    /// The group's.
    Group(String),
    /// All of them this consumer's.
    All,
}

/// What readers want of the thread.
#[derive(Debug)]
pub(super) enum Ask {
    Seek {
        partition: Partition,
        after: Position,
        done: oneshot::Sender<Result<(), BusError>>,
    },
    Resume(Partition),
    Done {
        partition: Partition,
        done: Position,
        offset: u64,
    },
    Close(oneshot::Sender<()>),
}

pub(super) struct Poller {
    settings: ClientConfig,
    mode: Mode,
    shared: Arc<Shared>,
    asks: Receiver<Ask>,
    consumer: BaseConsumer<Rebalances>,
    /// Seeks that came before the client had begun with their partition.
    early: Vec<(Ask, Instant)>,
    /// What is done and not committed.
    done: BTreeMap<Partition, (Position, u64)>,
    committed: Instant,
}

impl Poller {
    pub(super) fn new(
        config: KafkaConfig,
        mode: Mode,
        shared: Arc<Shared>,
        asks: Receiver<Ask>,
    ) -> KafkaResult<Self> {
        let mut settings = config.client();
        let group = match &mode {
            Mode::Group(group) => group.as_str(),
            // Never joined and never committed to: the client wants a name.
            Mode::All => "none",
        };
        settings
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "1000")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("queued.min.messages", "10000")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.wait.max.ms", "100")
            .set("message.max.bytes", topic::MAX_RECORD)
            .set("fetch.message.max.bytes", topic::MAX_RECORD);
        let consumer = connect(&settings, &mode, &shared)?;
        Ok(Self {
            settings,
            mode,
            shared,
            asks,
            consumer,
            early: Vec::new(),
            done: BTreeMap::new(),
            committed: Instant::now(),
        })
    }

    /// Polls until it is told to close, or nobody can ask any more.
    pub(super) fn run(mut self) {
        let closing = loop {
            match self.answer() {
                Some(closing) => break closing,
                None => self.poll(),
            }
            if self.committed.elapsed() >= COMMIT_EVERY {
                self.commit(CommitMode::Async);
            }
        };
        self.commit(CommitMode::Sync);
        self.shared.revoke(&self.shared.assigned());
        for lane in &self.shared.lanes {
            lane.close();
        }
        // Leaves the group.
        drop(self.consumer);
        if let Some(done) = closing {
            // Whoever asked may be gone.
            let _ = done.send(());
        }
    }

    /// Answers what is asked; `Some` where it is the end.
    fn answer(&mut self) -> Option<Option<oneshot::Sender<()>>> {
        for (ask, since) in std::mem::take(&mut self.early) {
            self.seek(ask, since);
        }
        loop {
            match self.asks.try_recv() {
                Ok(Ask::Close(done)) => return Some(Some(done)),
                Ok(ask @ Ask::Seek { .. }) => self.seek(ask, Instant::now()),
                Ok(Ask::Resume(partition)) => {
                    if self.shared.lane(partition).is_some_and(super::Lane::resume)
                        && let Err(error) = self.consumer.resume(&self.list([partition]))
                    {
                        tracing::warn!(%partition, %error, "could not be resumed");
                    }
                }
                Ok(Ask::Done {
                    partition,
                    done,
                    offset,
                }) => {
                    self.done.insert(partition, (done, offset));
                }
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return Some(None),
            }
        }
    }

    fn seek(&mut self, ask: Ask, since: Instant) {
        let Ask::Seek {
            partition,
            after,
            done,
        } = ask
        else {
            return;
        };
        let lane = self.shared.lane(partition);
        let Some((lane, term)) = lane.and_then(|lane| lane.term().map(|term| (lane, term))) else {
            let error = bus(format!("partition {partition} is not assigned"));
            let _ = done.send(Err(error));
            return;
        };
        lane.lift();
        match self.place(partition, after) {
            Ok(()) => {
                lane.place(term);
                let _ = done.send(Ok(()));
            }
            // The client takes a moment to begin with a partition.
            Err(error) if too_early(&error) && since.elapsed() < PATIENCE => {
                let ask = Ask::Seek {
                    partition,
                    after,
                    done,
                };
                self.early.push((ask, since));
            }
            Err(error) => {
                let _ = done.send(Err(bus(error)));
            }
        }
    }

    /// Moves the cursor and lets the records come.
    fn place(&self, partition: Partition, after: Position) -> KafkaResult<()> {
        let offset = self.kept(partition, after)?.unwrap_or(Offset::Beginning);
        let mut list = self.list([partition]);
        list.set_all_offsets(offset)?;
        let sought = self.consumer.seek_partitions(list, PATIENCE)?;
        for element in sought.elements() {
            element.error()?;
        }
        tracing::debug!(topic = self.shared.topic, %partition, %after, ?offset, "placed");
        self.consumer.resume(&self.list([partition]))
    }

    /// The group's offset, where it is not beyond `after`.
    fn kept(&self, partition: Partition, after: Position) -> KafkaResult<Option<Offset>> {
        if after == Position::START || matches!(self.mode, Mode::All) {
            return Ok(None);
        }
        let list = self.list([partition]);
        let kept = self.consumer.committed_offsets(list, PATIENCE)?;
        for element in kept.elements() {
            element.error()?;
            let position = element.metadata().parse().map(Position::new);
            if let (Offset::Offset(offset), Ok(position)) = (element.offset(), position)
                && position <= after
            {
                return Ok(Some(Offset::Offset(offset)));
            }
        }
        Ok(None)
    }

    fn list(&self, partitions: impl IntoIterator<Item = Partition>) -> TopicPartitionList {
        list(&self.shared.topic, partitions)
    }

    fn poll(&mut self) {
        match self.consumer.poll(POLL) {
            None => {}
            Some(Ok(message)) => self.take(&message),
            Some(Err(error)) => {
                tracing::warn!(topic = self.shared.topic, %error, "consuming");
                if self.consumer.client().fatal_error().is_some() {
                    self.renew();
                }
            }
        }
    }

    fn take(&self, message: &BorrowedMessage<'_>) {
        let record = match record::read(message) {
            Ok(record) => record,
            Err(error) => {
                let partition = message.partition();
                tracing::error!(topic = self.shared.topic, partition, %error, "not an event: skipped");
                return;
            }
        };
        let partition = record.id.at.partition;
        let full = self
            .shared
            .lane(partition)
            .is_some_and(|lane| lane.add(record));
        if full && let Err(error) = self.consumer.pause(&self.list([partition])) {
            tracing::warn!(%partition, %error, "could not be paused");
        }
    }

    /// Makes the client anew, after a fatal error.
    fn renew(&mut self) {
        self.shared.revoke(&self.shared.assigned());
        match connect(&self.settings, &self.mode, &self.shared) {
            Ok(consumer) => self.consumer = consumer,
            // Its next error makes another attempt.
            Err(error) => tracing::error!(topic = self.shared.topic, %error, "not made anew"),
        }
    }

    /// Keeps what is done as the group's offsets.
    fn commit(&mut self, mode: CommitMode) {
        self.committed = Instant::now();
        let done = std::mem::take(&mut self.done);
        if done.is_empty() || matches!(self.mode, Mode::All) {
            return;
        }
        let mut list = TopicPartitionList::new();
        for (partition, (position, offset)) in done {
            let ours = self
                .shared
                .lane(partition)
                .is_some_and(|lane| lane.term().is_some());
            if ours {
                let number = i32::from(partition.index());
                let mut element = list.add_partition(&self.shared.topic, number);
                element.set_metadata(position.to_string());
                let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
                if let Err(error) = element.set_offset(offset) {
                    tracing::warn!(%partition, %error, "no such offset");
                }
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, mode)
        {
            tracing::debug!(topic = self.shared.topic, %error, "the group's offsets lag");
        }
    }
}

fn too_early(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::State
                | RDKafkaErrorCode::InProgress
                | RDKafkaErrorCode::PreviousInProgress
        )
    )
}

fn list(topic: &str, partitions: impl IntoIterator<Item = Partition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(topic, i32::from(partition.index()));
    }
    list
}

fn connect(
    settings: &ClientConfig,
    mode: &Mode,
    shared: &Arc<Shared>,
) -> KafkaResult<BaseConsumer<Rebalances>> {
    let context = Rebalances(Arc::clone(shared));
    let consumer: BaseConsumer<Rebalances> = settings.create_with_context(context)?;
    match mode {
        Mode::Group(_) => consumer.subscribe(&[&shared.topic])?,
        Mode::All => {
            let count = u16::try_from(shared.lanes.len()).unwrap_or(u16::MAX);
            let partitions: Vec<_> = Partition::all(count).collect();
            begin(&consumer, shared, &partitions, BaseConsumer::assign)?;
        }
    }
    Ok(consumer)
}

/// Assigns `partitions`, paused, and tells the readers.
fn begin(
    consumer: &BaseConsumer<Rebalances>,
    shared: &Shared,
    partitions: &[Partition],
    assign: impl Fn(&BaseConsumer<Rebalances>, &TopicPartitionList) -> KafkaResult<()>,
) -> KafkaResult<()> {
    let mut wanted = list(&shared.topic, partitions.iter().copied());
    // Not the group's offset: the reader's checkpoint decides, and the group's would cost a question now.
    wanted.set_all_offsets(Offset::Beginning)?;
    assign(consumer, &wanted)?;
    consumer.pause(&wanted)?;
    shared.assign(partitions);
    Ok(())
}

/// Assigns and revokes as the group says. Runs in the polling thread.
struct Rebalances(Arc<Shared>);

impl Rebalances {
    fn partitions(&self, list: &TopicPartitionList) -> Vec<Partition> {
        let elements = list.elements_for_topic(&self.0.topic);
        let numbers = elements
            .iter()
            .map(|element| u16::try_from(element.partition()));
        numbers.filter_map(Result::ok).map(Partition::new).collect()
    }
}

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        change: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions = self.partitions(list);
        let changed = match change {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                tracing::info!(topic = self.0.topic, ?partitions, "assigned");
                begin(
                    consumer,
                    &self.0,
                    &partitions,
                    BaseConsumer::incremental_assign,
                )
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                tracing::info!(topic = self.0.topic, ?partitions, "revoked");
                self.0.revoke(&partitions);
                consumer.incremental_unassign(list)
            }
            other => {
                self.0.revoke(&self.0.assigned());
                tracing::error!(topic = self.0.topic, error = ?other, "the group was lost");
                consumer.unassign()
            }
        };
        if let Err(error) = changed {
            tracing::error!(topic = self.0.topic, %error, "the group's change was not followed");
        }
    }
}
