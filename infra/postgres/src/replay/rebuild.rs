//! Making a version: copy, index, catch up.

use std::pin::pin;
use std::time::Duration;

use cqrs_core::{Position, ReadLog, RunnerError, TailLog, Timer};
use futures_util::FutureExt;
use futures_util::future::{Shared, select};

use crate::error::ModelError;
use crate::model::PgReadModel;
use crate::models::{ModelState, ModelVersion, int};
use crate::replay::{PgReplay, ReplayError, ReplayLock, ReplayPhase};
use crate::transaction::Transaction;

/// How many events a copied slice holds: enough that a `COPY` pays, few enough to be held in memory.
const COPIED: usize = 10_000;
/// How many events a slice of an ordinary catch-up holds.
const APPLIED: usize = 2_000;
/// How often a running rebuild looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(500);

impl<L, M, T> PgReplay<L, M, T>
where
    L: ReadLog + TailLog + 'static,
    M: PgReadModel,
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
        lock: &ReplayLock,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<ModelVersion, ReplayError> {
        let shutdown = shutdown.shared();
        let mut version = self.begun().await?;
        if version.state == ModelState::Building {
            let heads = self.heads().await?;
            let copier = self.projection(&version).copying();
            let phase = ReplayPhase::Copying;
            let stop = self.stop(&version, shutdown.clone());
            let copied = self.apply_up_to(phase, copier, &heads, COPIED, stop).await;
            self.ended(&version, copied).await?;
            lock.check().await?;
            self.progress.enter(ReplayPhase::Indexing, None);
            self.index(&version).await?;
            self.make_ready(&mut version).await?;
        }
        lock.check().await?;
        let heads = self.heads().await?;
        self.catch_up(&version, &heads, shutdown).await?;
        self.progress.enter(ReplayPhase::Done, None);
        Ok(version)
    }

    /// Applies what `version` lacks of the log up to `until`.
    pub(super) async fn catch_up<S>(
        &self,
        version: &ModelVersion,
        until: &[Position],
        shutdown: Shared<S>,
    ) -> Result<(), ReplayError>
    where
        S: Future<Output = ()> + Send,
    {
        let (phase, projection) = (ReplayPhase::CatchingUp, self.projection(version));
        let stop = self.stop(version, shutdown);
        let done = self
            .apply_up_to(phase, projection, until, APPLIED, stop)
            .await;
        self.ended(version, done).await
    }

    /// The version to go on with: one that was begun with this layout and never live, or a new one.
    async fn begun(&self) -> Result<ModelVersion, ReplayError> {
        let pool = self.models.pool();
        let mut transaction = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let (client, begun) = transaction.begin("BEGIN");
        begun.await?;
        self.models.lock_changes(client).await?;
        let sql = "SELECT version, layout, state FROM {schema}.model
            WHERE projection = $1 AND layout = $2 AND state IN ('building', 'ready')
                AND promoted_at IS NULL ORDER BY version DESC LIMIT 1";
        let sql = self.models.control().fill(sql);
        let layout = i64::from(self.model.layout());
        let found = client
            .query_opt(&sql, &[&self.model.name(), &layout])
            .await?;
        let version = match found {
            Some(row) => self.models.version(&row)?,
            None => {
                let partitions = self.log.partitions();
                let state = ModelState::Building;
                self.models
                    .make(client, &*self.model, partitions, state)
                    .await?
            }
        };
        self.models
            .check_partitions(client, &version, self.log.partitions())
            .await?;
        transaction.commit().await?;
        Ok(version)
    }

    /// Makes what only queries need, and tells projectors to feed the version.
    async fn make_ready(&self, version: &mut ModelVersion) -> Result<(), ReplayError> {
        let pool = self.models.pool();
        let mut transaction = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let (client, begun) = transaction.begin("BEGIN; SET LOCAL statement_timeout TO 0");
        begun.await?;
        let found = self.models.lock_version(client, version.version).await?;
        if found != ModelState::Building {
            return Err(self.unfit(version, found));
        }
        let indexes = version.schema.fill(self.model.create_indexes());
        client.batch_execute(&indexes).await?;
        let sql = "UPDATE {schema}.model SET state = 'ready' WHERE version = $1";
        let sql = self.models.control().fill(sql);
        client.execute(&sql, &[&int(version.version)]).await?;
        transaction.commit().await?;
        version.state = ModelState::Ready;
        tracing::info!(schema = %version.schema, "ready");
        Ok(())
    }

    /// Completes with `shutdown`, or once `version` is retired.
    async fn stop<S>(&self, version: &ModelVersion, shutdown: Shared<S>)
    where
        S: Future<Output = ()> + Send,
    {
        let retired = async {
            loop {
                self.timer.sleep(LOOK).await;
                // A server that is away is waited for by whoever writes.
                if let Ok(ModelState::Retired) = self.models.state(version.version).await {
                    break;
                }
            }
        };
        select(shutdown, pin!(retired)).await;
    }

    /// What a run that got there, or was stopped, comes to.
    async fn ended(
        &self,
        version: &ModelVersion,
        ended: Result<bool, RunnerError>,
    ) -> Result<(), ReplayError> {
        if ended? {
            return Ok(());
        }
        match self.models.state(version.version).await? {
            ModelState::Retired => Err(self.unfit(version, ModelState::Retired)),
            _ => Err(ReplayError::Interrupted),
        }
    }
}
