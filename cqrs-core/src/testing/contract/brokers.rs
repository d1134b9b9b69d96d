//! What the suites of a bus open, and how they read and wait.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::bus::{
    Accept, Assigned, Assignment, BusError, BusRecord, ConsumeEvents, PublishEvents, Sequencer,
};
use crate::envelope::{RequestHash, TraceContext};
use crate::ledger::{Reservations, ReservedValue};
use crate::log::{CommitHeader, RecordedCommit};
use crate::position::{LogPosition, Partition, Position};
use crate::time::{Timer, Timestamp};
use crate::version::{ExpectedVersion, Version};

/// How long anything may take that must come.
const LIMIT: Duration = Duration::from_secs(60);

pub(super) const FIRST: Partition = Partition::new(0);

/// What an adapter opens for each test of [`bus_contract!`](crate::bus_contract): a bus of
/// [four partitions](Self::PARTITIONS), empty.
///
/// It need not be [`Send`]: a test is one thread's, and a cluster that is mocked may belong to it.
pub trait Brokers {
    /// How many partitions the bus has.
    const PARTITIONS: u16 = 4;
    /// What publishes.
    type Publisher: PublishEvents;
    /// What reads. Dropped, it ends as with its process.
    type Consumer: ConsumeEvents + Assigned;
    /// What waits, in the time in which the bus lives.
    type Timer: Timer;

    /// A publisher, as a process of its own has it.
    fn publisher(&self) -> Self::Publisher;

    /// A consumer that shares nothing: all partitions are its own, at once or soon.
    fn reader(&self) -> Self::Consumer;

    /// A new member of `group`, which no other bus has.
    fn join(&self, group: &str) -> Self::Consumer;

    /// Has `member` leave in good order.
    fn leave(&self, member: Self::Consumer) -> impl Future<Output = ()>;

    /// The timer.
    fn timer(&self) -> Self::Timer;
}

/// What comes of `future`, which must not take long.
pub(super) async fn soon<T>(bus: &impl Brokers, what: &str, future: impl Future<Output = T>) -> T {
    let timer = bus.timer();
    match select(pin!(future), pin!(timer.sleep(LIMIT))).await {
        Either::Left((came, _)) => came,
        Either::Right(_) => panic!("{what}: not within {LIMIT:?}"),
    }
}

/// What `member` has, once it `fits`.
pub(super) async fn assigned<B: Brokers>(
    bus: &B,
    member: &B::Consumer,
    what: &str,
    fits: impl Fn(&Assignment) -> bool,
) -> Assignment {
    let mut seen = u64::MAX;
    let fitting = async {
        loop {
            let now = member.changed(seen).await;
            if fits(&now) {
                return now;
            }
            seen = now.number;
        }
    };
    soon(bus, what, fitting).await
}

pub(super) fn has_all<B: Brokers>(_: &B) -> impl Fn(&Assignment) -> bool + use<B> {
    |now| {
        now.partitions
            .keys()
            .copied()
            .eq(Partition::all(B::PARTITIONS))
    }
}

/// A reader that has all partitions.
pub(super) async fn reader<B: Brokers>(bus: &B) -> B::Consumer {
    let reader = bus.reader();
    assigned(bus, &reader, "a reader has all partitions", has_all(bus)).await;
    reader
}

/// The commits at `positions`, of one to three events, with what only the ledger needs.
pub(super) fn commits(partition: Partition, positions: RangeInclusive<u64>) -> Vec<RecordedCommit> {
    const PAYLOADS: [&str; 3] = ["{\"text\":\"é\"}", "{}", "[1, null]"];
    let value = |text| vec![ReservedValue::new("handle", text)];
    let commit = |position: u64| {
        let events = 1 + usize::try_from(position % 3).unwrap();
        let number = 1_000 * u64::from(partition.index()) + position;
        let stream = super::stream(position % 5);
        let commit = super::commit(number, &stream, ExpectedVersion::Any, &PAYLOADS[..events]);
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        RecordedCommit {
            at: LogPosition::new(partition, Position::new(position)),
            stream,
            version: Version::new(number + 10),
            header: CommitHeader {
                request: Some(RequestHash::new([7; 32])),
                time: Timestamp::from_millis(1_700_000_000_000 + position.cast_signed()),
                trace: TraceContext::parse(trace, Some("vendor=1")),
                ..commit.header
            },
            events: commit.events,
            reservations: Reservations {
                reserve: value("a"),
                release: value("b"),
            },
        }
    };
    positions.map(commit).collect()
}

/// What the bus is to give of `slice`; the offsets are the bus's own.
pub(super) fn due(slice: &[RecordedCommit]) -> Vec<BusRecord> {
    let events = slice.iter().flat_map(RecordedCommit::recorded_events);
    let record = events.map(|event| BusRecord {
        id: event.id,
        count: u32::try_from(event.commit.events.len()).unwrap(),
        offset: 0,
        stream: event.commit.stream.clone(),
        version: event.version,
        header: CommitHeader {
            request: None,
            ..event.commit.header.clone()
        },
        data: event.data.clone(),
    });
    record.collect()
}

/// Publishes `slice`, which must be well; where it ended.
pub(super) async fn publish<B: Brokers>(
    bus: &B,
    publisher: &B::Publisher,
    slice: &[RecordedCommit],
) -> u64 {
    let partition = slice[0].at.partition;
    let publishing = publisher.publish(partition, slice);
    soon(bus, "a slice is published", publishing).await.unwrap()
}

pub(super) async fn end<B: Brokers>(
    bus: &B,
    publisher: &B::Publisher,
    partition: Partition,
) -> u64 {
    let end = publisher.end(partition);
    soon(bus, "the bus says where it ends", end).await.unwrap()
}

pub(super) async fn holds<B: Brokers>(
    bus: &B,
    publisher: &B::Publisher,
    position: u64,
    offset: u64,
) -> bool {
    let holds = publisher.holds(FIRST, Position::new(position), offset);
    soon(bus, "the bus says what it holds", holds)
        .await
        .unwrap()
}

/// Reads one partition as the traits say: what comes is judged by a [`Sequencer`].
pub(super) struct Reading<'a, B: Brokers> {
    bus: &'a B,
    consumer: &'a B::Consumer,
    partition: Partition,
    sequencer: Sequencer,
    /// All that came, by offset.
    pub(super) came: BTreeMap<u64, BusRecord>,
    /// The offset of what came first.
    pub(super) first: Option<u64>,
    /// What was to be taken, with no offset.
    pub(super) taken: Vec<BusRecord>,
    /// How many records came too early.
    pub(super) holes: usize,
}

impl<'a, B: Brokers> Reading<'a, B> {
    /// Moves the cursor behind position `after`.
    pub(super) async fn after(
        bus: &'a B,
        consumer: &'a B::Consumer,
        partition: Partition,
        after: u64,
    ) -> Self {
        let after = Position::new(after);
        let seek = consumer.seek(partition, after);
        soon(bus, "a cursor is moved", seek).await.unwrap();
        Self {
            bus,
            consumer,
            partition,
            sequencer: Sequencer::after(after),
            came: BTreeMap::new(),
            first: None,
            taken: Vec::new(),
            holes: 0,
        }
    }

    pub(super) async fn try_next(&mut self, max: usize) -> Result<(), BusError> {
        let next = self.consumer.next(self.partition, max);
        let (partition, came) = (self.partition, self.came.len());
        let what = format!("partition {partition} goes on, of which {came} records came");
        let records = soon(self.bus, &what, next).await?;
        self.take(records, max);
        Ok(())
    }

    pub(super) fn take(&mut self, records: Vec<BusRecord>, max: usize) {
        assert!((1..=max).contains(&records.len()), "at most {max}");
        for mut record in records {
            assert_eq!(record.id.at.partition, self.partition);
            self.first.get_or_insert(record.offset);
            let before = self.came.insert(record.offset, record.clone());
            assert!(
                before.as_ref().is_none_or(|before| *before == record),
                "one offset, one record: {before:?}, {record:?}"
            );
            let (at, index) = (record.id.at.position, record.id.index);
            match self.sequencer.accept(at, index, record.count) {
                Accept::Take => {
                    record.offset = 0;
                    self.taken.push(record);
                }
                Accept::Repeat => {}
                Accept::Hole => self.holes += 1,
            }
        }
    }

    /// Goes on until as many events are taken as `slice` has, which must be its own, with nothing left out between.
    pub(super) async fn finds(&mut self, slice: &[RecordedCommit]) {
        let due = due(slice);
        while self.taken.len() < due.len() && self.holes == 0 {
            self.try_next(7).await.unwrap();
        }
        assert_eq!(self.taken, due);
        assert_eq!(self.holes, 0);
    }

    /// Goes on up to the record before `end`; all that came, in the order of the bus.
    pub(super) async fn up_to(&mut self, end: u64) -> Vec<BusRecord> {
        while !self.came.contains_key(&(end - 1)) {
            self.try_next(7).await.unwrap();
        }
        let came = self.came.values().cloned();
        came.map(|record| BusRecord {
            offset: 0,
            ..record
        })
        .collect()
    }
}

pub(super) fn partitions<B: Brokers>(_: &B) -> impl Iterator<Item = Partition> + use<B> {
    Partition::all(B::PARTITIONS)
}
