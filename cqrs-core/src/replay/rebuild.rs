//! Making a version: copy, index, catch up.

use futures_util::FutureExt;
use futures_util::future::Shared;

use super::{
    BuildVersions, ChangeVersions, Failed, ModelState, Replay, ReplayError, ReplayLock,
    ReplayPhase, VersionChange, Versioned, Writing, unfit,
};
use crate::log::{ReadLog, TailLog};
use crate::mutants::mutant;
use crate::position::Position;
use crate::time::Timer;

impl<V, L, T> Replay<V, L, T>
where
    V: BuildVersions + ChangeVersions,
    L: ReadLog + TailLog + 'static,
    T: Timer + Clone + 'static,
{
    /// Makes the next version beside the live one, or goes on with one that was begun, until it has all that
    /// the log has.
    ///
    /// Where it ends it is `ready`: it is fed from then on, and can be [promoted](Self::promote).
    ///
    /// # Errors
    ///
    /// [`ReplayError`]; run it again to go on, unless it was cancelled.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is a crash: what was written counts. `shutdown` lets the running slice end first.
    pub async fn rebuild(
        &self,
        lock: &V::Lock,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<V::Version, Failed<V>> {
        let shutdown = shutdown.shared();
        let begun = self.versions.begin(self.log.partitions()).await;
        let mut version = begun.map_err(ReplayError::Model)?;
        if version.state() == ModelState::Building {
            let heads = self.heads().await?;
            let copier = self.versions.projection(&version, Writing::Copying);
            let (phase, slice) = (ReplayPhase::Copying, self.options.copied);
            let stop = self.stop(&version, shutdown.clone());
            let copied = self.apply_up_to(phase, copier, &heads, slice, stop).await;
            self.ended(&version, copied).await?;
            lock.check().await.map_err(ReplayError::Model)?;
            self.progress.enter(ReplayPhase::Indexing, None);
            self.prepare(&version).await?;
            version = self.make_ready(&version).await?;
        }
        lock.check().await.map_err(ReplayError::Model)?;
        let heads = self.heads().await?;
        self.catch_up(&version, &heads, shutdown).await?;
        self.progress.enter(ReplayPhase::Done, None);
        Ok(version)
    }

    async fn prepare(&self, version: &V::Version) -> Result<(), Failed<V>> {
        let Err(source) = self.versions.prepare(version).await else {
            return Ok(());
        };
        // What was cancelled meanwhile has no tables any more.
        match self.find(version.number()).await?.state() {
            ModelState::Retired => Err(unfit::<V>(version, ModelState::Retired)),
            _ => Err(ReplayError::Model(source)),
        }
    }

    /// Tells projectors to feed the version, with what only queries need.
    async fn make_ready(&self, version: &V::Version) -> Result<V::Version, Failed<V>> {
        let change = self.versions.change(version).await;
        let (change, found) = change.map_err(ReplayError::Model)?;
        if found != ModelState::Building && !mutant("make ready what was cancelled") {
            return Err(unfit::<V>(version, found));
        }
        let ready = change.make_ready().await.map_err(ReplayError::Model)?;
        tracing::info!(version = version.number(), "ready");
        Ok(ready)
    }
}

impl<V, L, T> Replay<V, L, T>
where
    V: BuildVersions,
    L: ReadLog + TailLog + 'static,
    T: Timer + Clone + 'static,
{
    /// Applies what `version` lacks of the log up to `until`.
    pub(super) async fn catch_up<S>(
        &self,
        version: &V::Version,
        until: &[Position],
        shutdown: Shared<S>,
    ) -> Result<(), Failed<V>>
    where
        S: Future<Output = ()> + Send,
    {
        let projection = self.versions.projection(version, Writing::Feeding);
        let (phase, slice) = (ReplayPhase::CatchingUp, self.options.applied);
        let stop = self.stop(version, shutdown);
        let done = self
            .apply_up_to(phase, projection, until, slice, stop)
            .await;
        self.ended(version, done).await
    }
}
