//! The calls, one a transition.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use cqrs_core::{
    Advance, CommandClaims, CommandId, Entered, Entry, Footing, Holder, Intended, Intent,
    IntentError, Intents, Landed, Lease, LedgerFold, OpenIntent, Partition, Position,
    ReservedValue, Stored, StreamName,
};
use deadpool_postgres::Object;
use tokio::sync::OnceCell;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::error::{lost_a_race, store, unknown};
use super::told::{self, Told};
use super::{schema, wire};
use crate::name::SchemaName;
use crate::options::PgPool;

/// How often a call that lost against another transaction is made again.
const RACES: u32 = 5;

type Params<'a> = [&'a (dyn ToSql + Sync)];

/// A ledger's rows in a PostgreSQL schema; an [`IntentStore`](cqrs_core::IntentStore).
///
/// Connects, makes the schema and brings it up to date when it is first used. Cheap to clone; clones share
/// connections.
///
/// # Cancel safety
///
/// Dropping a call's future leaves its effect unknown; the connection takes no harm.
#[derive(Clone)]
pub struct PgIntents {
    inner: Arc<Inner>,
}

struct Inner {
    pool: PgPool,
    schema: SchemaName,
    /// How many connections were used for the first time.
    sessions: AtomicU64,
    migrated: OnceCell<()>,
}

impl PgIntents {
    /// The ledger in `schema` of the database that `pool` connects to.
    #[must_use]
    pub fn new(pool: PgPool, schema: SchemaName) -> Self {
        Self {
            inner: Arc::new(Inner {
                pool,
                schema,
                sessions: AtomicU64::new(0),
                migrated: OnceCell::new(),
            }),
        }
    }

    async fn connection(&self) -> Result<Object, IntentError> {
        let inner = &self.inner;
        let mut client = inner.pool.get().await.map_err(store)?;
        if Object::metrics(&client).recycle_count == 0 {
            inner.sessions.fetch_add(1, Ordering::AcqRel);
        }
        let migrate = async || schema::migrate(&mut client, &inner.schema).await;
        inner.migrated.get_or_try_init(migrate).await?;
        Ok(client)
    }

    /// A connection for a grant: all that are open were so before the footing was made.
    async fn granting(&self, footing: &Footing) -> Result<Object, IntentError> {
        let client = self.connection().await?;
        if footing.session < self.session() {
            return Err(IntentError::Lost);
        }
        Ok(client)
    }

    /// Calls `{schema}.` and `call`, and again where it lost against another transaction.
    async fn rows(
        &self,
        client: &Object,
        select: &str,
        params: &Params<'_>,
    ) -> Result<Vec<Row>, IntentError> {
        let sql = select.replace("{schema}", &self.inner.schema.to_string());
        let statement = client.prepare_cached(&sql).await.map_err(store)?;
        let mut races = 0;
        loop {
            match client.query(&statement, params).await {
                Err(error) if lost_a_race(&error) && races < RACES => races += 1,
                done => return done.map_err(store),
            }
        }
    }

    async fn row(
        &self,
        client: &Object,
        select: &str,
        params: &Params<'_>,
    ) -> Result<Row, IntentError> {
        let mut rows = self.rows(client, select, params).await?;
        rows.pop().ok_or_else(|| unknown("number of rows"))
    }

    async fn told(
        &self,
        client: &Object,
        call: &str,
        params: &Params<'_>,
    ) -> Result<Told, IntentError> {
        let select = format!("SELECT {} FROM {{schema}}.{call}", told::COLUMNS);
        Told::read(&self.row(client, &select, params).await?)
    }
}

fn millis(lease: Lease) -> i64 {
    i64::try_from(lease.span.as_millis()).unwrap_or(i64::MAX)
}

fn folded(footing: &Footing) -> Result<Vec<i64>, IntentError> {
    let positions = footing.folded.iter().map(|at| number(at.get()));
    positions.collect()
}

fn number(number: u64) -> Result<i64, IntentError> {
    i64::try_from(number).map_err(store)
}

fn attempt(attempt: u32) -> Result<i32, IntentError> {
    i32::try_from(attempt).map_err(store)
}

fn request(entry: &Entry) -> Option<&[u8]> {
    entry.request.as_ref().map(|r| r.as_bytes().as_slice())
}

impl CommandClaims for PgIntents {
    fn session(&self) -> u64 {
        self.inner.sessions.load(Ordering::Acquire)
    }

    async fn claim(
        &self,
        entry: &Entry,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Entered, IntentError> {
        let client = self.granting(footing).await?;
        let told = self
            .told(
                &client,
                "claim($1, $2, $3, $4, $5, $6)",
                &[
                    &entry.command.as_uuid(),
                    &request(entry),
                    &entry.time.as_millis(),
                    &lease.owner,
                    &millis(lease),
                    &folded(footing)?,
                ],
            )
            .await?;
        match told {
            Told::Done(_) => Ok(Entered::Granted),
            Told::Known(known) => Ok(Entered::Known(known)),
            Told::Lost => Err(IntentError::Lost),
            _ => Err(unknown("outcome")),
        }
    }

    async fn take_over(
        &self,
        command: CommandId,
        seen: u32,
        lease: Lease,
        footing: &Footing,
    ) -> Result<bool, IntentError> {
        let client = self.granting(footing).await?;
        let taken = self
            .row(
                &client,
                "SELECT {schema}.take_over($1, $2, $3, $4, $5)",
                &[
                    &command.as_uuid(),
                    &attempt(seen)?,
                    &lease.owner,
                    &millis(lease),
                    &folded(footing)?,
                ],
            )
            .await?;
        match taken.try_get(0).map_err(store)? {
            0_i16 => Ok(true),
            1 => Ok(false),
            4 => Err(IntentError::Lost),
            _ => Err(unknown("outcome")),
        }
    }

    async fn renew(&self, held: &[(CommandId, u32)], lease: Lease) -> Result<(), IntentError> {
        let client = self.connection().await?;
        let commands: Vec<_> = held.iter().map(|(command, _)| command.as_uuid()).collect();
        let attempts = held.iter().map(|(_, held)| attempt(*held));
        let attempts = attempts.collect::<Result<Vec<_>, _>>()?;
        self.rows(
            &client,
            "UPDATE {schema}.command AS c SET until = {schema}.span($4)
             FROM unnest($1::uuid[], $2::integer[]) AS held (command, attempt)
             WHERE c.command = held.command AND c.attempt = held.attempt AND c.owner = $3
                AND c.state IN (0, 1)",
            &[&commands, &attempts, &lease.owner, &millis(lease)],
        )
        .await?;
        Ok(())
    }

    async fn answer(
        &self,
        entry: &Entry,
        answer: &Bytes,
        footing: &Footing,
    ) -> Result<Stored, IntentError> {
        let client = self.granting(footing).await?;
        let told = self
            .told(
                &client,
                "answer($1, $2, $3, $4, $5, $6)",
                &[
                    &entry.command.as_uuid(),
                    &request(entry),
                    &entry.time.as_millis(),
                    &entry.attempt.map(attempt).transpose()?,
                    &answer.as_ref(),
                    &folded(footing)?,
                ],
            )
            .await?;
        match told {
            Told::Done(_) => Ok(Stored::Stored),
            Told::Known(known) => Ok(Stored::Known(known)),
            Told::Lost => Err(IntentError::Lost),
            _ => Err(unknown("outcome")),
        }
    }

    async fn let_go(&self, command: CommandId, held: u32) -> Result<(), IntentError> {
        let client = self.connection().await?;
        let call = "SELECT {schema}.let_go($1, $2)";
        let params: &Params<'_> = &[&command.as_uuid(), &attempt(held)?];
        self.rows(&client, call, params).await.map(drop)
    }
}

impl Intents for PgIntents {
    async fn intend(
        &self,
        intent: Intent<'_>,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Intended, IntentError> {
        let client = self.granting(footing).await?;
        let entry = intent.entry;
        let scopes: Vec<_> = intent.reserve.iter().map(ReservedValue::scope).collect();
        let values: Vec<_> = intent.reserve.iter().map(ReservedValue::value).collect();
        loop {
            let told = self
                .told(
                    &client,
                    "intend($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
                    &[
                        &entry.command.as_uuid(),
                        &request(entry),
                        &entry.time.as_millis(),
                        &entry.attempt.map(attempt).transpose()?,
                        &lease.owner,
                        &millis(lease),
                        &intent.stream.as_str(),
                        &number(intent.version.get())?,
                        &intent.commit.as_ref(),
                        &scopes,
                        &values,
                        &folded(footing)?,
                    ],
                )
                .await?;
            return match told {
                Told::Done(Some(attempt)) => Ok(Intended::Opened {
                    attempt: u32::try_from(attempt).map_err(store)?,
                }),
                Told::Known(known) => Ok(Intended::Known(known)),
                Told::Blocked(open) => Ok(Intended::Blocked(open)),
                Told::Taken(value, owner) => Ok(Intended::Taken { value, owner }),
                Told::Lost => Err(IntentError::Lost),
                Told::Gone => continue,
                Told::Done(None) => Err(unknown("attempt")),
            };
        }
    }

    async fn drop_intent(&self, command: CommandId, held: u32) -> Result<bool, IntentError> {
        let client = self.connection().await?;
        let call = "SELECT {schema}.drop_intent($1, $2)";
        let params: &Params<'_> = &[&command.as_uuid(), &attempt(held)?];
        let row = self.row(&client, call, params).await?;
        row.try_get(0).map_err(store)
    }

    async fn expired(&self, limit: usize) -> Result<Vec<OpenIntent>, IntentError> {
        let client = self.connection().await?;
        let select = "SELECT told.* FROM {schema}.command AS c
             CROSS JOIN LATERAL {schema}.tell(2::smallint, c) AS told
             WHERE c.state = 1 AND c.until <= clock_timestamp() ORDER BY c.until LIMIT $1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows(&client, select, &[&limit]).await?;
        rows.iter().map(told::open).collect()
    }

    async fn holder(&self, value: &ReservedValue) -> Result<Option<Holder>, IntentError> {
        let client = self.connection().await?;
        let select = "SELECT h.stream AS holder, h.pending IS NOT NULL AS pending, told.*
             FROM {schema}.held AS h
             LEFT JOIN {schema}.command AS c ON c.stream = h.stream AND c.state = 1
             LEFT JOIN LATERAL {schema}.tell(2::smallint, c) AS told ON c.command IS NOT NULL
             WHERE h.scope = $1 AND h.value = $2";
        let params: &Params<'_> = &[&value.scope(), &value.value()];
        let rows = self.rows(&client, select, params).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let stream: String = row.try_get("holder").map_err(store)?;
        let open = match Told::read(row)? {
            Told::Blocked(open) => Some(open),
            _ => None,
        };
        Ok(Some(Holder {
            stream: StreamName::parse(&stream).map_err(store)?,
            pending: row.try_get("pending").map_err(store)?,
            open,
        }))
    }
}

impl LedgerFold for PgIntents {
    async fn finish(&self, landed: &[Landed]) -> Result<(), IntentError> {
        if landed.is_empty() {
            return Ok(());
        }
        let client = self.connection().await?;
        // What is lost of it is a tail, of which nothing durable is left that was done later; the fold does it again.
        let call = "SELECT {schema}.finish($1::text::jsonb), set_config('synchronous_commit', 'off', true)";
        let batch = wire::batch(landed)?;
        self.rows(&client, call, &[&batch]).await.map(drop)
    }

    async fn fold(&self, advance: Advance, landed: &[Landed]) -> Result<bool, IntentError> {
        let client = self.connection().await?;
        let call = "SELECT {schema}.fold($1, $2, $3, $4::text::jsonb)";
        let from = advance.from.map(|from| number(from.get())).transpose()?;
        let row = self
            .row(
                &client,
                call,
                &[
                    &i32::from(advance.partition.index()),
                    &from,
                    &number(advance.to.get())?,
                    &wire::batch(landed)?,
                ],
            )
            .await?;
        row.try_get(0).map_err(store)
    }

    async fn checkpoints(&self) -> Result<Vec<(Partition, Position)>, IntentError> {
        let client = self.connection().await?;
        let select = "SELECT partition, position FROM {schema}.checkpoint";
        let rows = self.rows(&client, select, &[]).await?;
        let checkpoint = |row: &Row| {
            let partition: i32 = row.try_get(0).map_err(store)?;
            let position: i64 = row.try_get(1).map_err(store)?;
            Ok((
                Partition::new(u16::try_from(partition).map_err(store)?),
                Position::new(u64::try_from(position).map_err(store)?),
            ))
        };
        rows.iter().map(checkpoint).collect()
    }
}

impl std::fmt::Debug for PgIntents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PgIntents")
            .field("schema", &self.inner.schema)
            .finish_non_exhaustive()
    }
}
