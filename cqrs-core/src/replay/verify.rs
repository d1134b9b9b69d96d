//! Comparing the live version with another, row by row, at one checkpoint vector.
//!
//! Both gates are closed for a moment: the version that is behind is brought to the other's place, a snapshot is taken,
//! and the gates are opened again. The comparison itself takes as long as it takes and is in nobody's way.

use futures_util::FutureExt;

use super::{
    BuildVersions, ChangeVersions, CompareVersions, Difference, Failed, ModelState, Replay,
    ReplayError, ReplayLock, ReplayPhase, VersionGates, VersionSnapshot, Versioned, Writing,
};
use crate::log::{ReadLog, TailLog};
use crate::mutants::mutant;
use crate::position::{LogPosition, Partition, Position};
use crate::time::Timer;

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<V> {
    /// The live version.
    pub live: V,
    /// The one that it was compared with.
    pub other: V,
    /// Where both stood.
    pub at: Vec<LogPosition>,
    /// How many rows the live version has.
    pub rows: u64,
    /// How many rows differ, or only one of both has; parked commits too.
    pub differing: u64,
    /// Some of them: the first of each table.
    pub differences: Vec<Difference>,
}

type Snapshot<V> = <<V as CompareVersions>::Gates as VersionGates>::Snapshot;

impl<V, L, T> Replay<V, L, T>
where
    V: BuildVersions + ChangeVersions + CompareVersions,
    L: ReadLog + TailLog + 'static,
    T: Timer + Clone + 'static,
{
    /// Compares the live version with version `number`, row by row, where both stand at the same place.
    ///
    /// Writers of both wait for a moment; the comparison runs beside them.
    ///
    /// # Errors
    ///
    /// - [`ReplayError::Layouts`]: they have different tables, or other ones than this code knows.
    /// - [`ReplayError::Behind`]: one could not be brought to the other's place.
    /// - [`ReplayError::NoneLive`]: there is nothing to compare with.
    /// - [`ReplayError::Interrupted`], [`ReplayError::Cancelled`], [`ReplayError::Model`].
    pub async fn verify(
        &self,
        lock: &V::Lock,
        number: u32,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Verified<V::Version>, Failed<V>> {
        let shutdown = shutdown.shared();
        let (live, other) = (self.live().await?, self.find(number).await?);
        for known in [&live, &other] {
            if known.layout() != self.versions.layout() {
                return Err(ReplayError::Layouts {
                    live: live.layout(),
                    other: other.layout(),
                });
            }
        }
        lock.check().await.map_err(ReplayError::Model)?;
        // Most of the way before anybody has to wait.
        let heads = self.heads().await?;
        for version in [&live, &other] {
            self.catch_up(version, &heads, shutdown.clone()).await?;
        }
        self.progress.enter(ReplayPhase::Verifying, None);
        let (mut snapshot, at) = self.snapshot(&live, &other).await?;
        let places = Partition::all(u16::MAX).zip(&at);
        let mut verified = Verified {
            live,
            other,
            at: places
                .map(|(partition, at)| LogPosition::new(partition, *at))
                .collect(),
            rows: 0,
            differing: 0,
            differences: Vec::new(),
        };
        for nth in 0.. {
            if shutdown.clone().now_or_never().is_some() {
                return Err(ReplayError::Interrupted);
            }
            let compared = snapshot.compare(nth).await.map_err(ReplayError::Model)?;
            let Some(compared) = compared else { break };
            verified.rows += compared.rows;
            verified.differing += compared.differing;
            verified.differences.extend(compared.differences);
        }
        self.progress.enter(ReplayPhase::Done, None);
        Ok(verified)
    }

    async fn live(&self) -> Result<V::Version, Failed<V>> {
        let versions = self.versions.versions().await;
        let mut versions = versions.map_err(ReplayError::Model)?.into_iter();
        let live = versions.find(|version| version.state() == ModelState::Live);
        live.ok_or(ReplayError::NoneLive)
    }

    /// A snapshot in which both versions stand at one place, and that place.
    async fn snapshot(
        &self,
        live: &V::Version,
        other: &V::Version,
    ) -> Result<(Snapshot<V>, Vec<Position>), Failed<V>> {
        let gates = self
            .versions
            .close_gates(live, other, self.options.gate.saturating_mul(2));
        let mut gates = gates.await.map_err(ReplayError::Model)?;
        let [here, there] = gates.places().await.map_err(ReplayError::Model)?;
        let until: Vec<_> = here.iter().zip(&there).map(|(a, b)| *a.max(b)).collect();
        for version in [live, other] {
            let gated = self.versions.projection(version, Writing::Gated);
            let deadline = self.timer.sleep(self.options.gate);
            let (phase, slice) = (ReplayPhase::Verifying, self.options.applied);
            self.apply_up_to(phase, gated, &until, slice, deadline)
                .await?;
        }
        let mut snapshot = gates.open().await.map_err(ReplayError::Model)?;
        let [here, there] = snapshot.places().await.map_err(ReplayError::Model)?;
        if here != there && !mutant("compare versions wherever they stand") {
            return Err(ReplayError::Behind {
                version: other.number(),
                attempts: 1,
            });
        }
        Ok((snapshot, here))
    }
}
