//! Streams that wait because one of their events could not be applied.

use std::sync::Arc;

use anyhow::Context;
use cqrs_core::{ApplyError, Parked, ParkedStreams, Partition, StreamName};
use cqrs_postgres::{PgModels, PgProjection};
use social_read_model::SocialReadModel;

use crate::Ended;
use crate::config::Config;

type Social = PgProjection<SocialReadModel>;

/// Every parked stream of every version that is fed, with its version.
async fn parked(models: &PgModels) -> anyhow::Result<Vec<(Social, Partition, Parked)>> {
    let model = Arc::new(SocialReadModel::new());
    let mut all = Vec::new();
    for version in models.fed(&*model).await? {
        let places = models.places(&version).await?;
        let projection = PgProjection::new(models.clone(), version, Arc::clone(&model));
        for place in places {
            for parked in projection.parked(place.partition).await? {
                all.push((projection.clone(), place.partition, parked));
            }
        }
    }
    Ok(all)
}

/// Tells which streams are parked, since where, and why.
pub(crate) async fn list(config: &Config) -> anyhow::Result<Ended> {
    let all = parked(&config.models()?).await?;
    for (projection, _, parked) in &all {
        println!(
            "version {}: {} since {}, {} events wait: {}",
            projection.version().version,
            parked.stream,
            parked.first,
            parked.waiting,
            parked.reason
        );
    }
    if all.is_empty() {
        println!("nothing is parked");
    }
    Ok(Ended::Well)
}

/// Applies what waits of `stream`, or of all, in order. What still cannot be applied stays parked.
pub(crate) async fn retry(config: &Config, stream: Option<&StreamName>) -> anyhow::Result<Ended> {
    let mut ended = Ended::Well;
    let mut tried = 0;
    for (projection, partition, parked) in parked(&config.models()?).await? {
        let (version, name) = (projection.version().version, &parked.stream);
        if stream.is_some_and(|stream| stream != name) {
            continue;
        }
        tried += 1;
        match projection.release(partition, name).await {
            Ok(()) => println!(
                "version {version}: {name} applied, {} events",
                parked.waiting
            ),
            Err(ApplyError::Poison { source, .. }) => {
                let why = anyhow::Error::from_boxed(source);
                println!("version {version}: {name} stays parked: {why:#}");
                ended = Ended::Badly;
            }
            Err(error) => {
                return Err(error).with_context(|| format!("version {version}: {name}"));
            }
        }
    }
    if tried == 0 {
        println!("nothing is parked");
    }
    Ok(ended)
}

/// Gives what waits of `stream` up, for `reason`, which is kept.
pub(crate) async fn give_up(
    config: &Config,
    stream: &StreamName,
    reason: &str,
) -> anyhow::Result<Ended> {
    let mut ended = Ended::Badly;
    for (projection, partition, parked) in parked(&config.models()?).await? {
        if parked.stream != *stream {
            continue;
        }
        let events = projection.drop_parked(partition, stream, reason).await?;
        let version = projection.version().version;
        println!("version {version}: {stream} dropped, {events} events");
        ended = Ended::Well;
    }
    if ended == Ended::Badly {
        println!("{stream} is not parked");
    }
    Ok(ended)
}
