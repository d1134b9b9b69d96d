//! The server: wires the parts together, serves, drains.

use std::sync::Arc;

use anyhow::Context;
use cqrs_core::{ExecutorOptions, ProjectionRunner, Random, RunnerOptions};
use cqrs_sqlite::{SqliteProjection, SqliteStore};
use futures_util::FutureExt;
use http_kit::{Health, Metrics, Readiness, ServerOptions};
use prometheus_client::registry::Registry;
use social_api::{Api, App, CommandEdge, QueryEdge, SystemRandom, TokioTimer};
use social_read_model::{SocialReadModel, SqliteQueries};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::Config;
use crate::metrics::Inside;
use crate::offline;

/// Serves until a signal, then drains.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let signal = http_kit::shutdown_signal()?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("could not listen on {}", config.listen))?;
    let store = offline::open(&config.data)?;
    serve(listener, store.clone(), config, signal).await?;
    store.close().await;
    Ok(())
}

async fn serve(
    listener: TcpListener,
    store: SqliteStore,
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
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
    let readiness = Readiness::new();
    readiness.set("store", Health::Ok);
    readiness.set("projection", Health::Ok);

    let mut registry = Registry::default();
    registry.register_collector(Box::new(Inside {
        store: store.clone(),
        app: app.clone(),
        progress: progress.clone(),
    }));
    let commands = CommandEdge {
        mediator: Arc::new(social_api::mediator(app.clone(), store.clone())),
        authentication: config.authentication,
        namespace: store.namespace(),
    };
    let queries = SqliteQueries::new(store.clone());
    let queries = QueryEdge::new(queries, Some(progress));
    let api = Arc::new(Api::new(
        Some(commands),
        Some(queries),
        readiness.clone(),
        Metrics::new(registry),
    ));

    // Ends the background once the last request was answered: what was acknowledged is projected, too.
    let (stop, stopped) = watch::channel(false);
    let stopping = move || {
        let mut stopped = stopped.clone();
        // A sender that is gone means the same.
        async move { drop(stopped.wait_for(|stopped| *stopped).await) }
            .boxed()
            .shared()
    };
    let projecting = tokio::spawn({
        let stopping = stopping();
        async move {
            if let Err(error) = runner.run(stopping).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the projection stopped"
                );
                readiness.set("projection", Health::Down);
            }
        }
    });
    let snapshots = tokio::spawn(async move { app.run_snapshots(stopping()).await });

    println!("listening on http://{}", listener.local_addr()?);
    let answer = move |request| {
        let api = Arc::clone(&api);
        async move { api.answer(request).await }
    };
    http_kit::serve(listener, answer, ServerOptions::default(), shutdown).await?;
    stop.send_replace(true);
    projecting.await?;
    snapshots.await?;
    Ok(())
}
