//! Making the next version, and comparing.

use std::sync::Arc;

use cqrs_core::{LogPosition, TailLog};
use cqrs_mongo::MongoStore;
use cqrs_postgres::{
    ModelError, ModelState, ModelVersion, PgModels, PgReplay, PgReplayLock, Promotion, Verified,
};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use social_api::TokioTimer;
use social_read_model::SocialReadModel;

use crate::Ended;
use crate::bar::show_replay;
use crate::config::Config;

/// A replay of the log in MongoDB, and what stops it.
pub(crate) struct Replay {
    pub(crate) models: PgModels,
    pub(crate) log: MongoStore,
    pub(crate) inner: PgReplay<MongoStore, SocialReadModel, TokioTimer>,
    pub(crate) lock: PgReplayLock,
    pub(crate) shutdown: Shared<BoxFuture<'static, ()>>,
}

impl Replay {
    /// Opens the engines and takes the right to replay.
    pub(crate) async fn begin(config: &Config) -> anyhow::Result<Self> {
        let shutdown = http_kit::shutdown_signal()?.boxed().shared();
        let models = config.models()?;
        let log = config.log().await?;
        let model = Arc::new(SocialReadModel::new());
        let inner = PgReplay::new(models.clone(), model, log.clone(), TokioTimer);
        let lock = inner.lock().await?;
        Ok(Self {
            models,
            log,
            inner,
            lock,
            shutdown,
        })
    }

    /// The live version, of whatever layout; makes a first one where there is none.
    async fn live(&self) -> anyhow::Result<ModelVersion> {
        match self
            .models
            .open(&SocialReadModel::new(), self.log.partitions())
            .await
        {
            // That is what a rebuild is for.
            Ok(_) | Err(ModelError::Layout { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let versions = self.models.versions(SocialReadModel::NAME).await?;
        let live = versions.into_iter().find(|v| v.state == ModelState::Live);
        live.ok_or_else(|| anyhow::anyhow!("no version is live"))
    }

    async fn rebuild(&self) -> anyhow::Result<ModelVersion> {
        let work = self.inner.rebuild(&self.lock, self.shutdown.clone());
        let rebuilt = show_replay(&self.inner.progress(), work).await??;
        let places = self.models.places(&rebuilt).await?;
        let commits: u64 = places.iter().map(|at| at.position.get()).sum();
        let (version, events) = (rebuilt.version, self.inner.progress().state().events);
        println!(
            "version {version} has all that the log has: {commits} commits, {events} events by this run"
        );
        Ok(rebuilt)
    }

    async fn verify(&self, version: u32) -> anyhow::Result<Verified> {
        let work = self
            .inner
            .verify(&self.lock, version, self.shutdown.clone());
        let verified = show_replay(&self.inner.progress(), work).await??;
        tell(&verified);
        Ok(verified)
    }

    pub(crate) async fn promote(&self, version: u32, force: bool) -> anyhow::Result<Ended> {
        let how = Promotion {
            force,
            ..Promotion::default()
        };
        let work = self
            .inner
            .promote(&self.lock, version, &how, self.shutdown.clone());
        match show_replay(&self.inner.progress(), work).await? {
            Ok(live) => {
                println!("version {} is live", live.version);
                Ok(Ended::Well)
            }
            Err(cqrs_postgres::ReplayError::Parked { streams }) => {
                for (partition, stream) in &streams {
                    println!("parked in version {version} only: {stream} (partition {partition})");
                }
                println!("version {version} is not promoted; --force does it all the same");
                Ok(Ended::Badly)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Makes the next version; verifies and promotes it.
pub(crate) async fn rebuild(config: &Config, promote: bool, force: bool) -> anyhow::Result<Ended> {
    let replay = Replay::begin(config).await?;
    let live = replay.live().await?;
    let rebuilt = replay.rebuild().await?;
    let mut same = true;
    if live.layout == rebuilt.layout {
        same = replay.verify(rebuilt.version).await?.differing == 0;
    } else {
        let (from, to) = (live.layout, rebuilt.layout);
        println!("layout {from} becomes {to}: there is nothing to compare with");
    }
    let ended = if !promote {
        println!("version {} is ready and not promoted", rebuilt.version);
        if same { Ended::Well } else { Ended::Badly }
    } else if same || force {
        replay.promote(rebuilt.version, force).await?
    } else {
        let version = rebuilt.version;
        println!("version {version} differs and is not promoted; --force does it all the same");
        Ended::Badly
    };
    replay.log.close().await;
    Ok(ended)
}

/// Compares the live version with `version`, or with one that is made for this and ended after it.
pub(crate) async fn verify(config: &Config, version: Option<u32>) -> anyhow::Result<Ended> {
    let replay = Replay::begin(config).await?;
    let verified = match version {
        Some(version) => replay.verify(version).await?,
        None => {
            replay.live().await?;
            // One that was begun before is gone on with, and left for whoever began it.
            let before = replay.models.versions(SocialReadModel::NAME).await?;
            let rebuilt = replay.rebuild().await?;
            let verified = replay.verify(rebuilt.version).await?;
            if before.iter().all(|v| v.version != rebuilt.version) {
                replay.inner.retire(rebuilt.version).await?;
            }
            verified
        }
    };
    replay.log.close().await;
    match verified.differing {
        0 => Ok(Ended::Well),
        _ => Ok(Ended::Badly),
    }
}

fn tell(verified: &Verified) {
    let (live, other) = (verified.live.version, verified.other.version);
    for difference in &verified.differences {
        println!("{} {}", difference.table, difference.key);
        for (version, row) in [(live, &difference.live), (other, &difference.other)] {
            println!("  version {version}: {}", row.as_deref().unwrap_or("none"));
        }
    }
    let at: Vec<String> = verified.at.iter().map(LogPosition::to_string).collect();
    println!(
        "versions {live} (live) and {other} at {}: {} rows, {} differ",
        at.join(" "),
        verified.rows,
        verified.differing
    );
}
