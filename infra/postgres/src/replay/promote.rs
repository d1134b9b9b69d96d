//! Moving the pointer.

use std::collections::BTreeSet;
use std::time::Duration;

use cqrs_core::{Partition, Position, ReadLog, StreamName, TailLog, Timer};
use futures_util::FutureExt;

use crate::error::ModelError;
use crate::model::PgReadModel;
use crate::models::{ModelState, ModelVersion, int};
use crate::projection::nat;
use crate::replay::{PgReplay, ReplayError, ReplayLock, ReplayPhase};
use crate::transaction::Transaction;

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

pub(super) const CHECKPOINTS: &str = "SELECT partition, position FROM {schema}.checkpoint
    WHERE version = $1 ORDER BY partition";

const EXTRA: &str = "SELECT partition, stream FROM {schema}.parked_stream WHERE version = $1
    EXCEPT SELECT partition, stream FROM {schema}.parked_stream WHERE version = $2";

const MOVE: &str = "
    UPDATE {schema}.model SET state = 'ready' WHERE version = {from};
    UPDATE {schema}.model SET state = 'live', promoted_at = now() WHERE version = {to};
    UPDATE {schema}.pointer SET version = {to} WHERE version = {from};
";

impl<L, M, T> PgReplay<L, M, T>
where
    L: ReadLog + TailLog + 'static,
    M: PgReadModel,
    T: Timer + Clone + 'static,
{
    /// Makes `version` the live one: a rebuilt one, or an earlier one again.
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
        lock: &ReplayLock,
        version: u32,
        how: &Promotion,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<ModelVersion, ReplayError> {
        let shutdown = shutdown.shared();
        let mut version = self.find(version).await?;
        for _ in 0..how.attempts.max(1) {
            if shutdown.clone().now_or_never().is_some() {
                return Err(ReplayError::Interrupted);
            }
            lock.check().await?;
            if version.layout == self.model.layout() {
                // The live version is held still for no longer than what comes after this takes.
                let heads = self.heads().await?;
                self.catch_up(&version, &heads, shutdown.clone()).await?;
            }
            self.progress.enter(ReplayPhase::Promoting, None);
            if self.try_promote(&version, how).await? {
                tracing::info!(schema = %version.schema, "live");
                self.progress.enter(ReplayPhase::Done, None);
                version.state = ModelState::Live;
                return Ok(version);
            }
        }
        Err(ReplayError::Behind {
            version: version.version,
            attempts: how.attempts.max(1),
        })
    }

    /// Whether it is live now; if not, it was not reached in time.
    async fn try_promote(
        &self,
        version: &ModelVersion,
        how: &Promotion,
    ) -> Result<bool, ReplayError> {
        let pool = self.models.pool();
        let mut transaction = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let (client, begun) = transaction.begin("BEGIN");
        begun.await?;
        let (control, new) = (self.models.control(), int(version.version));
        let pointer = "SELECT version FROM {schema}.pointer WHERE projection = $1 FOR UPDATE";
        let live = client
            .query_opt(&control.fill(pointer), &[&self.model.name()])
            .await?;
        let live = live.ok_or_else(|| ModelError::NoneLive {
            projection: self.model.name().to_owned(),
        })?;
        let live: i32 = live.try_get(0)?;
        if live == new {
            return Ok(true);
        }
        match self.models.lock_version(client, version.version).await? {
            ModelState::Ready => {}
            other => return Err(self.unfit(version, other)),
        }
        // From here on the live version stands still.
        let hold = control.fill(&format!("{CHECKPOINTS} FOR UPDATE"));
        let until = positions(client.query(&hold, &[&live]).await?)?;
        let reached = self.reach(version, &until, how.hold).await?;
        let now = positions(client.query(&control.fill(CHECKPOINTS), &[&new]).await?)?;
        if !reached || now.len() != until.len() || now.iter().zip(&until).any(|(n, u)| n < u) {
            return Ok(false);
        }
        let extra = client.query(&control.fill(EXTRA), &[&new, &live]).await?;
        if !extra.is_empty() && !how.force {
            let streams = extra
                .iter()
                .map(stream)
                .collect::<Result<BTreeSet<_>, _>>()?;
            return Err(ReplayError::Parked {
                streams: streams.into_iter().collect(),
            });
        }
        let (from, to) = (live.to_string(), new.to_string());
        let moving = MOVE.replace("{from}", &from).replace("{to}", &to);
        client.batch_execute(&control.fill(&moving)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Lets `version` reach `until`, by whoever feeds it, for as long as `hold`.
    async fn reach(
        &self,
        version: &ModelVersion,
        until: &[Position],
        hold: Duration,
    ) -> Result<bool, ReplayError> {
        let deadline = self.timer.sleep(hold);
        if version.layout == self.model.layout() {
            let (phase, projection) = (ReplayPhase::Promoting, self.projection(version));
            return Ok(self
                .apply_up_to(phase, projection, until, 2_000, deadline)
                .await?);
        }
        deadline.await;
        Ok(true)
    }
}

pub(super) fn positions(
    rows: Vec<tokio_postgres::Row>,
) -> Result<Vec<Position>, tokio_postgres::Error> {
    let position = |row: &tokio_postgres::Row| Ok(Position::new(nat(row.try_get(1)?)));
    rows.iter().map(position).collect()
}

fn stream(row: &tokio_postgres::Row) -> Result<(Partition, StreamName), ModelError> {
    let partition = u16::try_from(row.try_get::<_, i32>(0)?).unwrap_or(u16::MAX);
    let stream = StreamName::parse(row.try_get(1)?).map_err(|e| ModelError::Store(e.into()))?;
    Ok((Partition::new(partition), stream))
}
