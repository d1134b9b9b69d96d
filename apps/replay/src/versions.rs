//! What becomes of versions that are there.

use std::sync::Arc;

use cqrs_postgres::PgReplay;
use social_read_model::SocialReadModel;

use crate::Ended;
use crate::config::Config;
use crate::rebuild::Replay;

/// Makes `version` the live one.
pub(crate) async fn promote(config: &Config, version: u32, force: bool) -> anyhow::Result<Ended> {
    let replay = Replay::begin(config).await?;
    let ended = replay.promote(version, force).await;
    replay.log.close().await;
    ended
}

/// Makes the one live again that was so before.
pub(crate) async fn rollback(config: &Config, force: bool) -> anyhow::Result<Ended> {
    let replay = Replay::begin(config).await?;
    let ended = match replay.inner.previous().await? {
        Some(previous) => replay.promote(previous.version, force).await,
        None => Err(anyhow::anyhow!("no earlier version is kept to go back to")),
    };
    replay.log.close().await;
    ended
}

/// Ends what was begun and never promoted.
pub(crate) async fn cancel(config: &Config) -> anyhow::Result<Ended> {
    let cancelled = ending(config)?.cancel().await?;
    for version in &cancelled {
        println!("version {} is cancelled", version.version);
    }
    if cancelled.is_empty() {
        println!("there was nothing to cancel");
    }
    Ok(Ended::Well)
}

/// Ends a version that is not live.
pub(crate) async fn retire(config: &Config, version: u32) -> anyhow::Result<Ended> {
    ending(config)?.retire(version).await?;
    println!("version {version} is retired");
    Ok(Ended::Well)
}

/// What ends versions needs neither log nor lock.
fn ending(config: &Config) -> anyhow::Result<PgReplay<(), SocialReadModel, ()>> {
    let model = Arc::new(SocialReadModel::new());
    Ok(PgReplay::new(config.models()?, model, (), ()))
}
