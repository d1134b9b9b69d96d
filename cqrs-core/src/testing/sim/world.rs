//! A world: its places, its numbers, its time and its history.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use crate::testing::SeededRandom;
use crate::time::{Clock, Random, Timestamp};

use super::node::{Node, NodeId};
use super::tasks::{Ready, Task, TaskId};
use super::traps::Chain;

/// The moment at which every simulation begins.
pub(super) const EPOCH_MILLIS: i64 = 1_700_000_000_000;

/// What happens at a moment.
pub(super) enum Due {
    Wake(Waker),
    Run(Box<dyn FnOnce() + Send>),
}

type Boot = Arc<dyn Fn(Node) + Send + Sync>;

/// A process or an engine.
pub(super) struct Place {
    pub(super) name: String,
    /// `None` for an engine, which has no tasks and does not crash by itself.
    pub(super) boot: Option<Boot>,
    /// Not of the system: no plan touches it.
    pub(super) outside: bool,
    pub(super) up: bool,
    pub(super) life: u64,
    pub(super) paused: bool,
    /// Tasks that were woken while it was paused.
    pub(super) held: Vec<TaskId>,
    /// How far its clock is off, in milliseconds.
    pub(super) skew: i64,
    /// Crashes after so many polls of its tasks, then boots again after that long.
    pub(super) fuse: Option<(u32, Duration)>,
}

pub(super) struct State {
    pub(super) now: u64,
    next: u64,
    pub(super) timers: BTreeMap<(u64, u64), Due>,
    pub(super) tasks: Vec<Option<Task>>,
    pub(super) places: Vec<Place>,
    /// Pairs that cannot reach each other: how many faults keep them apart.
    pub(super) cut: BTreeMap<(NodeId, NodeId), u32>,
    /// Of a hundred calls to this place, so many go wrong, for each fault that says so.
    pub(super) flaky: BTreeMap<NodeId, Vec<(u64, u8)>>,
    /// What processes will fall into.
    pub(super) traps: Vec<Chain>,
    digest: u64,
    history: Option<Vec<String>>,
    pub(super) running: Option<TaskId>,
    pub(super) over: bool,
    pub(super) polls: u64,
}

/// A world: see the [module](super). Cheap to clone; clones are the same world.
#[derive(Clone)]
pub struct Sim(pub(super) Arc<Shared>);

pub(super) struct Shared {
    seed: u64,
    pub(super) random: SeededRandom,
    pub(super) ready: Arc<Ready>,
    state: Mutex<State>,
}

impl Sim {
    /// The world of `seed`, empty.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Shared {
            seed,
            random: SeededRandom::new(seed),
            ready: Arc::default(),
            state: Mutex::new(State {
                now: 0,
                next: 0,
                timers: BTreeMap::new(),
                tasks: Vec::new(),
                places: Vec::new(),
                cut: BTreeMap::new(),
                flaky: BTreeMap::new(),
                traps: Vec::new(),
                digest: 0xcbf2_9ce4_8422_2325,
                history: None,
                running: None,
                over: false,
                polls: 0,
            }),
        }))
    }

    /// The same, which writes down what happens: see [`history`](Self::history).
    #[must_use]
    pub fn recording(self) -> Self {
        self.state().history = Some(Vec::new());
        self
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// A process: `boot` spawns its tasks, now and after each crash.
    pub fn node(&self, name: &str, boot: impl Fn(Node) + Send + Sync + 'static) -> NodeId {
        let id = self.place(name, Some(Arc::new(boot)), false);
        self.boot(id);
        id
    }

    /// A process that is not of the system, like a client: no drawn plan touches it.
    pub fn outside(&self, name: &str, boot: impl Fn(Node) + Send + Sync + 'static) -> NodeId {
        let id = self.place(name, Some(Arc::new(boot)), true);
        self.boot(id);
        id
    }

    /// An engine: a place for the network to reach, without tasks.
    pub fn engine(&self, name: &str) -> NodeId {
        self.place(name, None, false)
    }

    fn place(&self, name: &str, boot: Option<Boot>, outside: bool) -> NodeId {
        let mut state = self.state();
        state.places.push(Place {
            name: name.to_owned(),
            up: boot.is_none(),
            boot,
            outside,
            life: 0,
            paused: false,
            held: Vec::new(),
            skew: 0,
            fuse: None,
        });
        NodeId(state.places.len() - 1)
    }

    /// All processes of the system, then all engines.
    #[must_use]
    pub fn places(&self) -> (Vec<NodeId>, Vec<NodeId>) {
        let state = self.state();
        let all = (0..state.places.len()).map(NodeId);
        let all = all.filter(|id| !state.places[id.0].outside);
        all.partition(|id| state.places[id.0].boot.is_some())
    }

    /// What a place is called.
    #[must_use]
    pub fn name_of(&self, id: NodeId) -> String {
        self.state().places[id.0].name.clone()
    }

    /// Time since the beginning.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.state().now)
    }

    /// How many polls there were.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.state().polls
    }

    /// A number from the seed's stream.
    #[must_use]
    pub fn draw(&self) -> u64 {
        self.0.random.next_u64()
    }

    /// A number below `bound`, which is at least 1.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        self.draw() % bound.max(1)
    }

    /// Whether something happens that does so `percent` times in a hundred.
    #[must_use]
    pub fn chance(&self, percent: u8) -> bool {
        percent > 0 && self.below(100) < u64::from(percent)
    }

    /// Does `act` after `delay`, whatever is crashed or paused then: the world's own doing.
    pub fn after(&self, delay: Duration, act: impl FnOnce() + Send + 'static) {
        self.schedule(delay, Due::Run(Box::new(act)));
    }

    /// Ends the run at the next turn.
    pub fn finish(&self) {
        self.state().over = true;
    }

    /// A number that two runs share only if everything in them happened alike.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.state().digest
    }

    /// What happened, line by line; empty unless it was [recorded](Self::recording).
    #[must_use]
    pub fn history(&self) -> Vec<String> {
        self.state().history.clone().unwrap_or_default()
    }

    /// Writes a line of history about a place, where it is recorded.
    pub fn note(&self, id: NodeId, text: impl FnOnce() -> String) {
        if self.state().history.is_none() {
            return;
        }
        let text = text();
        let mut state = self.state();
        let (now, name) = (state.now, state.places[id.0].name.clone());
        if let Some(history) = &mut state.history {
            let (millis, rest) = (now / 1_000, now % 1_000);
            history.push(format!("{millis:>7}.{rest:03} ms  {name:<10} {text}"));
        }
    }

    /// Takes note of something that two alike runs share.
    pub fn mark(&self, numbers: &[u64]) {
        self.state().mark(numbers);
    }

    pub(super) fn schedule(&self, delay: Duration, due: Due) -> (u64, u64) {
        let mut state = self.state();
        let key = (state.now + micros(delay), state.next);
        state.next += 1;
        state.timers.insert(key, due);
        key
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under it half-way through a change.
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The true time, which no process knows.
impl Clock for Sim {
    fn now(&self) -> Timestamp {
        let millis = i64::try_from(self.state().now / 1_000).unwrap_or(i64::MAX);
        Timestamp::from_millis(EPOCH_MILLIS + millis)
    }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX / 4)
}

impl State {
    /// FNV-1a, by words.
    pub(super) fn mark(&mut self, numbers: &[u64]) {
        for number in numbers {
            self.digest = (self.digest ^ number)
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(23);
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim")
            .field("seed", &self.0.seed)
            .finish_non_exhaustive()
    }
}
