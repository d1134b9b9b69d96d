//! Publishing the log again, to a topic for others.
//!
//! It is the relay, with books of its own: so it goes on where it was interrupted, and two at once share the work. What
//! it never writes to is a topic of the services', or one that holds what it did not put there.

use std::time::Duration;

use anyhow::ensure;
use cqrs_core::{
    Partition, Position, PublishEvents, Random, Relay, RelayMarks, RelayOptions, TailLog, Timer,
};
use cqrs_kafka::{KafkaPublisher, PublisherOptions};
use cqrs_mongo::MongoStore;
use futures_util::FutureExt;
use social_api::{SystemClock, SystemRandom, TokioTimer};
use uuid::Uuid;

use crate::Ended;
use crate::bar::{self, Reached};
use crate::config::Config;

/// How long a partition stays with a process that was killed.
const LEASE: Duration = Duration::from_secs(5);
/// The pause before another look at partitions that somebody else publishes.
const STAND_BY: Duration = Duration::from_secs(1);

/// Publishes everything that the log has now to `topic`.
pub(crate) async fn republish(config: &Config, topic: &str) -> anyhow::Result<Ended> {
    ensure!(
        topic != config.topic && !["social.commands", "social.replies"].contains(&topic),
        "`{topic}` is the services' own: nothing is published again there"
    );
    let shutdown = http_kit::shutdown_signal()?.boxed().shared();
    let log = config.log().await?;
    cqrs_kafka::ensure_topic(&config.kafka()?, topic, log.partitions()).await?;
    let bus = KafkaPublisher::new(
        config.kafka()?,
        topic,
        log.store_id().urn().to_string(),
        PublisherOptions::default(),
    )?;
    let books = format!("republish {topic}");
    refuse_foreign(&log, &bus, topic, &books).await?;
    let mut until = Vec::new();
    for partition in Partition::all(log.partitions()) {
        until.push((partition, log.head(partition).await?));
    }
    let owner = Uuid::from_u64_pair(SystemRandom.next_u64(), SystemRandom.next_u64());
    let relay = Relay::new(
        books,
        owner.to_string(),
        log.clone(),
        log.clone(),
        bus,
        (SystemClock, TokioTimer),
        RelayOptions {
            lease: LEASE,
            ..RelayOptions::default()
        },
    );
    let progress = relay.progress();
    let done = || {
        let mut done = until.iter();
        done.all(|(partition, until)| progress.position(*partition) >= *until)
    };
    let reached = || Reached {
        doing: "publishing",
        commits: until
            .iter()
            .map(|(partition, until)| progress.position(*partition).min(*until).get())
            .sum(),
        commits_in_all: until.iter().map(|(_, until)| until.get()).sum(),
        events: progress.counts().events,
    };
    let work = async {
        loop {
            relay.catch_up(shutdown.clone()).await?;
            if done() || shutdown.clone().now_or_never().is_some() {
                return anyhow::Ok(());
            }
            // Somebody else has a partition, or had it until a moment ago.
            TokioTimer.sleep(STAND_BY).await;
        }
    };
    bar::show(reached, work).await??;
    let ended = if done() {
        let events = progress.counts().events;
        println!("`{topic}` has all that the log had: {events} events by this run");
        Ended::Well
    } else {
        Ended::Interrupted
    };
    log.close().await;
    Ok(ended)
}

/// A topic that a relay publishes to, or that holds records of unknown origin, is none for this.
async fn refuse_foreign(
    log: &MongoStore,
    bus: &KafkaPublisher,
    topic: &str,
    books: &str,
) -> anyhow::Result<()> {
    for partition in Partition::all(log.partitions()) {
        let relayed = log.latest(topic, partition).await?;
        ensure!(
            relayed.is_none(),
            "a relay publishes to `{topic}`: nothing is published again there"
        );
        let begun = log.latest(books, partition).await?.is_some();
        ensure!(
            begun || bus.end(partition).await? == Position::START.get(),
            "`{topic}` has records that were not published again from here"
        );
    }
    Ok(())
}
