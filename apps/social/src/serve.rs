//! The server: wires the parts together and serves.

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
    service.readiness().set("store", Health::Ok);

    let metrics = Arc::new(Metrics::new(Registry::default()));
    metrics.collect(Box::new(StoreStats {
        store: store.clone(),
        progress: progress.clone(),
    }));
    metrics.collect(Box::new(FollowerStats {
        name: "projection",
        progress: progress.clone(),
    }));
    metrics.collect(Box::new(CommandStats(app.clone())));
    let commands = CommandEdge {
        mediator: Arc::new(social_api::mediator(app.clone(), store.clone())),
        authentication: config.authentication,
        namespace: store.namespace(),
    };
    let queries = QueryEdge::new(SqliteQueries::new(store), Some(progress));
    let readiness = service.readiness().clone();
    let api = Api::new(
        Some(commands.into()),
        Some(queries.into()),
        readiness,
        metrics,
    );
    service
        .serve(Arc::new(api), |mut background| async move {
            let stopping = background.stopping();
            background.spawn("projection", async move { runner.run(stopping).await });
            let stopping = background.stopping();
            background.spawn("snapshots", async move {
                app.run_snapshots(stopping).await;
                Ok::<(), std::convert::Infallible>(())
            });
            Ok(background)
        })
        .await
}
