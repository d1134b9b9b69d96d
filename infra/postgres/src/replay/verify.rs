//! Comparing two versions, row by row, at one moment.
//!
//! Whoever writes a version holds its gate, an advisory lock, shared; here it is held alone for a moment, of
//! both versions, until a snapshot is taken.

use std::time::Duration;

use cqrs_core::{
    BothPlaces, CompareVersions, Compared, Difference, Position, VersionGates, VersionSnapshot,
};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::error::ModelError;
use crate::model::{PgReadModel, Table, list};
use crate::models::{ModelVersion, PgModels, int};
use crate::replay::versions::{CHECKPOINTS, positions};
use crate::replay::{PgVersions, begin_holding};
use crate::transaction::Transaction;

/// How many differing rows of a table are shown.
const SHOWN: usize = 20;

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL statement_timeout TO 0";

const PARKED: &str = "
    SELECT coalesce(a.partition, b.partition) || '-' || coalesce(a.position, b.position) || ' of '
            || coalesce(a.stream, b.stream),
        a.waiting::text, b.waiting::text, count(*) OVER ()
    FROM (SELECT * FROM {schema}.parked_commit WHERE version = $1) a
    FULL JOIN (SELECT * FROM {schema}.parked_commit WHERE version = $2) b
        ON a.partition = b.partition AND a.position = b.position
    WHERE a.waiting IS DISTINCT FROM b.waiting LIMIT $3";

/// Two versions, and what they are made of.
#[derive(Debug)]
struct Both {
    models: PgModels,
    tables: Vec<&'static Table>,
    live: ModelVersion,
    other: ModelVersion,
}

/// A transaction that has the gates of two versions closed.
#[derive(Debug)]
pub struct PgGates {
    both: Both,
    transaction: Transaction,
}

/// A transaction that reads two versions as they were at one moment.
#[derive(Debug)]
pub struct PgSnapshot {
    both: Both,
    transaction: Transaction,
}

impl<M: PgReadModel> CompareVersions for PgVersions<M> {
    type Gates = PgGates;

    async fn close_gates(
        &self,
        live: &ModelVersion,
        other: &ModelVersion,
        hold: Duration,
    ) -> Result<PgGates, ModelError> {
        let pool = self.models.pool();
        let mut transaction = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let begin = begin_holding(hold);
        let (client, begun) = transaction.begin(&begin);
        begun.await?;
        let close = "SELECT pg_advisory_xact_lock(hashtext($1), $2)";
        let mut both = [int(live.version), int(other.version)];
        both.sort_unstable();
        for version in both {
            client
                .execute(close, &[&self.models.control().as_str(), &version])
                .await?;
        }
        let both = Both {
            models: self.models.clone(),
            tables: self.model.tables(),
            live: live.clone(),
            other: other.clone(),
        };
        Ok(PgGates { both, transaction })
    }
}

impl VersionGates for PgGates {
    type Error = ModelError;
    type Snapshot = PgSnapshot;

    async fn places(&mut self) -> Result<BothPlaces, ModelError> {
        self.both.places(&self.transaction).await
    }

    async fn open(self) -> Result<PgSnapshot, ModelError> {
        let pool = self.both.models.pool();
        let mut snapshot = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let (client, begun) = snapshot.begin(SNAPSHOT);
        begun.await?;
        // A snapshot is of the moment of its first statement that reads.
        self.both.places(client).await?;
        drop(self.transaction);
        Ok(PgSnapshot {
            both: self.both,
            transaction: snapshot,
        })
    }
}

impl VersionSnapshot for PgSnapshot {
    type Error = ModelError;

    async fn places(&mut self) -> Result<BothPlaces, ModelError> {
        self.both.places(&self.transaction).await
    }

    async fn compare(&mut self, nth: usize) -> Result<Option<Compared>, ModelError> {
        match self.both.tables.get(nth) {
            Some(table) => Ok(Some(self.compare_table(table).await?)),
            None if nth == self.both.tables.len() => Ok(Some(self.compare_parked().await?)),
            None => Ok(None),
        }
    }
}

impl Both {
    async fn places(&self, client: &Client) -> Result<BothPlaces, ModelError> {
        let live = self.stands(client, &self.live).await?;
        Ok([live, self.stands(client, &self.other).await?])
    }

    async fn stands(
        &self,
        client: &Client,
        version: &ModelVersion,
    ) -> Result<Vec<Position>, ModelError> {
        let sql = self.models.control().fill(CHECKPOINTS);
        positions(&client.query(&sql, &[&int(version.version)]).await?)
    }
}

impl PgSnapshot {
    async fn compare_parked(&self) -> Result<Compared, ModelError> {
        let sql = self.both.models.control().fill(PARKED);
        let (live, other) = (int(self.both.live.version), int(self.both.other.version));
        let params: [&(dyn ToSql + Sync); 3] = [&live, &other, &big(SHOWN)];
        compared(0, "parked", &self.transaction.query(&sql, &params).await?)
    }

    async fn compare_table(&self, table: &Table) -> Result<Compared, ModelError> {
        let (live, other) = (&self.both.live.schema, &self.both.other.schema);
        let name = table.name;
        let count = self
            .transaction
            .query_one(&format!("SELECT count(*) FROM {live}.{name}"), &[])
            .await?;
        let of = |alias: &str| list(table.columns, ", ", |c| format!("{alias}.{}", c.name));
        let same = list(table.key(), " AND ", |c| format!("a.{0} = b.{0}", c.name));
        let key = list(table.key(), ", ", |c| {
            format!("coalesce(a.{0}, b.{0})", c.name)
        });
        let found = |alias: &str| {
            let there = list(table.key(), " AND ", |c| {
                format!("{alias}.{} IS NOT NULL", c.name)
            });
            format!("CASE WHEN {there} THEN row_to_json({alias})::text END")
        };
        let (columns, a, b) = (table.column_list(), of("a"), of("b"));
        let sql = format!(
            "SELECT json_build_array({key})::text, {}, {}, count(*) OVER ()
             FROM (SELECT {columns} FROM {live}.{name}) a
             FULL JOIN (SELECT {columns} FROM {other}.{name}) b ON {same}
             WHERE ROW({a}) IS DISTINCT FROM ROW({b}) LIMIT $1",
            found("a"),
            found("b"),
        );
        let rows = u64::try_from(count.try_get::<_, i64>(0)?).unwrap_or_default();
        let differing = self.transaction.query(&sql, &[&big(SHOWN)]).await?;
        compared(rows, name, &differing)
    }
}

/// What rows of (key, live, other, how many in all) say.
fn compared(rows: u64, table: &str, differing: &[Row]) -> Result<Compared, ModelError> {
    let mut compared = Compared {
        rows,
        ..Compared::default()
    };
    if let Some(first) = differing.first() {
        compared.differing = u64::try_from(first.try_get::<_, i64>(3)?).unwrap_or_default();
    }
    for row in differing {
        compared.differences.push(Difference {
            table: table.to_owned(),
            key: row.try_get(0)?,
            live: row.try_get(1)?,
            other: row.try_get(2)?,
        });
    }
    Ok(compared)
}

fn big(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
