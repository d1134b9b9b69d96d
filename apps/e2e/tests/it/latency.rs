//! How long a command takes until a query shows it, through the whole chain, at a fixed rate, beside the bare drivers.
//!
//! Open loop: every command has its moment, and its time counts from there, whether or not a client was free by then. So a
//! stall is seen by all commands that it delays (no coordinated omission). Each command has a key, as that of a careful client; the
//! query is asked of another process with the command's token, and waits.
//!
//! `SOCIAL_E2E_RATE` commands a second (20) for `SOCIAL_E2E_SECONDS` (2), twice, in turn with the [`Bare`] chain. The figures
//! are told and not judged; of a release build, on a quiet machine:
//! `SOCIAL_E2E_RATE=200 SOCIAL_E2E_SECONDS=30 cargo test --release --workspace --all-features --test e2e latency -- --ignored --nocapture`

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bare::Bare;
use crate::client::{get, write};
use crate::load::hot_posts;
use crate::names::uuid;
use crate::wait::pause;
use crate::world::System;

const SEED: u64 = 8;
const HOT: u64 = 16;
const ROUNDS: u32 = 2;
/// Connections of each kind. At 1,000 a second each command may take a tenth of a second before one is lacking.
const CLIENTS: usize = 100;

#[test]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
fn every_command_becomes_visible_at_a_fixed_rate() {
    let pace = Pace {
        rate: number("SOCIAL_E2E_RATE", 20),
        seconds: number("SOCIAL_E2E_SECONDS", 2),
    };
    let mut system = System::start();
    let (hot, attempts) = hot_posts(&mut system.commands(), SEED, HOT);
    system.is_current(&attempts);
    let bare = Bare::open(&system.world);
    let (mut floor, mut chain) = (Times::default(), Times::default());
    for round in 0..ROUNDS {
        floor.append(bare.measure(&pace, round));
        chain.append(measure(&system, &pace, &hot, round));
    }
    bare.close();
    system.end();
    println!("{} commands a second, 2 × {} s", pace.rate, pace.seconds);
    println!("| | p50 | p99 | p99.9 | most |\n|---|---|---|---|---|");
    floor.started.tell("bare chain: started");
    floor.visible.tell("bare chain: visible");
    chain.started.tell("started");
    chain.acknowledged.tell("acknowledged");
    chain.visible.tell("visible");
}

fn number(key: &str, default: u32) -> u32 {
    let value = std::env::var(key).ok();
    value.map_or(default, |value| value.parse().unwrap())
}

/// How many, how fast.
#[derive(Debug)]
pub(crate) struct Pace {
    rate: u32,
    seconds: u32,
}

impl Pace {
    pub(crate) fn count(&self) -> u32 {
        self.rate * self.seconds
    }

    /// When the command of this number is to be sent, from the begin.
    pub(crate) fn moment(&self, number: u32) -> Duration {
        Duration::from_secs(1) * number / self.rate
    }
}

/// What was measured, each from the command's moment.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// How late it was sent: what the clients themselves add.
    pub(crate) started: Latencies,
    pub(crate) acknowledged: Latencies,
    pub(crate) visible: Latencies,
}

impl Times {
    pub(crate) fn append(&mut self, other: Self) {
        self.started.0.extend(other.started.0);
        self.acknowledged.0.extend(other.acknowledged.0);
        self.visible.0.extend(other.visible.0);
    }
}

/// Every single one is kept, so that percentiles are exact.
#[derive(Debug, Default)]
pub(crate) struct Latencies(pub(crate) Vec<Duration>);

impl Latencies {
    /// The least that at least `share` of all are not above.
    fn percentile(sorted: &[Duration], share: f64) -> Duration {
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted[rank.clamp(1, sorted.len()) - 1]
    }

    fn tell(mut self, what: &str) {
        self.0.sort_unstable();
        let at = |share| Self::percentile(&self.0, share).as_secs_f64() * 1e3;
        println!(
            "| {what} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms |",
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0)
        );
    }
}

#[test]
fn a_percentile_is_one_of_the_times() {
    let times: Vec<_> = (1..=1_000).map(Duration::from_millis).collect();
    for (share, due) in [(0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1_000)] {
        let found = Latencies::percentile(&times, share);
        assert_eq!(found, Duration::from_millis(due));
    }
    assert_eq!(Latencies::percentile(&times[..1], 0.5), times[0]);
}

/// One command, and where to see it.
struct Step {
    actor: String,
    method: &'static str,
    path: String,
    body: Value,
    shown: String,
}

/// Half of them new posts; likes of hot posts and comments there.
fn step(hot: &[String], number: u32, round: u32) -> Step {
    let id = uuid(u128::from(SEED) << 96 | u128::from(round + 1) << 64 | u128::from(number));
    let actor = format!("reader-{round}-{number}");
    let under = format!("/v1/posts/{}", hot[number as usize / 4 % hot.len()]);
    let message = "x".repeat(280);
    let (method, path, body, shown) = match number % 4 {
        0 => ("PUT", format!("{under}/like"), Value::Null, under),
        1 => {
            let shown = format!("{under}/comments/{id}");
            let body = json!({"id": id, "message": message});
            ("POST", format!("{under}/comments"), body, shown)
        }
        _ => {
            let body = json!({"id": id, "message": message});
            (
                "POST",
                "/v1/posts".to_owned(),
                body,
                format!("/v1/posts/{id}"),
            )
        }
    };
    Step {
        actor,
        method,
        path,
        body,
        shown,
    }
}

fn measure(system: &System, pace: &Pace, hot: &[String], round: u32) -> Times {
    let next = AtomicU32::new(0);
    let begun = Instant::now() + Duration::from_millis(100);
    let client = || {
        let (mut commands, mut queries) = (system.commands(), system.queries());
        let mut times = Times::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= pace.count() {
                return times;
            }
            let step = step(hot, number, round);
            let command = write(&step.actor, step.method, &step.path, &step.body);
            let command = command.key(&format!("{round}-{number}"));
            let moment = begun + pace.moment(number);
            pause(moment.saturating_duration_since(Instant::now()));
            times.started.0.push(moment.elapsed());
            let answer = commands.send(&command);
            times.acknowledged.0.push(moment.elapsed());
            assert!(answer.status < 300, "{answer:?}");
            let query = get(&step.shown).at(&answer.token(), 30);
            queries.send(&query).expect(200);
            times.visible.0.push(moment.elapsed());
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let mut all = Times::default();
        for client in clients {
            all.append(client.join().unwrap());
        }
        all
    })
}
