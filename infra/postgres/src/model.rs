//! What a read model is: its tables, and what events do to them.

use cqrs_core::RecordedEvent;
use tokio_postgres::types::Type;

use crate::error::ApplyFailure;
use crate::writer::Writer;

/// Tables made from events, each version of them in a schema of its own.
///
/// Keep the rows a function of the events alone: no clock, no sequence, no arrival order. Every
/// row belongs to one partition, so that partitions are written beside each other without waiting.
/// Statements name their tables as `{schema}.table` and their columns one by one.
///
/// Change [`layout`](Self::layout) with every change of the tables or of what events do to them:
/// the next rebuild makes a version of the new layout, and whoever knows the old one only stays with that.
///
/// # Example
///
/// ```
/// use std::collections::BTreeMap;
/// use cqrs_core::RecordedEvent;
/// use cqrs_postgres::{ApplyFailure, Column, PgReadModel, SqlType, Table, Writer};
///
/// /// How many events each stream has.
/// struct Sizes;
///
/// static SIZE: Table = Table {
///     name: "size",
///     columns: &[Column::key("stream", SqlType::Text), Column::sum("events", SqlType::Int8)],
/// };
///
/// impl PgReadModel for Sizes {
///     fn name(&self) -> &str { "sizes" }
///     fn layout(&self) -> u32 { 1 }
///     fn handles(&self, _event_type: &str) -> bool { true }
///     fn tables(&self) -> Vec<&'static Table> { vec![&SIZE] }
///     fn create_tables(&self) -> &'static str {
///         "CREATE TABLE {schema}.size (stream text COLLATE \"C\" PRIMARY KEY, events bigint NOT NULL)"
///     }
///     fn create_indexes(&self) -> &'static str { "" }
///
///     async fn apply(&self, writer: &Writer<'_>, events: &[RecordedEvent<'_>]) -> Result<(), ApplyFailure> {
///         // Each key once: a statement cannot change a row twice, and a row is written once.
///         let mut sizes = BTreeMap::<&str, i64>::new();
///         for event in events {
///             *sizes.entry(event.commit.stream.as_str()).or_default() += 1;
///         }
///         let mut rows = writer.rows(&SIZE);
///         for (stream, events) in &sizes {
///             rows.push(&[stream, events]).map_err(ApplyFailure::somewhere)?;
///         }
///         writer.upsert(rows).await?;
///         Ok(())
///     }
/// }
/// ```
pub trait PgReadModel: Send + Sync + 'static {
    /// The stable name, under which its versions are kept.
    fn name(&self) -> &str;

    /// The version of its tables.
    fn layout(&self) -> u32;

    /// Whether it names this stored event type; the rest is skipped.
    fn handles(&self, event_type: &str) -> bool;

    /// Its tables with all of their columns: what a verifier compares, row by row.
    fn tables(&self) -> Vec<&'static Table>;

    /// The statements that make its tables in `{schema}`, with their keys, empty.
    fn create_tables(&self) -> &'static str;

    /// The statements that make what only queries need, indexes above all.
    ///
    /// A rebuild runs them once its history is copied, which is faster than keeping them all along.
    fn create_indexes(&self) -> &'static str;

    /// Parts of [`create_indexes`](Self::create_indexes) that need nothing of each other: a rebuild makes them side by side, before it
    /// runs the whole. So each is a statement by itself, and where it was done before it does nothing again (`IF NOT EXISTS`), as does
    /// the whole then.
    fn index_parts(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Applies `events` of one partition, in order.
    ///
    /// Fold them in memory first, so that each row is written once, then write by [`Writer`]. Send
    /// statements that don't need each other's answers together (`futures_util::try_join!`): they
    /// travel as one. The transaction around it is not to be ended here. Whatever it reads through
    /// the writer stands still until the end: nobody else writes rows of this partition.
    ///
    /// # Errors
    ///
    /// [`ApplyFailure`]; nothing of the slice stays. It may be called again with parts of the slice, to find the event.
    fn apply(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
    ) -> impl Future<Output = Result<(), ApplyFailure>> + Send;
}

/// A table that rows are written to by key.
#[derive(Debug)]
pub struct Table {
    /// Its name in the schema.
    pub name: &'static str,
    /// Its columns, in the order in which [`Rows::push`](crate::Rows::push) takes their values.
    pub columns: &'static [Column],
}

/// A column of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub sql_type: SqlType,
    pub(crate) role: Role,
}

/// What becomes of a column where the row is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Key,
    Value,
    Sum,
    Version,
}

impl Column {
    /// A column of the primary key.
    #[must_use]
    pub const fn key(name: &'static str, sql_type: SqlType) -> Self {
        Self::of(name, sql_type, Role::Key)
    }

    /// A column that an upsert replaces.
    #[must_use]
    pub const fn value(name: &'static str, sql_type: SqlType) -> Self {
        Self::of(name, sql_type, Role::Value)
    }

    /// A column that an upsert adds to.
    #[must_use]
    pub const fn sum(name: &'static str, sql_type: SqlType) -> Self {
        Self::of(name, sql_type, Role::Sum)
    }

    /// The version of the row: an upsert with one that is not higher leaves the row alone.
    #[must_use]
    pub const fn version(name: &'static str) -> Self {
        Self::of(name, SqlType::Int8, Role::Version)
    }

    const fn of(name: &'static str, sql_type: SqlType, role: Role) -> Self {
        Self {
            name,
            sql_type,
            role,
        }
    }
}

impl Table {
    /// The columns of its primary key.
    pub fn key(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().filter(|c| c.role == Role::Key)
    }

    /// The names of its columns, with commas between them.
    pub(crate) fn column_list(&self) -> String {
        list(self.columns, ", ", |column| column.name.to_owned())
    }
}

/// `write` of each column, with `between` between them.
pub(crate) fn list<'a>(
    columns: impl IntoIterator<Item = &'a Column>,
    between: &str,
    write: impl FnMut(&Column) -> String,
) -> String {
    let written: Vec<String> = columns.into_iter().map(write).collect();
    written.join(between)
}

/// The types that columns can have; `NULL` is one of each type's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SqlType {
    /// `bool`
    Bool,
    /// `int2`, from `i16`.
    Int2,
    /// `int4`, from `i32`.
    Int4,
    /// `int8`, from `i64`.
    Int8,
    /// `float8`, from `f64`.
    Float8,
    /// `text`, from `str` or `String`. Holds no NUL: an event with one is poisonous.
    Text,
    /// `bytea`, from `[u8]`.
    Bytea,
    /// `uuid`, from `Uuid`.
    Uuid,
    /// `jsonb`, from whatever the driver takes for it.
    Jsonb,
    /// `timestamptz`, from `SystemTime`.
    Timestamptz,
}

impl SqlType {
    /// Its name in a statement.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int2 => "int2",
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Float8 => "float8",
            Self::Text => "text",
            Self::Bytea => "bytea",
            Self::Uuid => "uuid",
            Self::Jsonb => "jsonb",
            Self::Timestamptz => "timestamptz",
        }
    }

    pub(crate) fn driver(self) -> Type {
        match self {
            Self::Bool => Type::BOOL,
            Self::Int2 => Type::INT2,
            Self::Int4 => Type::INT4,
            Self::Int8 => Type::INT8,
            Self::Float8 => Type::FLOAT8,
            Self::Text => Type::TEXT,
            Self::Bytea => Type::BYTEA,
            Self::Uuid => Type::UUID,
            Self::Jsonb => Type::JSONB,
            Self::Timestamptz => Type::TIMESTAMPTZ,
        }
    }
}
