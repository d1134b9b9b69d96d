//! Which faults happen when.

use std::fmt;
use std::time::Duration;

use crate::testing::SeededRandom;
use crate::time::Random;

use super::node::NodeId;
use super::traps::Trap;
use super::world::{Sim, micros};

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A process crashes at the so-manieth await from then on, and boots again after `down`.
    Crash {
        /// Which.
        node: NodeId,
        /// Polls of its tasks that still happen.
        polls: u32,
        /// How long it stays down.
        down: Duration,
    },
    /// A process stands still for that long, then goes on as if nothing had been.
    Pause {
        /// Which.
        node: NodeId,
        /// How long.
        span: Duration,
    },
    /// Two places cannot reach each other.
    Cut {
        /// One.
        a: NodeId,
        /// The other.
        b: NodeId,
        /// How long.
        span: Duration,
    },
    /// Calls to an engine get lost, are late, or take effect and are not answered.
    Flaky {
        /// Which engine.
        engine: NodeId,
        /// How many in a hundred.
        percent: u8,
        /// How long.
        span: Duration,
    },
    /// A process's clock jumps.
    Skew {
        /// Whose.
        node: NodeId,
        /// How far, in milliseconds.
        millis: i64,
    },
    /// Processes fall into these, one after another: see [`Sim::set_traps`]. Only the simulation knows its words, so that
    /// none is [drawn](Plan::draw).
    Traps(Vec<Trap>),
    /// Whatever the simulation calls so: see [`Sim::follow_with`].
    Special(&'static str),
}

/// A fault and its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// After the beginning of the plan.
    pub at: Duration,
    /// What happens.
    pub fault: Fault,
}

/// Faults, each at its time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan(pub Vec<Planned>);

impl Plan {
    /// `count` faults in `span`, of the kinds that every world has, drawn from `seed`.
    ///
    /// Half of the plans have few kinds of faults, and half of them hit few places: what takes several faults of
    /// one kind at one place hardly happens where all are as likely.
    ///
    /// # Reference
    ///
    /// Groce et al., Swarm Testing, ISSTA 2012.
    #[must_use]
    pub fn draw(seed: u64, sim: &Sim, span: Duration, count: usize) -> Self {
        // Not the world's own numbers: with a fault less, the others stay as they are.
        let random = SeededRandom::new(seed ^ 0x6661_756c_7473);
        let below = |bound: usize| random.next_u64() as usize % bound.max(1);
        let millis = |from: u64, more: u64| Duration::from_millis(from + random.next_u64() % more);
        let (mut nodes, mut engines) = sim.places();
        let mut kinds = vec![0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 4];
        if below(2) == 0 {
            kinds = vec![below(5), below(5)];
        }
        if below(2) == 0 && !nodes.is_empty() && !engines.is_empty() {
            nodes = vec![nodes[below(nodes.len())], nodes[below(nodes.len())]];
            engines = vec![engines[below(engines.len())]];
        }
        let node = |n: usize| nodes.get(n).copied();
        let engine = |n: usize| engines.get(n).copied();
        let mut plan = Self::default();
        for _ in 0..count {
            let at = Duration::from_micros(random.next_u64() % micros(span).max(1));
            let (Some(process), Some(store)) =
                (node(below(nodes.len())), engine(below(engines.len())))
            else {
                return plan;
            };
            let fault = match kinds[below(kinds.len())] {
                0 => Fault::Crash {
                    node: process,
                    polls: 1 + below(40) as u32,
                    down: millis(1, 2_000),
                },
                1 => Fault::Pause {
                    node: process,
                    span: millis(10, 15_000),
                },
                2 => Fault::Cut {
                    a: process,
                    b: store,
                    span: millis(10, 8_000),
                },
                3 => Fault::Flaky {
                    engine: store,
                    percent: 10 + below(70) as u8,
                    span: millis(50, 3_000),
                },
                _ => Fault::Skew {
                    node: process,
                    millis: below(40_000) as i64 - 20_000,
                },
            };
            plan.0.push(Planned { at, fault });
        }
        plan.sorted()
    }

    /// The same with `fault` more.
    #[must_use]
    pub fn with(mut self, at: Duration, fault: Fault) -> Self {
        self.0.push(Planned { at, fault });
        self.sorted()
    }

    fn sorted(mut self) -> Self {
        self.0.sort_by_key(|planned| planned.at);
        self
    }
}

impl Sim {
    /// Lets the faults of `plan` happen, from now on. Special ones do nothing: see [`follow_with`](Self::follow_with).
    pub fn follow(&self, plan: Plan) {
        self.follow_with(plan, |_| {});
    }

    /// The same, where `special` does what is special.
    pub fn follow_with(&self, plan: Plan, special: impl Fn(&'static str) + Clone + Send + 'static) {
        for Planned { at, fault } in plan.0 {
            let (sim, special) = (self.clone(), special.clone());
            self.after(at, move || sim.inject(fault, special));
        }
    }

    fn inject(&self, fault: Fault, special: impl Fn(&'static str)) {
        let sim = self.clone();
        match fault {
            Fault::Crash { node, polls, down } => {
                let mut state = self.state();
                let place = &mut state.places[node.0];
                if place.up {
                    place.fuse = Some((polls, down));
                }
            }
            Fault::Pause { node, span } => {
                self.pause(node);
                self.after(span, move || sim.resume(node));
            }
            Fault::Cut { a, b, span } => self.cut(a, b, span),
            Fault::Flaky {
                engine,
                percent,
                span,
            } => {
                self.note(engine, || format!("is flaky: {percent} % for {span:?}"));
                let mut state = self.state();
                let until = state.now + micros(span);
                state
                    .flaky
                    .entry(engine)
                    .or_default()
                    .push((until, percent));
            }
            Fault::Skew { node, millis } => self.skew(node, millis),
            Fault::Traps(traps) => self.set_traps(traps),
            Fault::Special(name) => special(name),
        }
    }
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} ms  {:?}", self.at.as_millis(), self.fault)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|planned| writeln!(f, "{planned}"))
    }
}

/// The plan without every fault that `fails` does not need to fail: first in halves, then one by one.
pub fn shrink(plan: Plan, fails: impl Fn(&Plan) -> bool) -> Plan {
    let mut plan = plan;
    let mut size = plan.0.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        let mut shrunk = false;
        while from < plan.0.len() {
            let mut fewer = plan.clone();
            fewer.0.drain(from..(from + size).min(plan.0.len()));
            if fails(&fewer) {
                plan = fewer;
                shrunk = true;
            } else {
                from += size;
            }
        }
        if !shrunk || size > 1 {
            size = if size == 1 { 0 } else { size / 2 };
        }
    }
    plan
}
