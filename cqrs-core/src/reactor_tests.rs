//! Tests of the reactor runner.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::projection::tests::{Pages, Paused};
use crate::*;

/// Checkpoints in memory, of which every other move is lost after it was made.
#[derive(Default)]
struct Places {
    places: Mutex<BTreeMap<(String, Partition), Position>>,
    calls: AtomicU32,
}

impl CheckpointStore for &Places {
    async fn load(&self, name: &str, partition: Partition) -> Result<Position, CheckpointError> {
        let places = self.places.lock().unwrap();
        let place = places.get(&(name.to_owned(), partition));
        Ok(place.copied().unwrap_or_default())
    }

    async fn advance(
        &self,
        name: &str,
        partition: Partition,
        from: Position,
        to: Position,
    ) -> Result<bool, CheckpointError> {
        let mut places = self.places.lock().unwrap();
        let place = places.entry((name.to_owned(), partition)).or_default();
        if *place != from {
            return Ok(false);
        }
        *place = to;
        if self.calls.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            return Err(CheckpointError {
                source: "lost".into(),
            });
        }
        Ok(true)
    }
}

/// Notes its commands' ids; busy the first `busy` times; gives `bad` up.
#[derive(Default)]
struct Noting {
    busy: AtomicU32,
    bad: AtomicU32,
    sent: Mutex<Vec<(EventId, Envelope)>>,
}

impl Reactor for Noting {
    fn name(&self) -> &str {
        "noting"
    }

    fn handles(&self, event_type: &str) -> bool {
        event_type == "noted"
    }

    async fn react(
        &self,
        event: &RecordedEvent<'_>,
        reaction: &Reaction<'_>,
    ) -> Result<(), ReactError> {
        if self.busy.load(Ordering::Relaxed) > 0 {
            self.busy.fetch_sub(1, Ordering::Relaxed);
            return Err(DispatchError::<std::fmt::Error>::Overloaded.into());
        }
        if event.data.payload == "bad" {
            self.bad.fetch_add(1, Ordering::Relaxed);
            return Err(DispatchError::from(std::fmt::Error).into());
        }
        let actor = Actor::parse("noting").unwrap();
        let sent = (event.id, reaction.envelope(0, actor));
        self.sent.lock().unwrap().push(sent);
        Ok(())
    }
}

fn log() -> Pages {
    let log = Pages::default();
    log.append("a-1", &[("noted", "ok"), ("other", "ok"), ("noted", "ok")]);
    log.append("a-2", &[("noted", "bad"), ("noted", "bad")]);
    log.append("a-1", &[("noted", "ok")]);
    log
}

fn ids(reactor: &Noting) -> Vec<String> {
    let sent = reactor.sent.lock().unwrap();
    sent.iter().map(|(event, _)| event.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_reaction_that_is_given_up_stops_its_partition_and_is_tried_when_run_anew() {
    let places = Places::default();
    let runner = ReactorRunner::new(
        log(),
        &places,
        Noting::default(),
        Paused,
        RunnerOptions::default(),
    );
    for run in 1..=2 {
        let ended = runner.run(pending()).await;
        let Err(RunnerError::GaveUp { event, .. }) = ended else {
            panic!("not given up");
        };
        assert_eq!(event.to_string(), "0-2-0");
        assert!(runner.progress().is_stopped(Partition::new(0)));
        assert_eq!(runner.reactor().bad.load(Ordering::Relaxed), 3 * run);
        assert_eq!(runner.progress().position(Partition::new(0)).get(), 1);
    }
    assert_eq!(ids(runner.reactor()), ["0-1-0", "0-1-2"]);
}

#[tokio::test(start_paused = true)]
async fn where_it_may_be_skipped_it_is_counted_and_the_rest_goes_on() {
    let places = Places::default();
    let runner = ReactorRunner::new(
        log(),
        &places,
        Noting::default(),
        Paused,
        RunnerOptions::default(),
    )
    .when_given_up(WhenGivenUp::Skip);
    runner.catch_up(pending()).await.unwrap();
    assert_eq!(ids(runner.reactor()), ["0-1-0", "0-1-2", "0-3-0"]);
    assert_eq!(runner.progress().counts().given_up, 2);
    assert_eq!(runner.reactor().bad.load(Ordering::Relaxed), 6);
    assert_eq!(runner.progress().position(Partition::new(0)).get(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_busy_is_tried_for_as_long_as_it_takes() {
    let places = Places::default();
    let reactor = Noting {
        busy: AtomicU32::new(50),
        ..Noting::default()
    };
    let runner = ReactorRunner::new(log(), &places, reactor, Paused, RunnerOptions::default())
        .when_given_up(WhenGivenUp::Skip);
    runner.catch_up(pending()).await.unwrap();
    assert_eq!(ids(runner.reactor()), ["0-1-0", "0-1-2", "0-3-0"]);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_reaction_has_the_same_envelope() {
    let (first, second) = (Places::default(), Places::default());
    let mut envelopes = Vec::new();
    for places in [&first, &second] {
        let runner = ReactorRunner::new(
            log(),
            places,
            Noting::default(),
            Paused,
            RunnerOptions::default(),
        )
        .when_given_up(WhenGivenUp::Skip);
        runner.catch_up(pending()).await.unwrap();
        let sent = runner.reactor().sent.lock().unwrap().clone();
        let known: Vec<_> = sent
            .iter()
            .map(|(_, e)| (e.command_id, e.causation_id, e.time))
            .collect();
        envelopes.push(known);
        let (event, envelope) = &sent[0];
        assert_eq!(
            envelope.command_id,
            CommandId::reaction(*event, "noting", 0)
        );
        assert_eq!(envelope.identity, Identity::Derived);
        assert_eq!(envelope.correlation_id, uuid::Uuid::from_u128(1));
    }
    assert_eq!(envelopes[0], envelopes[1]);
}
