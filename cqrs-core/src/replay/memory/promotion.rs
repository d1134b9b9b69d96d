//! Moving the pointer in memory.

use std::time::Duration;

use super::held::Hold;
use super::{MemoryVersion, MemoryVersions, Unkept};
use crate::mutants::mutant;
use crate::position::Position;
use crate::replay::{ModelState, PromoteVersions, PromotionTransaction, Standing};

/// A promotion of a version of a [`MemoryVersions`]. Nothing ends it but its owner.
pub struct MemoryPromotion<S: Clone + Send + Sync> {
    versions: MemoryVersions<S>,
    hold: Hold<S>,
    live: u32,
    number: u32,
}

impl<S: Clone + Send + Sync + 'static> PromoteVersions for MemoryVersions<S> {
    type Promotion = MemoryPromotion<S>;

    async fn begin_promotion(
        &self,
        version: &MemoryVersion,
        _: Duration,
    ) -> Result<(MemoryPromotion<S>, ModelState), Unkept> {
        let number = version.number;
        let mut hold = self.hold();
        hold.pointer().await;
        hold.row(number).await;
        let (live, found) = {
            let state = self.shared.state();
            (state.live().number, state.of(number))
        };
        let found = found.ok_or(Unkept { number })?;
        let promotion = MemoryPromotion {
            versions: self.clone(),
            hold,
            live,
            number,
        };
        Ok((promotion, found.state))
    }
}

impl<S: Clone + Send + Sync> MemoryPromotion<S> {
    /// The version that is to be live, and the one that is.
    #[must_use]
    pub fn numbers(&self) -> (u32, u32) {
        (self.number, self.live)
    }
}

impl<S: Clone + Send + Sync> PromotionTransaction for MemoryPromotion<S> {
    type Version = MemoryVersion;
    type Error = Unkept;

    async fn hold(&mut self) -> Result<Vec<Position>, Unkept> {
        self.hold.checkpoints(self.live).await;
        Ok(self.versions.places(self.live))
    }

    async fn standing(&mut self) -> Result<Standing, Unkept> {
        if !mutant("look at the new version and do not hold it") {
            self.hold.checkpoints(self.number).await;
        }
        let partitions = self.versions.shared.partitions;
        let state = self.versions.shared.state();
        let lacks: Vec<_> = state.parked(self.live, partitions);
        let mut parked = Vec::new();
        for (partition, found) in state.parked(self.number, partitions) {
            if lacks.iter().all(|(_, lack)| lack.stream != found.stream) {
                parked.push((partition, found.stream));
            }
        }
        Ok(Standing {
            at: state.places(self.number, partitions),
            parked,
        })
    }

    async fn commit(self) -> Result<MemoryVersion, Unkept> {
        let (number, live) = (self.number, self.live);
        let mut state = self.versions.shared.state();
        state.promotions += 1;
        let promoted = state.promotions;
        if let Some(before) = state.versions.get_mut(&live) {
            before.state = ModelState::Ready;
        }
        let kept = state.versions.get_mut(&number).ok_or(Unkept { number })?;
        (kept.state, kept.promoted) = (ModelState::Live, promoted);
        state.of(number).ok_or(Unkept { number })
    }
}
