//! The service: wires the parts together and serves.

use std::convert::Infallible;
use std::sync::Arc;

use cqrs_core::{Coordinator, CoordinatorOptions, ExecutorOptions, IntentStore, Random, TailLog};
use cqrs_kafka::KafkaProbe;
use cqrs_mongo::{MongoStore, OpenError};
use cqrs_mssql::{MssqlIntents, MssqlPool};
use cqrs_postgres::{PgIntents, SchemaName};
use http_kit::{Health, Metrics};
use prometheus_client::registry::Registry;
use social_api::{Api, App, CommandEdge, Late, Never, SystemRandom, TokioTimer};
use social_service::{CommandStats, Failure, FollowerStats, LagStats, Service};

use crate::config::{Config, LedgerConfig};
use crate::metrics::StoreStats;

/// Where the ledger's rows are on PostgreSQL; for SQL Server the URL says it.
const LEDGER_SCHEMA: &str = "ledger";

/// Serves until a signal, then drains.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    // The one place that knows which ledger runs; below it is `impl IntentStore`.
    match config.ledger.clone() {
        LedgerConfig::Mssql(options) => {
            let intents = MssqlIntents::new(MssqlPool::new(*options));
            serve(config, "mssql", intents).await
        }
        LedgerConfig::Postgres(pool) => {
            let intents = PgIntents::new(pool, SchemaName::parse(LEDGER_SCHEMA)?);
            serve(config, "postgres", intents).await
        }
    }
}

/// The check of the ledger is called `engine`.
async fn serve<I>(config: Config, engine: &'static str, intents: I) -> anyhow::Result<()>
where
    I: IntentStore + Clone + 'static,
{
    let service = Service::bind(config.listen).await?;
    let readiness = service.readiness().clone();
    let metrics = Arc::new(Metrics::new(Registry::default()));
    let (edge, opened) = (Late::pending(), Late::pending());
    let api = Api::<_, Never>::new(
        Some(edge.clone()),
        None,
        readiness.clone(),
        Arc::clone(&metrics),
    );
    let closing = opened.clone();
    let serving = service.serve(Arc::new(api), |mut background| async move {
        // Without these two there are fewer commands; without the log there are none.
        readiness.set(engine, Health::Degraded);
        let ledger = intents.clone();
        background.watch(engine, Health::Degraded, move || {
            let ledger = ledger.clone();
            async move { ledger.checkpoints().await.map(drop) }
        });
        if let Some(messages) = &config.messages {
            readiness.set("kafka", Health::Degraded);
            let probe = KafkaProbe::new(&messages.kafka, &messages.commands)?;
            background.watch("kafka", Health::Degraded, move || {
                let probe = probe.clone();
                async move { probe.ask().await }
            });
        }

        let open = || MongoStore::open(config.log.clone());
        let store = social_service::connect("mongodb", &readiness, open, judge).await?;
        opened.set(store.clone());
        let watched = store.clone();
        background.watch("mongodb", Health::Down, move || {
            let store = watched.clone();
            async move { social_service::look_at(&store).await }
        });

        let instance = social_service::start_id();
        let options = CoordinatorOptions::default();
        let coordinator = Coordinator::new(store.clone(), intents, TokioTimer, instance, options);
        let options = ExecutorOptions {
            hash_seed: SystemRandom.next_u64(),
            ..ExecutorOptions::default()
        };
        let app = App::new(coordinator.clone(), store.clone(), options);
        let seen = store.clone();
        metrics.collect(Box::new(LagStats {
            head: move |partition| seen.seen_head(partition),
            follower: FollowerStats {
                name: "ledger",
                progress: coordinator.progress(),
            },
        }));
        metrics.collect(Box::new(StoreStats(store.clone())));
        metrics.collect(Box::new(CommandStats(app.clone())));

        let mediator = Arc::new(social_api::mediator(app.clone(), coordinator.clone()));
        let stopping = background.stopping();
        background.spawn(
            "coordinator",
            async move { coordinator.run(stopping).await },
        );
        let stopping = background.stopping();
        background.spawn("snapshots", async move {
            app.run_snapshots(stopping).await;
            Ok::<(), Infallible>(())
        });
        if let Some(messages) = config.messages {
            let edge = CommandEdge {
                mediator: Arc::clone(&mediator),
                authentication: config.authentication.clone(),
                namespace: store.namespace(),
            };
            let (stopping, partitions) = (background.stopping(), store.partitions());
            background.spawn("messages", async move {
                crate::messages::run(messages, partitions, edge, stopping).await;
                Ok::<(), Infallible>(())
            });
        }
        edge.set(CommandEdge {
            mediator,
            authentication: config.authentication,
            namespace: store.namespace(),
        });
        Ok(background)
    });
    serving.await?;
    if let Some(store) = closing.get() {
        store.close().await;
    }
    Ok(())
}

fn judge(error: &OpenError) -> Failure {
    match error {
        OpenError::Store { .. } => Failure::Away,
        _ => Failure::Refused,
    }
}
