//! The executor, the clock and the network's state.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::testing::SeededRandom;
use crate::time::{Clock, Random, Timer, Timestamp};

use super::node::{Node, NodeId};
use super::tasks::{Ready, Task, TaskId, Waking};

/// The moment at which every simulation begins.
const EPOCH_MILLIS: i64 = 1_700_000_000_000;

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
    outside: bool,
    pub(super) up: bool,
    pub(super) life: u64,
    pub(super) paused: bool,
    /// Tasks that were woken while it was paused.
    held: Vec<TaskId>,
    /// How far its clock is off, in milliseconds.
    pub(super) skew: i64,
    /// Crashes after so many polls of its tasks, then boots again after that long.
    pub(super) fuse: Option<(u32, Duration)>,
}

pub(super) struct State {
    pub(super) now: u64,
    next: u64,
    pub(super) timers: BTreeMap<(u64, u64), Due>,
    tasks: Vec<Option<Task>>,
    pub(super) places: Vec<Place>,
    /// Pairs that cannot reach each other: how many faults keep them apart.
    pub(super) cut: BTreeMap<(NodeId, NodeId), u32>,
    /// Of a hundred calls to this place, so many go wrong, for each fault that says so.
    pub(super) flaky: BTreeMap<NodeId, Vec<(u64, u8)>>,
    digest: u64,
    history: Option<Vec<String>>,
    running: Option<TaskId>,
    over: bool,
    polls: u64,
}

/// A world: see the [module](super). Cheap to clone; clones are the same world.
#[derive(Clone)]
pub struct Sim(Arc<Shared>);

struct Shared {
    seed: u64,
    random: SeededRandom,
    ready: Arc<Ready>,
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

    /// Crashes a process: all its futures are dropped. It stays down until it is [booted](Self::boot).
    pub fn crash(&self, id: NodeId) {
        let dropped = {
            let mut state = self.state();
            let state = &mut *state;
            let place = &mut state.places[id.0];
            if !place.up || place.boot.is_none() {
                return;
            }
            (place.up, place.paused, place.fuse) = (false, false, None);
            place.held.clear();
            let running = state.running;
            let of_it = |(task, slot): (TaskId, &mut Option<Task>)| {
                let its = slot.as_ref().is_some_and(|task| task.node == id);
                if its && Some(task) != running {
                    slot.take()
                } else {
                    None
                }
            };
            let dropped: Vec<_> = state
                .tasks
                .iter_mut()
                .enumerate()
                .filter_map(of_it)
                .collect();
            state.mark(&[1, id.0 as u64]);
            dropped
        };
        self.note(id, || "crashes".to_owned());
        // Outside of the lock: what they own may call back.
        drop(dropped);
    }

    /// Boots a process that is down.
    pub fn boot(&self, id: NodeId) {
        let booted = {
            let mut state = self.state();
            let place = &mut state.places[id.0];
            let boot = place.boot.clone().filter(|_| !place.up);
            boot.map(|boot| {
                place.up = true;
                place.life += 1;
                (boot, place.life)
            })
        };
        if let Some((boot, life)) = booted {
            self.note(id, || format!("boots, life {life}"));
            let sim = self.clone();
            boot(Node { sim, id, life });
        }
    }

    /// Lets a process stand still: what wakes it is kept until it is [resumed](Self::resume). It notices nothing.
    pub fn pause(&self, id: NodeId) {
        let paused = {
            let place = &mut self.state().places[id.0];
            std::mem::replace(&mut place.paused, place.up)
        };
        if !paused {
            self.note(id, || "stands still".to_owned());
        }
    }

    /// Lets a paused process go on, a zombie by now.
    pub fn resume(&self, id: NodeId) {
        let held = {
            let place = &mut self.state().places[id.0];
            if !std::mem::take(&mut place.paused) {
                return;
            }
            std::mem::take(&mut place.held)
        };
        self.0.ready.lock().extend(held);
        self.note(id, || "goes on".to_owned());
    }

    /// Sets a process's clock on by `millis`, or back.
    pub fn skew(&self, id: NodeId, millis: i64) {
        self.state().places[id.0].skew += millis;
        self.note(id, || format!("its clock jumps by {millis} ms"));
    }

    /// Ends all faults: what is down boots, what is paused goes on, what is cut off is reached again.
    pub fn heal(&self) {
        let count = {
            let mut state = self.state();
            state.cut.clear();
            state.flaky.clear();
            state.places.iter_mut().for_each(|place| place.fuse = None);
            state.places.len()
        };
        for id in (0..count).map(NodeId) {
            self.resume(id);
            self.boot(id);
        }
    }

    /// Runs for `span`, or until [`finish`](Self::finish).
    pub fn run_for(&self, span: Duration) {
        let until = self.state().now + micros(span);
        while self.turn(until) {}
    }

    /// Drops all that still runs. Call it at the end: tasks and the world own each other.
    pub fn close(&self) {
        let (tasks, timers, places) = {
            let mut state = self.state();
            state.over = true;
            (
                std::mem::take(&mut state.tasks),
                std::mem::take(&mut state.timers),
                state
                    .places
                    .iter_mut()
                    .filter_map(|place| {
                        place.up = false;
                        place.boot.take()
                    })
                    .collect::<Vec<_>>(),
            )
        };
        drop((tasks, timers, places));
        // What their drops have scheduled.
        let left = std::mem::take(&mut self.state().timers);
        drop(left);
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

    /// One event or one poll; `false` where nothing is left before `until`.
    fn turn(&self, until: u64) -> bool {
        let due = {
            let mut state = self.state();
            if state.over || state.now >= until {
                return false;
            }
            let idle = self.0.ready.lock().is_empty();
            match state.timers.first_key_value() {
                Some((&(at, _), _)) if at <= state.now || idle => {
                    if at > until {
                        state.now = until;
                        return false;
                    }
                    state.now = state.now.max(at);
                    let due = state.timers.pop_first();
                    due.map(|(key, due)| {
                        state.mark(&[2, key.0, key.1]);
                        due
                    })
                }
                None if idle => {
                    state.now = until;
                    return false;
                }
                _ => None,
            }
        };
        match due {
            Some(Due::Wake(waker)) => waker.wake(),
            Some(Due::Run(act)) => act(),
            None => self.poll_one(),
        }
        true
    }

    /// Polls one of those that are ready.
    fn poll_one(&self) {
        let task = {
            let mut ready = self.0.ready.lock();
            if ready.is_empty() {
                return;
            }
            // Not in the order of the wakes: `tokio::sync::watch` wakes in an order of its own, which no seed tells.
            ready.sort_unstable();
            let drawn = self.below(ready.len() as u64);
            ready.swap_remove(usize::try_from(drawn).unwrap_or(0))
        };
        let mut polled = {
            let mut state = self.state();
            let state = &mut *state;
            let Some(slot) = state.tasks.get_mut(task) else {
                return;
            };
            let Some(of) = slot.as_ref().map(|task| task.node) else {
                return;
            };
            let place = &mut state.places[of.0];
            if place.paused {
                place.held.push(task);
                return;
            }
            let Some(polled) = slot.take() else {
                return;
            };
            state.running = Some(task);
            state.polls += 1;
            // Time goes by while it works.
            state.now += 1 + self.0.random.next_u64() % 8;
            let (now, of) = (state.now, of.0 as u64);
            state.mark(&[3, now, task as u64, of]);
            polled
        };
        polled.waking.taken();
        let waker = polled.waker();
        let life = self.state().places[polled.node.0].life;
        let done = polled
            .future
            .as_mut()
            .poll(&mut Context::from_waker(&waker));
        let node = polled.node;
        let blown = {
            let mut state = self.state();
            state.running = None;
            let place = &mut state.places[node.0];
            let alive = place.up && place.life == life;
            let mut blown = None;
            if let Some((polls, _)) = &mut place.fuse {
                *polls = polls.saturating_sub(1);
                if *polls == 0 {
                    blown = place.fuse.take();
                }
            }
            if done.is_pending() && alive {
                state.tasks[task] = Some(polled);
            } else {
                drop(state);
                drop(polled);
            }
            blown
        };
        if let Some((_, down)) = blown {
            self.crash_for(node, down);
        }
    }

    /// Crashes a process, which boots again after `down`.
    pub fn crash_for(&self, id: NodeId, down: Duration) {
        self.crash(id);
        let sim = self.clone();
        self.after(down, move || sim.boot(id));
    }

    pub(super) fn spawn(
        &self,
        node: NodeId,
        life: u64,
        future: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) {
        let mut state = self.state();
        let place = &state.places[node.0];
        if !place.up || place.life != life {
            return;
        }
        let id = state.tasks.len();
        let waking = Waking::new(id, &self.0.ready);
        state.tasks.push(Some(Task {
            node,
            future,
            waking,
        }));
    }

    pub(super) fn clock_of(&self, id: NodeId) -> Timestamp {
        let state = self.state();
        let millis = i64::try_from(state.now / 1_000).unwrap_or(i64::MAX);
        Timestamp::from_millis(EPOCH_MILLIS + millis + state.places[id.0].skew)
    }

    /// Whether a message gets from one place to the other now.
    pub(super) fn reaches(&self, from: NodeId, to: NodeId) -> bool {
        let state = self.state();
        let apart = state.cut.contains_key(&pair(from, to));
        !apart && state.places[from.0].up && state.places[to.0].up
    }

    /// How many calls in a hundred go wrong on the way to `to`.
    pub(super) fn trouble(&self, to: NodeId) -> u8 {
        let mut state = self.state();
        let now = state.now;
        let Some(windows) = state.flaky.get_mut(&to) else {
            return 0;
        };
        windows.retain(|(until, _)| *until > now);
        windows
            .iter()
            .map(|(_, percent)| *percent)
            .max()
            .unwrap_or(0)
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

impl Timer for Sim {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        Sleep::new(self.clone(), duration)
    }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX / 4)
}

pub(super) fn pair(a: NodeId, b: NodeId) -> (NodeId, NodeId) {
    (a.min(b), a.max(b))
}

impl State {
    /// FNV-1a, by words.
    fn mark(&mut self, numbers: &[u64]) {
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

/// A wait.
pub(super) struct Sleep {
    sim: Sim,
    left: Duration,
    until: Option<u64>,
    key: Option<(u64, u64)>,
}

impl Sleep {
    pub(super) fn new(sim: Sim, left: Duration) -> Self {
        Self {
            sim,
            left,
            until: None,
            key: None,
        }
    }

    fn forget(&mut self) {
        if let Some(key) = self.key.take() {
            let due = self.sim.state().timers.remove(&key);
            drop(due);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.sim.state().now;
        let end = now + micros(self.left);
        let until = *self.until.get_or_insert(end);
        self.forget();
        if now >= until {
            return Poll::Ready(());
        }
        let left = Duration::from_micros(until - now);
        self.key = Some(self.sim.schedule(left, Due::Wake(cx.waker().clone())));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}
