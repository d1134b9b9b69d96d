//! The projector: wires the parts together and works.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cqrs_kafka::{KafkaProbe, TopicError};
use cqrs_mongo::MongoOptions;
use cqrs_postgres::{ModelError, PgModels};
use http_kit::Metrics;
use prometheus_client::registry::Registry;
use social_api::{Api, Late, Never};
use social_read_model::SocialReadModel;
use social_service::{Failure, Service};
use tokio::sync::watch;

use crate::config::Config;
use crate::feeding::{self, Feeding};
use crate::feeds::Feeds;
use crate::log::{self, LateLog};

/// How long the start waits for the log, without which most of the work goes on.
const LOG_PATIENCE: Duration = Duration::from_secs(4);

/// Works until a signal, then lets the running slices end.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let service = Service::bind(config.listen).await?;
    let readiness = service.readiness().clone();
    let pool = config.postgres.pool().context("POSTGRES_URL")?;
    let log = LateLog {
        store: Late::pending(),
        partitions: config.partitions,
    };
    let feeds = Feeds::default();
    feeds.report(&readiness);
    let metrics = Arc::new(Metrics::new(Registry::default()));
    metrics.collect(Box::new(feeds.clone()));
    let mongo = MongoOptions {
        partitions: config.partitions,
        pool: 4 + u32::from(config.partitions),
        ..MongoOptions::new(
            config.mongodb.expose(),
            social_service::log_database(config.mongodb.expose()),
        )
    };
    let feeding = Feeding {
        models: PgModels::new(pool, &config.prefix),
        model: Arc::new(SocialReadModel::new()),
        partitions: config.partitions,
        probe: KafkaProbe::new(&config.kafka, &config.topic)?,
        kafka: config.kafka,
        topic: config.topic,
        group: config.group,
        log: log.clone(),
        feeds,
        readiness: readiness.clone(),
    };
    let api = Api::<Never, Never>::new(None, None, readiness.clone(), metrics);
    let start = |mut background: social_service::Background| async move {
        let (opened, mut log_opened) = watch::channel(false);
        let stopping = background.stopping();
        let attending = log::attend(mongo, log, readiness.clone(), opened, stopping);
        background.spawn("log", attending);
        let log_there = tokio::time::timeout(LOG_PATIENCE, log_opened.wait_for(|opened| *opened));
        let engines = async { tokio::try_join!(topic(&feeding), read_model(&feeding)) };
        let (engines, _) = tokio::join!(engines, log_there);
        engines?;
        let stopping = background.stopping();
        background.spawn("feeding", feeding.run(stopping));
        Ok(background)
    };
    service.serve(Arc::new(api), start).await
}

/// Waits for the brokers, and makes the topic where there is none.
async fn topic(feeding: &Feeding) -> Result<(), anyhow::Error> {
    let open = || cqrs_kafka::ensure_topic(&feeding.kafka, &feeding.topic, feeding.partitions);
    let judge = |error: &TopicError| match error {
        TopicError::Broker { .. } => Failure::Away,
        _ => Failure::Refused,
    };
    Ok(social_service::connect("kafka", &feeding.readiness, open, judge).await?)
}

/// Waits for PostgreSQL, and makes the read model's first version where there is none.
async fn read_model(feeding: &Feeding) -> Result<(), anyhow::Error> {
    let open = || async {
        match feeding::open(&feeding.models, &feeding.model, feeding.partitions).await {
            // There may be versions to feed that are to replace it.
            Err(ModelError::Layout { .. }) => Ok(()),
            opened => opened,
        }
    };
    let judge = |error: &ModelError| match error {
        ModelError::Store(_) => Failure::Away,
        _ => Failure::Refused,
    };
    Ok(social_service::connect("postgres", &feeding.readiness, open, judge).await?)
}
