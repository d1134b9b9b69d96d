//! Moving the pointer.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::FutureExt;

use super::{
    BuildVersions, ChangeVersions, Failed, ModelState, PromoteVersions, PromotionTransaction,
    Replay, ReplayError, ReplayLock, ReplayPhase, Versioned, Writing, unfit,
};
use crate::log::{ReadLog, TailLog};
use crate::mutants::mutant;
use crate::position::Position;
use crate::time::Timer;

/// How to promote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promotion {
    /// Also where streams are parked that the live version has not parked.
    pub force: bool,
    /// How long the live version is held still at most, each time it is tried.
    pub hold: Duration,
    /// How often it is tried.
    pub attempts: u32,
}

impl Default for Promotion {
    /// Without force; 500 ms, 20 times.
    fn default() -> Self {
        Self {
            force: false,
            hold: Duration::from_millis(500),
            attempts: 20,
        }
    }
}

impl<V, L, T> Replay<V, L, T>
where
    V: BuildVersions + ChangeVersions + PromoteVersions,
    L: ReadLog + TailLog + 'static,
    T: Timer + Clone + 'static,
{
    /// Makes version `number` the live one: a rebuilt one, or an earlier one again.
    ///
    /// The one that was live is `ready` after it, and fed until it is [retired](Self::retire). Does nothing
    /// where it is live already. A version of another layout must be fed by somebody who knows it.
    ///
    /// # Errors
    ///
    /// - [`ReplayError::Parked`]: the live version has not parked those streams; nothing is changed.
    /// - [`ReplayError::Behind`]: it did not reach the live one; nothing is changed.
    /// - [`ReplayError::Cancelled`], [`ReplayError::Interrupted`]: nothing is changed.
    /// - [`ReplayError::Model`]: unknown; promote again.
    pub async fn promote(
        &self,
        lock: &V::Lock,
        number: u32,
        how: &Promotion,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<V::Version, Failed<V>> {
        let shutdown = shutdown.shared();
        let version = self.find(number).await?;
        for _ in 0..how.attempts.max(1) {
            if shutdown.clone().now_or_never().is_some() {
                return Err(ReplayError::Interrupted);
            }
            lock.check().await.map_err(ReplayError::Model)?;
            if version.layout() == self.versions.layout() {
                // The live version is held still for no longer than what comes after this takes.
                let heads = self.heads().await?;
                self.catch_up(&version, &heads, shutdown.clone()).await?;
            }
            self.progress.enter(ReplayPhase::Promoting, None);
            if let Some(live) = self.try_promote(&version, how).await? {
                tracing::info!(version = number, "live");
                self.progress.enter(ReplayPhase::Done, None);
                return Ok(live);
            }
        }
        Err(ReplayError::Behind {
            version: number,
            attempts: how.attempts.max(1),
        })
    }

    /// The version, live by now; `None` where the one that is live was not reached in time.
    async fn try_promote(
        &self,
        version: &V::Version,
        how: &Promotion,
    ) -> Result<Option<V::Version>, Failed<V>> {
        let begun = self.versions.begin_promotion(version, how.hold).await;
        let (mut transaction, found) = begun.map_err(ReplayError::Model)?;
        match found {
            ModelState::Live => {
                drop(transaction);
                return Ok(Some(self.find(version.number()).await?));
            }
            ModelState::Ready => {}
            other => return Err(unfit::<V>(version, other)),
        }
        // From here on the live version stands still.
        let until = transaction.hold().await.map_err(ReplayError::Model)?;
        if mutant("let the live version go before the pointer moves") {
            drop(transaction);
            self.reach(version, &until, how.hold).await?;
            let begun = self.versions.begin_promotion(version, how.hold).await;
            (transaction, _) = begun.map_err(ReplayError::Model)?;
        }
        let reached = self.reach(version, &until, how.hold).await?;
        // And so does this one, having reached it: what it parks from here on nobody would look at.
        let standing = transaction.standing().await.map_err(ReplayError::Model)?;
        let now = &standing.at;
        let behind =
            !reached || now.len() != until.len() || now.iter().zip(&until).any(|(n, u)| n < u);
        if behind && !mutant("promote before the live one is reached") {
            return Ok(None);
        }
        let force = how.force || mutant("parked streams need no force");
        if !standing.parked.is_empty() && !force {
            let streams: BTreeSet<_> = standing.parked.into_iter().collect();
            return Err(ReplayError::Parked {
                streams: streams.into_iter().collect(),
            });
        }
        let live = transaction.commit().await.map_err(ReplayError::Model)?;
        Ok(Some(live))
    }

    /// Lets `version` reach `until`, by whoever feeds it, for as long as `hold`.
    async fn reach(
        &self,
        version: &V::Version,
        until: &[Position],
        hold: Duration,
    ) -> Result<bool, Failed<V>> {
        let deadline = self.timer.sleep(hold);
        if version.layout() == self.versions.layout() {
            let projection = self.versions.projection(version, Writing::Feeding);
            let (phase, slice) = (ReplayPhase::Promoting, self.options.applied);
            let reached = self
                .apply_up_to(phase, projection, until, slice, deadline)
                .await?;
            return Ok(reached);
        }
        deadline.await;
        Ok(true)
    }
}
