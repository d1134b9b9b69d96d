//! The server: wires the parts together and serves.

use std::convert::Infallible;
use std::sync::Arc;

use cqrs_core::{ExecutorOptions, ProjectionRunner, Random, RunnerOptions};
use cqrs_sqlite::{SqliteProjection, SqliteStore};
use http_kit::{Health, Metrics};
use prometheus_client::registry::Registry;
use social_api::{Api, App, CommandEdge, QueryEdge, SystemRandom, TokioTimer};
use social_read_model::{SocialReadModel, SqliteQueries};
use social_service::{CommandStats, FollowerStats, Service};

use crate::config::Config;
use crate::metrics::StoreStats;
use crate::offline;

/// Serves until a signal, then drains.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let service = Service::bind(config.listen).await?;
    let store = offline::open(&config.data)?;
    serve(service, store.clone(), config).await?;
    store.close().await;
    Ok(())
}

async fn serve(service: Service, store: SqliteStore, config: Config) -> anyhow::Result<()> {
    let options = ExecutorOptions {
        hash_seed: SystemRandom.next_u64(),
        ..ExecutorOptions::default()
    };
    let app = App::new(store.clone(), store.clone(), options);
    let projection = SqliteProjection::open(store.clone(), SocialReadModel::new()).await?;
    let runner = ProjectionRunner::new(
        store.clone(),
        projection,
        TokioTimer,
        RunnerOptions::default(),
    );
    let progress = runner.progress();
    let metrics = Arc::new(Metrics::new(Registry::default()));
    let stats = StoreStats {
        store: store.clone(),
        progress: progress.clone(),
    };
    let following = FollowerStats {
        name: "projection",
        progress: progress.clone(),
    };
    let readiness = service.readiness().clone();
    following.report_parked(&readiness);
    let lag = stats.clone();
    readiness.measure("projection_lag", move || (Health::Ok, lag.lag()));
    metrics.collect(Box::new(stats));
    metrics.collect(Box::new(following));
    metrics.collect(Box::new(CommandStats(app.clone())));
    let commands = CommandEdge {
        mediator: Arc::new(social_api::mediator(app.clone(), store.clone())),
        authentication: config.authentication,
        namespace: store.namespace(),
    };
    let queries = QueryEdge::new(SqliteQueries::new(store.clone()), Some(progress));
    let api = Api::new(
        Some(commands.into()),
        Some(queries.into()),
        readiness.clone(),
        metrics,
    );
    service
        .serve(Arc::new(api), |mut background| async move {
            let stopping = background.stopping();
            background.spawn("projection", async move { runner.run(stopping).await });
            let stopping = background.stopping();
            background.spawn("snapshots", async move {
                app.run_snapshots(stopping).await;
                Ok::<(), Infallible>(())
            });
            let stopping = background.stopping();
            background.spawn("store", async move {
                let ask = || store.check();
                let watched = social_service::watch("store", Health::Down, readiness, ask);
                tokio::select! {
                    () = watched => {}
                    () = stopping => {}
                }
                Ok::<(), Infallible>(())
            });
            Ok(background)
        })
        .await
}
