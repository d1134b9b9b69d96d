//! Rows into a table, many with each statement: that is done sooner, since the statement then begins and ends once, and
//! stays where it is in the table.

use cqrs_sqlite::ApplyFailure;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, Statement};

/// How many rows a statement takes.
const AT_ONCE: usize = 32;

/// Rows of `N` columns, none of which needs another.
pub(super) struct Rows<'a, const N: usize> {
    into: &'static str,
    conflict: &'static str,
    /// Each with the event that a failure to write it is put down to.
    rows: Vec<(usize, [ValueRef<'a>; N])>,
}

pub(super) fn text(text: &str) -> ValueRef<'_> {
    ValueRef::Text(text.as_bytes())
}

pub(super) fn maybe(number: Option<i64>) -> ValueRef<'static> {
    number.map_or(ValueRef::Null, ValueRef::Integer)
}

impl<'a, const N: usize> Rows<'a, N> {
    /// Rows for a table with its columns, none yet. One that the table has is an error.
    pub(super) fn into(into: &'static str) -> Self {
        Self {
            into,
            conflict: "",
            rows: Vec::new(),
        }
    }

    /// What is done instead for one that the table has.
    pub(super) fn or(mut self, conflict: &'static str) -> Self {
        self.conflict = conflict;
        self
    }

    pub(super) fn push(&mut self, event: usize, row: [ValueRef<'a>; N]) {
        self.rows.push((event, row));
    }

    /// Writes them in order.
    pub(super) fn insert(self, connection: &Connection) -> Result<(), ApplyFailure> {
        let Some((first, _)) = self.rows.first() else {
            return Ok(());
        };
        let prepare = |rows| {
            let statement = connection.prepare_cached(&self.sql(rows));
            statement.map_err(|source| ApplyFailure::new(*first, source))
        };
        let chunks = self.rows.chunks_exact(AT_ONCE);
        let rest = chunks.remainder();
        if chunks.len() > 0 {
            let mut statement = prepare(AT_ONCE)?;
            for chunk in chunks {
                match write(&mut statement, chunk) {
                    Ok(()) => {}
                    // Which of them? None was written.
                    Err(error)
                        if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) =>
                    {
                        one_by_one(&mut *prepare(1)?, chunk)?;
                    }
                    Err(error) => return Err(ApplyFailure::new(chunk[0].0, error)),
                }
            }
        }
        match rest {
            [] => Ok(()),
            rest => one_by_one(&mut *prepare(1)?, rest),
        }
    }

    fn sql(&self, rows: usize) -> String {
        let row = format!("({})", vec!["?"; N].join(", "));
        let rows = vec![row; rows].join(", ");
        let conflict = match self.conflict {
            "" => String::new(),
            conflict => format!(" ON CONFLICT {conflict}"),
        };
        format!("INSERT INTO {} VALUES {rows}{conflict}", self.into)
    }
}

fn one_by_one<const N: usize>(
    statement: &mut Statement<'_>,
    rows: &[(usize, [ValueRef<'_>; N])],
) -> Result<(), ApplyFailure> {
    rows.iter().try_for_each(|row| {
        let written = write(statement, std::slice::from_ref(row));
        written.map_err(|source| ApplyFailure::new(row.0, source))
    })
}

fn write<const N: usize>(
    statement: &mut Statement<'_>,
    rows: &[(usize, [ValueRef<'_>; N])],
) -> rusqlite::Result<()> {
    let values = rows.iter().flat_map(|(_, row)| row);
    for (value, at) in values.zip(1..) {
        statement.raw_bind_parameter(at, ToSqlOutput::Borrowed(*value))?;
    }
    statement.raw_execute().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: &str = "SELECT count(*) FROM t";

    fn table() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let create = "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)";
        connection.execute_batch(create).unwrap();
        connection
    }

    fn rows(keys: impl IntoIterator<Item = i64>) -> Rows<'static, 2> {
        let mut rows = Rows::into("t (a, b)");
        for (key, event) in keys.into_iter().zip(100..) {
            rows.push(event, [ValueRef::Integer(key), text("b")]);
        }
        rows
    }

    fn count(connection: &Connection) -> usize {
        let count: i64 = connection.query_row(COUNT, [], |row| row.get(0)).unwrap();
        usize::try_from(count).unwrap()
    }

    #[test]
    fn as_many_rows_as_there_are_are_written() {
        let mut keys = 0..;
        let connection = table();
        let mut all = 0;
        for several in [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 5] {
            let some = rows(keys.by_ref().take(several));
            some.insert(&connection).unwrap();
            all += several;
            assert_eq!(count(&connection), all);
        }
    }

    #[test]
    fn the_row_that_cannot_be_written_names_its_event() {
        for twice in [5, AT_ONCE, 2 * AT_ONCE + 3] {
            let connection = table();
            let again = [i64::try_from(twice).unwrap()];
            rows(again).insert(&connection).unwrap();
            let failed = rows(0..80).insert(&connection).unwrap_err();
            assert_eq!(failed.index, 100 + twice);
        }
    }

    #[test]
    fn what_is_there_may_be_left() {
        let connection = table();
        rows(10..20).insert(&connection).unwrap();
        rows(0..80).or("DO NOTHING").insert(&connection).unwrap();
        assert_eq!(count(&connection), 80);
    }
}
