//! Ending versions.

use super::{
    ChangeVersions, Failed, ModelState, Replay, ReplayError, VersionChange, Versioned, unfit,
};
use crate::mutants::mutant;

impl<V: ChangeVersions, L, T> Replay<V, L, T> {
    /// Ends every version that was begun and never promoted; the live one is left alone. Which those were.
    ///
    /// Needs no lock: a rebuild that is running ends with [`ReplayError::Cancelled`].
    ///
    /// # Errors
    ///
    /// - [`ReplayError::State`]: one was promoted meanwhile, and stays.
    /// - [`ReplayError::Model`].
    ///
    /// Some may be ended: do it again.
    pub async fn cancel(&self) -> Result<Vec<V::Version>, Failed<V>> {
        let begun = self.versions.begun().await.map_err(ReplayError::Model)?;
        for version in &begun {
            self.end(version).await?;
        }
        Ok(begun)
    }

    /// Ends version `number`, which is not live: nobody feeds it any more, and its rows are gone.
    ///
    /// Does nothing where it is retired already.
    ///
    /// # Errors
    ///
    /// - [`ReplayError::State`]: it is live, or there is none of that number.
    /// - [`ReplayError::Model`]: unknown; do it again.
    pub async fn retire(&self, number: u32) -> Result<(), Failed<V>> {
        let version = self.find(number).await?;
        self.end(&version).await
    }

    async fn end(&self, version: &V::Version) -> Result<(), Failed<V>> {
        let change = self.versions.change(version).await;
        let (change, found) = change.map_err(ReplayError::Model)?;
        match found {
            ModelState::Retired => return Ok(()),
            ModelState::Live if !mutant("retire what became live meanwhile") => {
                return Err(unfit::<V>(version, ModelState::Live));
            }
            ModelState::Live | ModelState::Building | ModelState::Ready => {}
        }
        change.retire().await.map_err(ReplayError::Model)?;
        tracing::info!(version = version.number(), "retired");
        Ok(())
    }
}
