//! Comparing the live version with another, row by row, at one checkpoint vector.
//!
//! Whoever writes a version holds its gate, an advisory lock, shared; here it is held alone for a moment, of
//! both versions: the one that is behind is brought to the other's place, a snapshot is taken, and
//! the gates are opened again. The comparison itself takes as long as it takes and is in nobody's way.

use std::time::Duration;

use cqrs_core::{LogPosition, Position, ReadLog, TailLog, Timer};
use futures_util::FutureExt;
use tokio_postgres::types::ToSql;

use crate::error::ModelError;
use crate::model::{PgReadModel, Table, list};
use crate::models::{ModelVersion, int};
use crate::replay::promote::{CHECKPOINTS, positions};
use crate::replay::{PgReplay, ReplayError, ReplayLock, ReplayPhase, places};
use crate::transaction::Transaction;

/// How long writers wait for a comparison to begin, at most, for each of both versions.
const HOLD: Duration = Duration::from_secs(5);

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

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The live version.
    pub live: ModelVersion,
    /// The one that it was compared with.
    pub other: ModelVersion,
    /// Where both stood.
    pub at: Vec<LogPosition>,
    /// How many rows the live version has.
    pub rows: u64,
    /// How many rows differ, or only one of both has; parked commits too.
    pub differing: u64,
    /// Some of them: the first of each table.
    pub differences: Vec<Difference>,
}

/// A row that is not the same in both versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its table; `parked` where it is a commit that is parked in one version only, or differently.
    pub table: String,
    /// Its key, as JSON.
    pub key: String,
    /// The live version's row as JSON, if there is one.
    pub live: Option<String>,
    /// The other's.
    pub other: Option<String>,
}

impl<L, M, T> PgReplay<L, M, T>
where
    L: ReadLog + TailLog + 'static,
    M: PgReadModel,
    T: Timer + Clone + 'static,
{
    /// Compares the live version with `version`, row by row, where both stand at the same place.
    ///
    /// Writers of both wait for a moment; the comparison runs beside them.
    ///
    /// # Errors
    ///
    /// - [`ReplayError::Layouts`]: they have different tables, or other ones than this code knows.
    /// - [`ReplayError::Behind`]: one could not be brought to the other's place.
    /// - [`ReplayError::Interrupted`], [`ReplayError::Cancelled`], [`ReplayError::Model`].
    pub async fn verify(
        &self,
        lock: &ReplayLock,
        version: u32,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<Verified, ReplayError> {
        let shutdown = shutdown.shared();
        let (live, other) = (
            self.models.live(&*self.model).await?,
            self.find(version).await?,
        );
        if other.layout != live.layout {
            return Err(ReplayError::Layouts {
                live: live.layout,
                other: other.layout,
            });
        }
        lock.check().await?;
        // Most of the way before anybody has to wait.
        let heads = self.heads().await?;
        for version in [&live, &other] {
            self.catch_up(version, &heads, shutdown.clone()).await?;
        }
        self.progress.enter(ReplayPhase::Verifying, None);
        let (snapshot, at) = self.snapshot(&live, &other).await?;
        let mut verified = Verified {
            live,
            other,
            at: places(&at),
            rows: 0,
            differing: 0,
            differences: Vec::new(),
        };
        for table in self.model.tables() {
            if shutdown.clone().now_or_never().is_some() {
                return Err(ReplayError::Interrupted);
            }
            compare(&snapshot, table, &mut verified).await?;
        }
        self.compare_parked(&snapshot, &mut verified).await?;
        self.progress.enter(ReplayPhase::Done, None);
        Ok(verified)
    }

    /// A snapshot in which both versions stand at one place, and that place.
    async fn snapshot(
        &self,
        live: &ModelVersion,
        other: &ModelVersion,
    ) -> Result<(Transaction, Vec<Position>), ReplayError> {
        let pool = self.models.pool();
        let mut gate = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let (client, begun) = gate.begin("BEGIN");
        begun.await?;
        let close = "SELECT pg_advisory_xact_lock(hashtext($1), $2)";
        let mut both = [int(live.version), int(other.version)];
        both.sort_unstable();
        for version in both {
            client
                .execute(close, &[&self.models.control().as_str(), &version])
                .await?;
        }
        let here = self.stands(client, live).await?;
        let there = self.stands(client, other).await?;
        let until: Vec<_> = here.iter().zip(&there).map(|(a, b)| *a.max(b)).collect();
        for version in [live, other] {
            let holding = self.projection(version).holding_the_gate();
            let deadline = self.timer.sleep(HOLD);
            self.apply_up_to(ReplayPhase::Verifying, holding, &until, 2_000, deadline)
                .await?;
        }
        let mut snapshot = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let (client, begun) = snapshot.begin(SNAPSHOT);
        begun.await?;
        let here = self.stands(client, live).await?;
        let there = self.stands(client, other).await?;
        if here != there {
            return Err(ReplayError::Behind {
                version: other.version,
                attempts: 1,
            });
        }
        drop(gate);
        Ok((snapshot, here))
    }

    async fn stands(
        &self,
        client: &tokio_postgres::Client,
        version: &ModelVersion,
    ) -> Result<Vec<Position>, ReplayError> {
        let sql = self.models.control().fill(CHECKPOINTS);
        let rows = client.query(&sql, &[&int(version.version)]).await?;
        Ok(positions(rows)?)
    }

    async fn compare_parked(
        &self,
        snapshot: &Transaction,
        verified: &mut Verified,
    ) -> Result<(), ReplayError> {
        let sql = self.models.control().fill(PARKED);
        let (live, other) = (int(verified.live.version), int(verified.other.version));
        let params: [&(dyn ToSql + Sync); 3] = [&live, &other, &big(SHOWN)];
        add(verified, "parked", snapshot.query(&sql, &params).await?)
    }
}

async fn compare(
    snapshot: &Transaction,
    table: &Table,
    verified: &mut Verified,
) -> Result<(), ReplayError> {
    let (live, other, name) = (&verified.live.schema, &verified.other.schema, table.name);
    let count = snapshot
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
    verified.rows += u64::try_from(count.try_get::<_, i64>(0)?).unwrap_or_default();
    add(verified, name, snapshot.query(&sql, &[&big(SHOWN)]).await?)
}

/// Adds rows of (key, live, other, how many in all).
fn add(
    verified: &mut Verified,
    table: &str,
    rows: Vec<tokio_postgres::Row>,
) -> Result<(), ReplayError> {
    if let Some(first) = rows.first() {
        verified.differing += u64::try_from(first.try_get::<_, i64>(3)?).unwrap_or_default();
    }
    for row in rows {
        verified.differences.push(Difference {
            table: table.to_owned(),
            key: row.try_get(0)?,
            live: row.try_get(1)?,
            other: row.try_get(2)?,
        });
    }
    Ok(())
}

fn big(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
