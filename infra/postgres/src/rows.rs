//! Rows on their way into a table, written down once in the server's own format.

use bytes::{BufMut, Bytes, BytesMut};
use cqrs_core::BoxError;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

use crate::model::{Column, Table};

/// Rows of one [`Table`], kept column by column: one array parameter each, or a binary `COPY`.
#[derive(Debug)]
pub struct Rows {
    table: &'static Table,
    /// The columns that there are values of: all of the table's, or those of its key.
    columns: Vec<(&'static Column, Values)>,
    len: usize,
}

/// The values of a column: each its length (−1 for `NULL`) and its bytes, as arrays and `COPY` alike want them.
#[derive(Debug)]
pub(crate) struct Values {
    element: Type,
    bytes: BytesMut,
    nulls: bool,
    len: i32,
}

impl Rows {
    pub(crate) fn new(
        table: &'static Table,
        columns: impl Iterator<Item = &'static Column>,
    ) -> Self {
        let columns = columns.map(|column| {
            let values = Values {
                element: column.sql_type.driver(),
                bytes: BytesMut::new(),
                nulls: false,
                len: 0,
            };
            (column, values)
        });
        Self {
            table,
            columns: columns.collect(),
            len: 0,
        }
    }

    /// Adds a row: a value for each column, in the table's order.
    ///
    /// # Errors
    ///
    /// A value does not fit its column, or there are more or fewer than columns. The row is not added.
    pub fn push(&mut self, values: &[&(dyn ToSql + Sync)]) -> Result<(), BoxError> {
        if values.len() != self.columns.len() {
            let (given, wanted) = (values.len(), self.columns.len());
            return Err(format!(
                "{given} values for {wanted} columns of `{}`",
                self.table.name
            )
            .into());
        }
        let ends: Vec<usize> = self.columns.iter().map(|(_, v)| v.bytes.len()).collect();
        let mut nulls = Vec::with_capacity(values.len());
        let mut pushed = Ok(());
        for (value, (column, into)) in values.iter().zip(&mut self.columns) {
            match into.write(*value) {
                Ok(null) => nulls.push(null),
                Err(source) => {
                    let named = Unwritable {
                        column: column.name,
                        source,
                    };
                    pushed = Err(named.into());
                    break;
                }
            }
        }
        if pushed.is_err() {
            for ((_, column), end) in self.columns.iter_mut().zip(ends) {
                column.bytes.truncate(end);
            }
            return pushed;
        }
        for ((_, column), null) in self.columns.iter_mut().zip(nulls) {
            column.nulls |= null;
            column.len += 1;
        }
        self.len += 1;
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn table(&self) -> &'static Table {
        self.table
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &'static Column> {
        self.columns.iter().map(|(column, _)| *column)
    }

    /// `unnest($1::text[], …)`, for [`arrays`](Self::arrays).
    pub(crate) fn unnest(&self) -> String {
        let arrays: Vec<String> = self
            .columns()
            .enumerate()
            .map(|(n, column)| format!("${}::{}[]", n + 1, column.sql_type.name()))
            .collect();
        format!("unnest({})", arrays.join(", "))
    }

    /// The columns as array parameters.
    pub(crate) fn arrays(&self) -> Vec<&(dyn ToSql + Sync)> {
        let values = self.columns.iter().map(|(_, values)| values);
        values.map(|values| values as &(dyn ToSql + Sync)).collect()
    }

    /// The rows as the body of a binary `COPY`, in pieces of about 64 KiB.
    pub(crate) fn copy_pieces(&self) -> impl Iterator<Item = Bytes> {
        const PIECE: usize = 64 << 10;
        let fields = i16::try_from(self.columns.len()).unwrap_or(i16::MAX);
        let mut rest: Vec<&[u8]> = self.columns.iter().map(|(_, v)| &v.bytes[..]).collect();
        let mut row = 0;
        let mut begun = false;
        std::iter::from_fn(move || {
            let mut piece = BytesMut::with_capacity(PIECE + 1_024);
            if !begun {
                begun = true;
                piece.put_slice(b"PGCOPY\n\xff\r\n\0");
                piece.put_i32(0);
                piece.put_i32(0);
            }
            while row < self.len && piece.len() < PIECE {
                piece.put_i16(fields);
                for column in &mut rest {
                    let (field, after) = column.split_at(field_len(column));
                    piece.put_slice(field);
                    *column = after;
                }
                row += 1;
                if row == self.len {
                    piece.put_i16(-1);
                }
            }
            (!piece.is_empty()).then(|| piece.freeze())
        })
    }
}

/// How long the first field is, its length included.
fn field_len(column: &[u8]) -> usize {
    let prefix = column
        .first_chunk()
        .map_or(-1, |prefix| i32::from_be_bytes(*prefix));
    4 + usize::try_from(prefix).unwrap_or(0)
}

#[derive(Debug, thiserror::Error)]
#[error("column `{column}` does not take the value")]
struct Unwritable {
    column: &'static str,
    source: BoxError,
}

impl Values {
    /// Whether it was `NULL`.
    fn write(&mut self, value: &(dyn ToSql + Sync)) -> Result<bool, BoxError> {
        let start = self.bytes.len();
        self.bytes.put_i32(-1);
        let null = value.to_sql_checked(&self.element, &mut self.bytes)?;
        if let IsNull::Yes = null {
            return Ok(true);
        }
        let len = i32::try_from(self.bytes.len() - start - 4)?;
        self.bytes[start..start + 4].copy_from_slice(&len.to_be_bytes());
        Ok(false)
    }
}

impl ToSql for Values {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxError> {
        out.put_i32(1);
        out.put_i32(i32::from(self.nulls));
        out.put_u32(self.element.oid());
        out.put_i32(self.len);
        out.put_i32(1);
        out.put_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Binary
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SqlType;

    static TABLE: Table = Table {
        name: "t",
        columns: &[
            Column::key("id", SqlType::Int4),
            Column::value("text", SqlType::Text),
        ],
    };

    #[test]
    fn a_row_that_does_not_fit_leaves_the_others() {
        let mut rows = Rows::new(&TABLE, TABLE.columns.iter());
        rows.push(&[&1i32, &"one"]).unwrap();
        assert!(rows.push(&[&2i32, &2i32]).is_err());
        assert!(rows.push(&[&2i32]).is_err());
        rows.push(&[&3i32, &None::<&str>]).unwrap();
        assert_eq!(rows.len(), 2);
        let copied: Vec<u8> = rows.copy_pieces().flatten().collect();
        let mut wanted = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        wanted.extend(b"\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x03one");
        wanted.extend(b"\0\x02\0\0\0\x04\0\0\0\x03\xff\xff\xff\xff\xff\xff");
        assert_eq!(copied, wanted);
    }

    #[test]
    fn many_rows_are_copied_in_pieces() {
        let mut rows = Rows::new(&TABLE, TABLE.columns.iter());
        let text = "x".repeat(40_000);
        for id in 0..5i32 {
            rows.push(&[&id, &text]).unwrap();
        }
        let pieces: Vec<Bytes> = rows.copy_pieces().collect();
        assert_eq!(pieces.len(), 3);
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        assert_eq!(bytes, 19 + 5 * (2 + 8 + 4 + 40_000) + 2);
    }
}
