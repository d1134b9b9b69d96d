//! Wires the parts together, works and serves.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cqrs_core::{BusSource, ProjectionRunner, RunnerOptions};
use cqrs_kafka::{KafkaConsumer, KafkaProbe, TopicError};
use cqrs_postgres::{ModelError, PgModels, PgProjection};
use http_kit::{Health, Metrics};
use prometheus_client::registry::Registry;
use social_api::TokioTimer;
use social_service::{Background, Failure, FollowerStats, Service};

use crate::api::Api;
use crate::config::Config;
use crate::model::Activity;
use crate::query::Queries;

/// How late it may be: nobody reads here what he has just written.
const GATHERING: Duration = Duration::from_millis(50);

/// How long the brokers may take to let the consumer go.
const GOODBYE: Duration = Duration::from_secs(10);

/// Works and serves until a signal, then drains.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let service = Service::bind(config.listen).await?;
    let readiness = service.readiness().clone();
    let pool = config.postgres.pool().context("POSTGRES_URL")?;
    let models = PgModels::new(pool, &config.schema);
    let queries = Queries::new(models.clone());
    let metrics = Arc::new(Metrics::new(Registry::default()));
    let api = Arc::new(Api::new(
        queries.clone(),
        readiness.clone(),
        Arc::clone(&metrics),
    ));
    let start = |mut background: Background| async move {
        let (topic, partitions) = (config.topic, config.partitions);
        let kafka = config.kafka;
        let model = Arc::new(Activity::default());
        let ensure = || cqrs_kafka::ensure_topic(&kafka, &topic, partitions);
        let open = || models.open(&*model, partitions);
        let (topic_there, version) = tokio::join!(
            social_service::connect("kafka", &readiness, ensure, judge_topic),
            social_service::connect("postgres", &readiness, open, judge_model),
        );
        topic_there?;
        let version = version?;
        let group = format!("{}-{}", config.group, version.schema);
        let probe = KafkaProbe::new(&kafka, &topic)?;
        let consumer = KafkaConsumer::join(kafka, topic, partitions, group)?;
        let source = BusSource::new(consumer.clone(), partitions, TokioTimer);
        let projection = PgProjection::new(models, version, model);
        let options = RunnerOptions {
            gathering: GATHERING,
            ..RunnerOptions::default()
        };
        let runner = ProjectionRunner::new(source, projection, TokioTimer, options);
        let stats = FollowerStats {
            name: "activity",
            progress: runner.progress(),
        };
        stats.report_parked(&readiness);
        stats.report_stopped(&readiness);
        metrics.collect(Box::new(stats));

        let stopping = background.stopping();
        background.spawn("activity", async move {
            let ended = runner.run_assigned(&consumer, stopping).await;
            // With the brokers away it goes on by itself, and ends with the process.
            let closed = tokio::time::timeout(GOODBYE, consumer.close()).await;
            if closed.is_err() {
                tracing::warn!("the group was not left in time");
            }
            ended
        });
        let stopping = background.stopping();
        background.spawn("watch", async move {
            let brokers = || probe.ask();
            let kafka = social_service::watch("kafka", Health::Down, readiness.clone(), brokers);
            let reads = || queries.ping();
            let postgres = social_service::watch("postgres", Health::Down, readiness, reads);
            tokio::select! {
                () = kafka => {}
                () = postgres => {}
                () = stopping => {}
            }
            Ok::<(), Infallible>(())
        });
        Ok(background)
    };
    let answer = move |request| {
        let api = Arc::clone(&api);
        async move { api.answer(request).await }
    };
    service.serve_by(answer, start).await
}

fn judge_topic(error: &TopicError) -> Failure {
    match error {
        TopicError::Broker { .. } => Failure::Away,
        _ => Failure::Refused,
    }
}

fn judge_model(error: &ModelError) -> Failure {
    match error {
        ModelError::Store(_) => Failure::Away,
        _ => Failure::Refused,
    }
}
