//! What a read model writes through: one version's tables, inside a transaction.

use std::pin::pin;

use futures_util::SinkExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use cqrs_core::Partition;
use deadpool_postgres::ClientWrapper;

use crate::model::{Role, Table, list};
use crate::name::SchemaName;
use crate::rows::Rows;

/// One version's tables, for one partition, inside the transaction that moves its checkpoint.
///
/// In statements `{schema}` stands for the version's schema. Futures that are polled together are
/// sent together; the server does them in the order in which they were first polled.
#[derive(Debug)]
pub struct Writer<'a> {
    client: &'a ClientWrapper,
    schema: &'a SchemaName,
    partition: Partition,
    bulk: bool,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(
        client: &'a ClientWrapper,
        schema: &'a SchemaName,
        partition: Partition,
        bulk: bool,
    ) -> Self {
        Self {
            client,
            schema,
            partition,
            bulk,
        }
    }

    pub(crate) fn client(&self) -> &'a ClientWrapper {
        self.client
    }

    /// The partition that the events are of, and so the rows.
    #[must_use]
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Whether this is history being copied by a rebuild: [`insert`](Self::insert) is a `COPY` then.
    #[must_use]
    pub fn is_bulk(&self) -> bool {
        self.bulk
    }

    /// Rows for `table`, none yet.
    #[must_use]
    pub fn rows(&self, table: &'static Table) -> Rows {
        Rows::new(table, table.columns.iter())
    }

    /// Keys of rows of `table`, none yet: a value for each column of its key.
    #[must_use]
    pub fn keys(&self, table: &'static Table) -> Rows {
        Rows::new(table, table.key())
    }

    /// Runs a query.
    ///
    /// # Errors
    ///
    /// What the server says. Give it back by `?`: the transaction is not usable any more.
    pub async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.client.prepare_cached(&self.schema.fill(sql)).await?;
        self.client.query(&statement, params).await
    }

    /// Runs a statement; how many rows it changed.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.client.prepare_cached(&self.schema.fill(sql)).await?;
        self.client.execute(&statement, params).await
    }

    /// Adds rows whose keys the table does not have; one that it has is an error.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn insert(&self, rows: Rows) -> Result<u64, Error> {
        if rows.is_empty() {
            return Ok(0);
        }
        if self.bulk {
            return self.copy(&rows).await;
        }
        self.execute(&insert_sql(&rows), &rows.arrays()).await
    }

    /// Adds those rows whose keys the table does not have; how many those were.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn insert_missing(&self, rows: Rows) -> Result<u64, Error> {
        if rows.is_empty() {
            return Ok(0);
        }
        let sql = format!("{} ON CONFLICT DO NOTHING", insert_sql(&rows));
        self.execute(&sql, &rows.arrays()).await
    }

    /// Adds rows, or changes those that are there: each column as its kind says, and none where the table
    /// has a version column and the row's is as high. How many were written. Each key at most once.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn upsert(&self, rows: Rows) -> Result<u64, Error> {
        if rows.is_empty() {
            return Ok(0);
        }
        self.execute(&upsert_sql(&rows), &rows.arrays()).await
    }

    /// Deletes the rows with these [`keys`](Self::keys); how many there were.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query).
    pub async fn delete(&self, keys: Rows) -> Result<u64, Error> {
        if keys.is_empty() {
            return Ok(0);
        }
        self.execute(&delete_sql(&keys), &keys.arrays()).await
    }

    async fn copy(&self, rows: &Rows) -> Result<u64, Error> {
        let sql = format!(
            "COPY {}.{} ({}) FROM STDIN (FORMAT binary)",
            self.schema,
            rows.table().name,
            rows.table().column_list()
        );
        let mut sink = pin!(self.client.copy_in(&sql).await?);
        for piece in rows.copy_pieces() {
            sink.feed(piece).await?;
        }
        sink.finish().await
    }
}

fn insert_sql(rows: &Rows) -> String {
    format!(
        "INSERT INTO {{schema}}.{} AS t ({}) SELECT * FROM {}",
        rows.table().name,
        list(rows.columns(), ", ", |c| c.name.to_owned()),
        rows.unnest()
    )
}

fn upsert_sql(rows: &Rows) -> String {
    let table = rows.table();
    let key = list(table.key(), ", ", |c| c.name.to_owned());
    let others = table.columns.iter().filter(|c| c.role != Role::Key);
    let change = list(others, ", ", |c| match c.role {
        Role::Sum => format!("{0} = t.{0} + excluded.{0}", c.name),
        _ => format!("{0} = excluded.{0}", c.name),
    });
    let insert = insert_sql(rows);
    if change.is_empty() {
        return format!("{insert} ON CONFLICT ({key}) DO NOTHING");
    }
    let version = table.columns.iter().find(|c| c.role == Role::Version);
    let guard = version.map(|c| format!(" WHERE t.{0} < excluded.{0}", c.name));
    format!(
        "{insert} ON CONFLICT ({key}) DO UPDATE SET {change}{}",
        guard.unwrap_or_default()
    )
}

fn delete_sql(keys: &Rows) -> String {
    let names = list(keys.columns(), ", ", |c| c.name.to_owned());
    let same = list(keys.columns(), " AND ", |c| {
        format!("t.{0} = k.{0}", c.name)
    });
    format!(
        "DELETE FROM {{schema}}.{} t USING {} AS k ({names}) WHERE {same}",
        keys.table().name,
        keys.unnest()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Column, SqlType};

    static TABLE: Table = Table {
        name: "t",
        columns: &[
            Column::key("id", SqlType::Uuid),
            Column::value("text", SqlType::Text),
            Column::sum("n", SqlType::Int8),
            Column::version("v"),
        ],
    };

    #[test]
    fn an_upsert_changes_each_column_by_its_kind_under_the_version() {
        let sql = upsert_sql(&Rows::new(&TABLE, TABLE.columns.iter()));
        assert_eq!(
            sql,
            "INSERT INTO {schema}.t AS t (id, text, n, v) \
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::int8[]) \
             ON CONFLICT (id) DO UPDATE SET text = excluded.text, n = t.n + excluded.n, \
             v = excluded.v WHERE t.v < excluded.v"
        );
    }

    #[test]
    fn rows_are_deleted_by_their_keys() {
        let sql = delete_sql(&Rows::new(&TABLE, TABLE.key()));
        assert_eq!(
            sql,
            "DELETE FROM {schema}.t t USING unnest($1::uuid[]) AS k (id) WHERE t.id = k.id"
        );
    }
}
