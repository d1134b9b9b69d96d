//! The contract of projections, on a read model of one table.

use std::sync::Arc;

use cqrs_core::testing::contract::{Note, Notebook, NotebookStore, NotebookVersions};
use cqrs_core::{MemoryStore, Position, RecordedEvent};
use cqrs_postgres::{
    ApplyFailure, Column, PgModels, PgProjection, PgReadModel, PgReader, PgVersions, SqlType,
    Table, Writer,
};

use crate::kit::{pool, prefix};
use crate::replays::TokioTimer;

cqrs_core::projection_contract!(Notes::open().await, ignore = "needs POSTGRES_URL");
cqrs_core::replay_contract!(Notes::open().await, ignore = "needs POSTGRES_URL");

struct Notes {
    models: PgModels,
    log: MemoryStore,
    notebook: Notebook,
    projection: PgProjection<Model>,
}

impl Notes {
    async fn open() -> Self {
        let (models, notebook) = (PgModels::new(pool(), &prefix()), Notebook::default());
        let model = Arc::new(Model(notebook.clone()));
        let live = models.open(&*model, 2).await.unwrap();
        Self {
            projection: PgProjection::new(models.clone(), live, model),
            models,
            log: MemoryStore::new(2),
            notebook,
        }
    }
}

impl NotebookStore for Notes {
    type Log = MemoryStore;
    type Projection = PgProjection<Model>;

    fn log(&self) -> &MemoryStore {
        &self.log
    }

    fn projection(&self) -> &Self::Projection {
        &self.projection
    }

    fn notebook(&self) -> &Notebook {
        &self.notebook
    }

    async fn notes(&self) -> Vec<Note> {
        self.read().await.1
    }
}

impl NotebookVersions for Notes {
    type Log = MemoryStore;
    type Versions = PgVersions<Model>;
    type Timer = TokioTimer;

    fn log(&self) -> &MemoryStore {
        &self.log
    }

    fn versions(&self) -> PgVersions<Model> {
        PgVersions::new(self.models.clone(), Arc::new(Model(self.notebook.clone())))
    }

    fn timer(&self) -> TokioTimer {
        TokioTimer
    }

    async fn read(&self) -> (Vec<Position>, Vec<Note>) {
        let reader = PgReader::new(self.models.clone(), Notebook::NAME, 1);
        let read = reader.begin(&[]).await.unwrap();
        let sql = "SELECT stream, version FROM {schema}.notes ORDER BY n";
        let rows = read.query(sql, &[]).await.unwrap();
        let notes = rows.iter().map(|row| Note {
            stream: row.get(0),
            version: row.get::<_, i64>(1).cast_unsigned(),
        });
        let places = read.checkpoints().iter().map(|at| at.position);
        (places.collect(), notes.collect())
    }
}

static NOTES: Table = Table {
    name: "notes",
    columns: &[
        Column::key("stream", SqlType::Text),
        Column::key("version", SqlType::Int8),
    ],
};

struct Model(Notebook);

impl PgReadModel for Model {
    fn name(&self) -> &str {
        Notebook::NAME
    }

    fn layout(&self) -> u32 {
        1
    }

    fn handles(&self, event_type: &str) -> bool {
        event_type == Notebook::EVENT
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![&NOTES]
    }

    fn create_tables(&self) -> &'static str {
        "CREATE TABLE {schema}.notes (n bigserial PRIMARY KEY, stream text NOT NULL,
         version bigint NOT NULL)"
    }

    fn create_indexes(&self) -> &'static str {
        ""
    }

    async fn apply(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyFailure> {
        let mut rows = writer.rows(&NOTES);
        for (index, event) in events.iter().enumerate() {
            let note = self.0.note(event).map_err(|e| ApplyFailure::at(index, e))?;
            rows.push(&[&note.stream, &note.version.cast_signed()])
                .map_err(|e| ApplyFailure::at(index, e))?;
        }
        writer.insert(rows).await?;
        Ok(())
    }
}
