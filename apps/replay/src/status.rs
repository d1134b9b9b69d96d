//! What there is, and how far it is.

use std::sync::Arc;

use cqrs_core::{LogPosition, ParkedStreams, Partition, Position, TailLog};
use cqrs_postgres::{ModelState, PgProjection};
use social_read_model::SocialReadModel;

use crate::Ended;
use crate::config::Config;

/// Tells of the log and of every version that is not retired. The log may be away.
pub(crate) async fn status(config: &Config) -> anyhow::Result<Ended> {
    let models = config.models()?;
    let heads = heads(config).await;
    match &heads {
        Ok(heads) => {
            let commits: u64 = heads.iter().map(|at| at.position.get()).sum();
            println!("log: {commits} commits, {}", places(heads));
        }
        Err(error) => println!("log: away ({error:#})"),
    }
    let model = Arc::new(SocialReadModel::new());
    let versions = models.versions(SocialReadModel::NAME).await?;
    println!("version  schema        layout  state     behind  parked  stands at");
    for version in versions {
        if version.state == ModelState::Retired {
            continue;
        }
        let stands = models.places(&version).await?;
        let behind = match &heads {
            Ok(heads) => lag(heads, &stands).to_string(),
            Err(_) => "?".to_owned(),
        };
        let projection = PgProjection::new(models.clone(), version.clone(), Arc::clone(&model));
        let mut parked = 0;
        for at in &stands {
            parked += projection.parked(at.partition).await?.len();
        }
        println!(
            "{:<7}  {:<12}  {:<6}  {:<8}  {behind:<6}  {parked:<6}  {}",
            version.version,
            version.schema.as_str(),
            version.layout,
            version.state.as_str(),
            places(&stands),
        );
    }
    Ok(Ended::Well)
}

async fn heads(config: &Config) -> anyhow::Result<Vec<LogPosition>> {
    let log = config.log().await?;
    let mut heads = Vec::new();
    for partition in Partition::all(log.partitions()) {
        heads.push(LogPosition::new(partition, log.head(partition).await?));
    }
    log.close().await;
    Ok(heads)
}

/// How many commits of the log `stands` lacks.
fn lag(heads: &[LogPosition], stands: &[LogPosition]) -> u64 {
    let done = |partition| {
        let at = stands.iter().find(|at| at.partition == partition);
        at.map_or(Position::START, |at| at.position).get()
    };
    heads
        .iter()
        .map(|head| head.position.get().saturating_sub(done(head.partition)))
        .sum()
}

fn places(places: &[LogPosition]) -> String {
    let texts: Vec<String> = places.iter().map(LogPosition::to_string).collect();
    texts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_lags_by_what_the_log_has_more() {
        let at = |partition, position| {
            LogPosition::new(Partition::new(partition), Position::new(position))
        };
        let heads = [at(0, 5), at(1, 7)];
        assert_eq!(lag(&heads, &[at(0, 5), at(1, 7)]), 0);
        assert_eq!(lag(&heads, &[at(0, 2), at(1, 9)]), 3);
        assert_eq!(lag(&heads, &[at(1, 7)]), 5);
    }
}
