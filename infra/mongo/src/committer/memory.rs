//! A partition in memory whose answers are lost, late or delayed when they are told to be.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bson::RawDocumentBuf;
use cqrs_core::testing::SeededRandom;
use cqrs_core::{CommandId, Position, Random, StreamName};
use tokio::time::Instant;

use crate::engine::{Documents, Engine, Inserted, Slice, Time};
use crate::error::StoreFailure;
use crate::record::{self, Stub};

/// What happens to one insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// Nothing of it is written; the outcome is unknown.
    Before,
    /// All that can be is written; the outcome is unknown.
    After,
    /// So many documents are written; the outcome is unknown.
    Partly(usize),
    /// The outcome is unknown, and it is written later, whenever that is.
    Late,
    /// The code has a bug.
    Panic,
}

#[derive(Clone)]
pub(super) struct MemoryEngine(Arc<Mutex<State>>, Instant);

pub(super) struct State {
    pub(super) log: BTreeMap<u64, Stub>,
    pub(super) script: VecDeque<Fault>,
    late: Vec<Vec<Arc<RawDocumentBuf>>>,
    /// Reads that fail before one is answered again.
    pub(super) failing_reads: u32,
    /// Reads that were answered.
    pub(super) reads: usize,
    pub(super) inserts: usize,
    /// Who was sent, and by whom.
    pub(super) sent: HashSet<(CommandId, i64)>,
    pub(super) confirmations: usize,
    /// Every insert, position by position, that would have left a hole.
    pub(super) holes: Vec<u64>,
    random: SeededRandom,
    percent: u64,
}

impl MemoryEngine {
    /// Of a hundred calls, `percent` meet a fault drawn from `seed`.
    pub(super) fn new(seed: u64, percent: u64) -> Self {
        let state = State {
            log: BTreeMap::new(),
            script: VecDeque::new(),
            late: Vec::new(),
            failing_reads: 0,
            reads: 0,
            inserts: 0,
            sent: HashSet::new(),
            confirmations: 0,
            holes: Vec::new(),
            random: SeededRandom::new(seed),
            percent,
        };
        Self(Arc::new(Mutex::new(state)), Instant::now())
    }

    pub(super) fn script(faults: impl IntoIterator<Item = Fault>) -> Self {
        let engine = Self::new(0, 0);
        engine.state().script = faults.into_iter().collect();
        engine
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn delay(&self) {
        let drawn = self.state().random.next_u64();
        if self.state().percent > 0 {
            tokio::time::sleep(Duration::from_millis(drawn % 7)).await;
        } else {
            tokio::task::yield_now().await;
        }
    }

    async fn read<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T, StoreFailure> {
        self.delay().await;
        let mut state = self.state();
        if state.failing_reads > 0 {
            state.failing_reads -= 1;
            return Err(StoreFailure::new("injected"));
        }
        let percent = state.percent;
        if state.random.next_u64() % 100 < percent / 2 {
            return Err(StoreFailure::new("injected"));
        }
        state.reads += 1;
        Ok(read(&state))
    }
}

impl State {
    /// Writes in order, up to the first that meets a key that is there.
    pub(super) fn write(&mut self, docs: &[Arc<RawDocumentBuf>]) -> Inserted {
        for (index, doc) in docs.iter().enumerate() {
            let stub = record::stub(doc).unwrap();
            let taken = self.log.values().any(|there| {
                there.position == stub.position
                    || there.command == stub.command
                    || (there.stream == stub.stream && there.first == stub.first)
            });
            if taken {
                return Inserted::Lost(index);
            }
            let position = stub.position.get();
            if position > 1 && !self.log.contains_key(&(position - 1)) {
                self.holes.push(position);
            }
            self.log.insert(position, stub);
        }
        Inserted::All
    }

    /// Lets the oldest attempt that was given up arrive.
    pub(super) fn arrive(&mut self) -> bool {
        if self.late.is_empty() {
            return false;
        }
        let docs = self.late.remove(0);
        drop(self.write(&docs));
        true
    }

    fn draw(&mut self, docs: usize) -> Fault {
        if let Some(fault) = self.script.pop_front() {
            return fault;
        }
        if self.random.next_u64() % 100 >= self.percent {
            return Fault::None;
        }
        match self.random.next_u64() % 4 {
            0 => Fault::Before,
            1 => Fault::After,
            2 => Fault::Partly(self.random.next_u64() as usize % docs.max(1)),
            _ => Fault::Late,
        }
    }

    fn last_of(&self, stream: &StreamName) -> Option<Stub> {
        let of_stream = self.log.values().filter(|stub| stub.stream == *stream);
        of_stream.max_by_key(|stub| stub.first).cloned()
    }
}

impl Engine for MemoryEngine {
    async fn insert(&self, docs: Vec<Arc<RawDocumentBuf>>) -> Inserted {
        self.delay().await;
        let answer = {
            let mut state = self.state();
            state.inserts += 1;
            for doc in &docs {
                let stub = record::stub(doc).unwrap();
                state.sent.insert((stub.command, stub.writer));
            }
            if state.percent > 0 && state.random.next_u64().is_multiple_of(3) {
                state.arrive();
            }
            let unknown = Inserted::Unknown(StoreFailure::new("injected"));
            match state.draw(docs.len()) {
                Fault::None => state.write(&docs),
                Fault::Before => unknown,
                Fault::After => {
                    drop(state.write(&docs));
                    unknown
                }
                Fault::Partly(count) => {
                    drop(state.write(&docs[..count.min(docs.len())]));
                    unknown
                }
                Fault::Late => {
                    state.late.push(docs);
                    unknown
                }
                Fault::Panic => {
                    drop(state);
                    panic!("on purpose");
                }
            }
        };
        self.delay().await;
        answer
    }

    async fn head(&self, known: Position) -> Result<Position, StoreFailure> {
        self.read(|state| {
            let last = state.log.last_key_value();
            last.map_or(known, |(_, stub)| stub.position.max(known))
        })
        .await
    }

    async fn after(&self, position: Position, limit: usize) -> Result<Vec<Stub>, StoreFailure> {
        self.read(|state| {
            let rest = state.log.range(position.get() + 1..);
            rest.take(limit).map(|(_, stub)| stub.clone()).collect()
        })
        .await
    }

    async fn last_of(&self, stream: StreamName) -> Result<Option<Stub>, StoreFailure> {
        self.read(|state| state.last_of(&stream)).await
    }

    async fn by_commands(&self, commands: Vec<CommandId>) -> Result<Vec<Stub>, StoreFailure> {
        self.read(|state| {
            let found = state.log.values();
            found
                .filter(|stub| commands.contains(&stub.command))
                .cloned()
                .collect()
        })
        .await
    }

    async fn is_taken(&self, stream: StreamName, first: u64) -> Result<bool, StoreFailure> {
        self.state().confirmations += 1;
        self.read(|state| {
            let mut log = state.log.values();
            log.any(|stub| stub.stream == stream && stub.first == first)
        })
        .await
    }

    async fn documents(&self, _: Slice, _: usize) -> Result<Documents, StoreFailure> {
        Err(StoreFailure::new("a committer reads no whole documents"))
    }

    async fn document_of(&self, _: CommandId) -> Result<Option<RawDocumentBuf>, StoreFailure> {
        Err(StoreFailure::new("a committer reads no whole documents"))
    }
}

impl Time for MemoryEngine {
    fn now(&self) -> Duration {
        self.1.elapsed()
    }

    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(span)
    }
}
