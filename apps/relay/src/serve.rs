//! The service: wires the parts together and runs.

use std::fmt;
use std::sync::Arc;

use cqrs_core::{Partition, Relay, RelayOptions, TailLog};
use cqrs_kafka::{KafkaProbe, KafkaPublisher, PublisherOptions, TopicError};
use cqrs_mongo::{MongoStore, OpenError};
use http_kit::{Health, Metrics};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use social_api::{Api, Late, Never, SystemClock, TokioTimer};
use social_service::{Failure, FollowerStats, LagStats, Service};

use crate::config::Config;

type LogToKafka = Relay<MongoStore, MongoStore, KafkaPublisher, (SystemClock, TokioTimer)>;

/// Publishes until a signal.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let service = Service::bind(config.listen).await?;
    let readiness = service.readiness().clone();
    let metrics = Arc::new(Metrics::new(Registry::default()));
    let api = Api::<Never, Never>::new(None, None, readiness.clone(), Arc::clone(&metrics));
    let opened = Late::pending();
    let closing = opened.clone();
    let serving = service.serve(Arc::new(api), |mut background| async move {
        // The log comes first, since it knows how many partitions there are to be.
        readiness.set("kafka", Health::Down);
        let open = || MongoStore::open(config.log.clone());
        let store = social_service::connect("mongodb", &readiness, open, judge_log).await?;
        opened.set(store.clone());
        let watched = store.clone();
        background.watch("mongodb", Health::Down, move || {
            let store = watched.clone();
            async move { social_service::look_at(&store).await }
        });
        let make = || cqrs_kafka::ensure_topic(&config.kafka, &config.topic, store.partitions());
        social_service::connect("kafka", &readiness, make, judge_topic).await?;
        let probe = KafkaProbe::new(&config.kafka, &config.topic)?;
        background.watch("kafka", Health::Down, move || {
            let probe = probe.clone();
            async move { probe.ask().await }
        });

        let relay = Arc::new(relay(config, store.clone())?);
        let lag = LagStats {
            head: move |partition| store.seen_head(partition),
            follower: FollowerStats {
                name: "relay",
                progress: relay.progress(),
            },
        };
        let shown = lag.clone();
        readiness.measure("relay_lag", move || (Health::Ok, shown.behind()));
        lag.follower.report_stopped(&readiness);
        metrics.collect(Box::new(lag));
        metrics.collect(Box::new(Share(Arc::clone(&relay))));
        let stopping = background.stopping();
        background.spawn("relay", async move { relay.run(stopping).await });
        Ok(background)
    });
    serving.await?;
    if let Some(store) = closing.get() {
        store.close().await;
    }
    Ok(())
}

/// The books are kept under the topic's name: another topic is another relay.
fn relay(config: Config, store: MongoStore) -> anyhow::Result<LogToKafka> {
    let source = store.store_id().urn().to_string();
    let options = PublisherOptions::default();
    let bus = KafkaPublisher::new(config.kafka, &config.topic, source, options)?;
    let owner = social_service::start_id().to_string();
    let time = (SystemClock, TokioTimer);
    let options = RelayOptions::default();
    Ok(Relay::new(
        config.topic,
        owner,
        store.clone(),
        store,
        bus,
        time,
        options,
    ))
}

/// Which partitions are this relay's.
struct Share(Arc<LogToKafka>);

impl Collector for Share {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let partitions = Partition::all(self.0.progress().partitions());
        let owned = partitions
            .filter(|partition| self.0.owns(*partition))
            .count() as u64;
        let help = "Partitions that this relay publishes";
        social_service::gauge(&mut encoder, "relay_partitions", help, owned)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").finish_non_exhaustive()
    }
}

fn judge_log(error: &OpenError) -> Failure {
    match error {
        OpenError::Store { .. } => Failure::Away,
        _ => Failure::Refused,
    }
}

fn judge_topic(error: &TopicError) -> Failure {
    match error {
        TopicError::Broker { .. } => Failure::Away,
        _ => Failure::Refused,
    }
}
