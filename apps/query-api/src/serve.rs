//! The query API: wires the parts together and serves.

use std::convert::Infallible;
use std::sync::Arc;

use anyhow::Context;
use cqrs_postgres::PgModels;
use http_kit::{Health, Metrics};
use prometheus_client::registry::Registry;
use social_api::{Api, Looking, Never, QueryEdge};
use social_read_model::PgQueries;
use social_service::{Background, Failure, Service};

use crate::config::Config;

/// The check that says whether there is something to read.
const CHECK: &str = "postgres";

/// Serves until a signal, then drains.
///
/// While there is no server, no live version or none of a known layout, queries are answered 503 and it is not ready.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let service = Service::bind(config.listen).await?;
    let readiness = service.readiness().clone();
    let pool = config.postgres.pool().context("POSTGRES_URL")?;
    let queries = PgQueries::new(PgModels::new(pool, &config.prefix));
    let looking = Looking::default();
    let edge = QueryEdge::beside(queries.clone(), looking.clone());
    let metrics = Arc::new(Metrics::new(Registry::default()));
    let api = Api::<Never, _>::new(None, Some(edge.into()), readiness.clone(), metrics);
    let start = |mut background: Background| async move {
        let ping = || queries.ping();
        // A version may be made, promoted or rolled back at any time.
        social_service::connect(CHECK, &readiness, ping, |_| Failure::Away).await?;
        let stopping = background.stopping();
        background.spawn("watch", async move {
            let (ask, look) = (|| queries.ping(), || queries.places());
            tokio::select! {
                () = social_service::watch(CHECK, Health::Down, readiness, ask) => {}
                () = looking.run(look) => {}
                () = stopping => {}
            }
            Ok::<(), Infallible>(())
        });
        Ok(background)
    };
    service.serve(Arc::new(api), start).await
}
