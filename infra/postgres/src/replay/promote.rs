//! Moving the pointer.

use std::time::Duration;

use cqrs_core::{
    ModelState, Partition, Position, PromoteVersions, PromotionTransaction, Standing, StreamName,
};
use tokio_postgres::Row;

use crate::error::ModelError;
use crate::model::PgReadModel;
use crate::models::{ModelVersion, PgModels, int};
use crate::replay::versions::{CHECKPOINTS, positions};
use crate::replay::{PgVersions, begin_holding};
use crate::transaction::Transaction;

const EXTRA: &str = "SELECT partition, stream FROM {schema}.parked_stream WHERE version = $1
    EXCEPT SELECT partition, stream FROM {schema}.parked_stream WHERE version = $2";

const MOVE: &str = "
    UPDATE {schema}.model SET state = 'ready' WHERE version = {from};
    UPDATE {schema}.model SET state = 'live', promoted_at = now() WHERE version = {to};
    UPDATE {schema}.pointer SET version = {to} WHERE version = {from};
";

/// A transaction that has the pointer locked, and the row of the version that it is to lead to.
#[derive(Debug)]
pub struct PgPromotion {
    models: PgModels,
    transaction: Transaction,
    live: i32,
    version: ModelVersion,
}

impl<M: PgReadModel> PromoteVersions for PgVersions<M> {
    type Promotion = PgPromotion;

    async fn begin_promotion(
        &self,
        version: &ModelVersion,
        hold: Duration,
    ) -> Result<(PgPromotion, ModelState), ModelError> {
        let pool = self.models.pool();
        let mut transaction = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let begin = begin_holding(hold);
        let (client, begun) = transaction.begin(&begin);
        begun.await?;
        let pointer = "SELECT version FROM {schema}.pointer WHERE projection = $1 FOR UPDATE";
        let pointer = self.models.control().fill(pointer);
        let live = client.query_opt(&pointer, &[&self.model.name()]).await?;
        let live = live.ok_or_else(|| ModelError::NoneLive {
            projection: self.model.name().to_owned(),
        })?;
        let live: i32 = live.try_get(0)?;
        let found = self.models.lock_version(client, version.version).await?;
        let promotion = PgPromotion {
            models: self.models.clone(),
            transaction,
            live,
            version: version.clone(),
        };
        Ok((promotion, found))
    }
}

impl PromotionTransaction for PgPromotion {
    type Version = ModelVersion;
    type Error = ModelError;

    async fn hold(&mut self) -> Result<Vec<Position>, ModelError> {
        self.hold_still(self.live).await
    }

    async fn standing(&mut self) -> Result<Standing, ModelError> {
        let (control, new) = (self.models.control(), int(self.version.version));
        let at = self.hold_still(new).await?;
        let sql = control.fill(EXTRA);
        let parked = self.transaction.query(&sql, &[&new, &self.live]).await?;
        Ok(Standing {
            at,
            parked: parked.iter().map(stream).collect::<Result<_, _>>()?,
        })
    }

    async fn commit(mut self) -> Result<ModelVersion, ModelError> {
        let (from, to) = (self.live.to_string(), self.version.version.to_string());
        let moving = MOVE.replace("{from}", &from).replace("{to}", &to);
        let moving = self.models.control().fill(&moving);
        self.transaction.batch_execute(&moving).await?;
        self.transaction.commit().await?;
        self.version.state = ModelState::Live;
        Ok(self.version)
    }
}

impl PgPromotion {
    /// Lets nobody write `version` until the transaction ends; where it stands.
    async fn hold_still(&self, version: i32) -> Result<Vec<Position>, ModelError> {
        let control = self.models.control();
        let hold = control.fill(&format!("{CHECKPOINTS} FOR UPDATE"));
        positions(&self.transaction.query(&hold, &[&version]).await?)
    }
}

fn stream(row: &Row) -> Result<(Partition, StreamName), ModelError> {
    let partition = u16::try_from(row.try_get::<_, i32>(0)?).unwrap_or(u16::MAX);
    let stream = StreamName::parse(row.try_get(1)?).map_err(|e| ModelError::Store(e.into()))?;
    Ok((Partition::new(partition), stream))
}
