//! cqrs-es and its store in memory: the whole stream is read for each command; the version is not checked; nothing is
//! encoded. It prints a line for each load and each commit, so send the standard output to the null device.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use cqrs_es::event_sink::EventSink;
use cqrs_es::mem_store::MemStore;
use cqrs_es::{Aggregate, CqrsFramework, DomainEvent, EventEnvelope, EventStore};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Added;
use crate::notebook::Notebook;

/// A note, as its aggregate.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Page {
    additions: u64,
}

/// Text was added; the same payload as ours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum PageEvent {
    /// The only one.
    Added(Added),
}

impl DomainEvent for PageEvent {
    fn event_type(&self) -> String {
        "note-added".to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}

/// Adds to a note.
#[derive(Debug)]
pub struct AddToPage;

impl Aggregate for Page {
    const TYPE: &'static str = "note";
    type Command = AddToPage;
    type Event = PageEvent;
    type Error = Infallible;
    type Services = ();

    async fn handle(
        &mut self,
        AddToPage: AddToPage,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), Infallible> {
        let event = PageEvent::Added(Added::usual());
        sink.write(event, self).await;
        Ok(())
    }

    fn apply(&mut self, _: PageEvent) {
        self.additions += 1;
    }
}

/// Notes kept by cqrs-es.
#[derive(Clone)]
pub struct CqrsEs {
    store: MemStore<Page>,
    framework: Arc<CqrsFramework<Page, MemStore<Page>>>,
}

impl Notebook for CqrsEs {
    const NAME: &'static str = "cqrs-es";

    fn open() -> Self {
        let store = MemStore::default();
        let framework = Arc::new(CqrsFramework::new(store.clone(), Vec::new(), ()));
        Self { store, framework }
    }

    async fn fill(&self, note: Uuid, length: u64) {
        let addition = |number: u64| EventEnvelope {
            aggregate_id: note.to_string(),
            sequence: usize::try_from(number).expect("a length"),
            payload: PageEvent::Added(Added::usual()),
            metadata: HashMap::new(),
        };
        #[expect(
            deprecated,
            reason = "there is no other way to fill it in less than quadratic time"
        )]
        let events = self.store.get_events();
        let filled = (1..=length).map(addition).collect();
        let mut events = events.write().expect("not poisoned");
        events.insert(note.to_string(), filled);
    }

    async fn add(&self, note: Uuid) -> bool {
        let done = self.framework.execute(&note.to_string(), AddToPage).await;
        done.is_ok()
    }

    async fn stored(&self, note: Uuid) -> u64 {
        let events = self.store.load_events(&note.to_string()).await;
        events.expect("loaded").len() as u64
    }
}
