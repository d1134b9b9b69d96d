//! The contract of projections, on a read model of one table.

use cqrs_core::testing::contract::{Note, Notebook, NotebookStore};
use cqrs_core::{BoxError, Partition, RecordedEvent};
use cqrs_sqlite::{ApplyFailure, ReadModel, SqliteProjection, SqliteStore};
use rusqlite::{Connection, params};

cqrs_core::projection_contract!(Notes::open().await);

struct Notes {
    store: SqliteStore,
    notebook: Notebook,
    projection: SqliteProjection<Model>,
}

impl Notes {
    async fn open() -> Self {
        let (store, notebook) = (crate::contract::open(2), Notebook::default());
        let model = Model(notebook.clone());
        Self {
            projection: SqliteProjection::open(store.clone(), model).await.unwrap(),
            store,
            notebook,
        }
    }
}

impl NotebookStore for Notes {
    type Log = SqliteStore;
    type Projection = SqliteProjection<Model>;

    fn log(&self) -> &SqliteStore {
        &self.store
    }

    fn projection(&self) -> &Self::Projection {
        &self.projection
    }

    fn notebook(&self) -> &Notebook {
        &self.notebook
    }

    async fn notes(&self) -> Vec<Note> {
        let read = |connection: &Connection| {
            connection
                .prepare("SELECT stream, version FROM notes ORDER BY n")?
                .query_map([], |row| {
                    Ok(Note {
                        stream: row.get(0)?,
                        version: row.get::<_, i64>(1)?.cast_unsigned(),
                    })
                })?
                .collect::<rusqlite::Result<Vec<_>>>()
        };
        self.store.read(read).await.unwrap()
    }
}

struct Model(Notebook);

impl ReadModel for Model {
    type Event = Note;

    fn name(&self) -> &str {
        Notebook::NAME
    }

    fn layout(&self) -> u32 {
        1
    }

    fn handles(&self, event_type: &str) -> bool {
        event_type == Notebook::EVENT
    }

    fn create(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(
            "CREATE TABLE notes (n INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT, version INTEGER) STRICT",
        )
    }

    fn drop_tables(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch("DROP TABLE IF EXISTS notes")
    }

    fn decode(&self, event: &RecordedEvent<'_>) -> Result<Note, BoxError> {
        Ok(self.0.note(event)?)
    }

    fn apply(
        &self,
        connection: &Connection,
        _: Partition,
        notes: impl Iterator<Item = Result<Note, ApplyFailure>>,
    ) -> Result<(), ApplyFailure> {
        for (index, note) in notes.enumerate() {
            let note = note?;
            connection
                .execute(
                    "INSERT INTO notes (stream, version) VALUES (?1, ?2)",
                    params![note.stream, note.version.cast_signed()],
                )
                .map_err(|error| ApplyFailure::new(index, error))?;
        }
        Ok(())
    }
}
