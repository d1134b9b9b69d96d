//! A replica set in memory: unique indexes, ordered inserts, majority reads, and primaries that fail over.
//!
//! What is written is on the primary at once, and on a majority a little later; only then is it acknowledged, and seen by
//! majority reads. A failover loses what is on no majority. Who has not heard of it reads what the old primary had, and
//! writes to nobody.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::RawDocumentBuf;
use cqrs_core::testing::sim::{NodeId, Reply, Sim};
use cqrs_core::{CommandId, Partition, RecordedCommit};

use crate::engine::{Documents, Inserted, Slice};
use crate::error::StoreFailure;
use crate::record::{self, Stub};

/// The server. Cheap to clone; clones are the same server.
#[derive(Clone)]
pub struct SimulatedServer(Arc<Shared>);

struct Shared {
    sim: Sim,
    state: Mutex<State>,
}

struct State {
    collections: Vec<BTreeMap<u64, Entry>>,
    /// Which primary it is.
    term: u64,
    /// The primary that each client takes for the present one.
    known: BTreeMap<NodeId, u64>,
    /// How much was on a majority when each primary ended.
    ended: Vec<u64>,
    /// Writes so far, and those of them that are on a majority.
    written: u64,
    durable: u64,
}

#[derive(Clone)]
struct Entry {
    doc: Arc<RawDocumentBuf>,
    stub: Stub,
    /// Its number among all writes.
    number: u64,
}

/// What a client's reads see.
pub(super) enum View {
    /// All writes up to this one.
    UpTo(u64),
    /// The client asked somebody who is primary no longer.
    Gone,
}

impl SimulatedServer {
    /// An empty server with `partitions` log collections.
    #[must_use]
    pub fn new(sim: &Sim, partitions: u16) -> Self {
        Self(Arc::new(Shared {
            sim: sim.clone(),
            state: Mutex::new(State {
                collections: vec![BTreeMap::new(); usize::from(partitions)],
                term: 0,
                known: BTreeMap::new(),
                ended: Vec::new(),
                written: 0,
                durable: 0,
            }),
        }))
    }

    /// How many log collections there are.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        u16::try_from(self.state().collections.len()).unwrap_or(u16::MAX)
    }

    /// Another server becomes the primary: what is on no majority is lost.
    pub fn fail_over(&self) {
        let mut state = self.state();
        let durable = state.durable;
        for collection in &mut state.collections {
            collection.retain(|_, entry| entry.number <= durable);
        }
        state.term += 1;
        state.written = durable;
        state.ended.push(durable);
    }

    /// All that is on a majority, in the order in which it came there.
    ///
    /// # Panics
    ///
    /// If a document is no commit.
    #[must_use]
    pub fn journal(&self) -> Vec<RecordedCommit> {
        let state = self.state();
        let partitions = Partition::all(self.partitions_of(&state));
        let mut all: Vec<(u64, RecordedCommit)> = partitions
            .zip(&state.collections)
            .flat_map(|(partition, collection)| {
                let durable = collection.values().filter(|e| e.number <= state.durable);
                durable.map(move |entry| {
                    match record::decode(RawDocumentBuf::clone(&entry.doc), partition) {
                        Ok(commit) => (entry.number, commit),
                        Err(reason) => panic!("a document is no commit: {reason}"),
                    }
                })
            })
            .collect();
        all.sort_by_key(|(number, _)| *number);
        all.into_iter().map(|(_, commit)| commit).collect()
    }

    /// How many commits are on a majority.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.state().durable
    }

    fn partitions_of(&self, state: &State) -> u16 {
        u16::try_from(state.collections.len()).unwrap_or(u16::MAX)
    }

    /// Inserts in order up to the first that meets a key, and answers once all that it has seen is on a majority.
    pub(super) fn insert(
        &self,
        partition: Partition,
        docs: Vec<Arc<RawDocumentBuf>>,
        reply: Reply<Inserted>,
    ) {
        let sim = &self.0.sim;
        let (inserted, term, up_to) = {
            let mut state = self.state();
            let state = &mut *state;
            let term = state.term;
            if state.known.insert(reply.from(), term) != Some(term) {
                // Not the primary any more, which the client learns by this.
                return;
            }
            let mut inserted = Inserted::All;
            for (index, doc) in docs.into_iter().enumerate() {
                if !state.write(partition, doc) {
                    inserted = Inserted::Lost(index);
                    break;
                }
            }
            (inserted, term, state.written)
        };
        // A duplicate key is answered as late: what it met may not be on a majority yet.
        let replication = Duration::from_micros(100 + sim.below(2_000));
        let server = self.clone();
        sim.after(replication, move || {
            let mut state = server.state();
            if state.term == term {
                state.durable = state.durable.max(up_to);
                drop(state);
                reply.send(inserted);
            }
        });
    }

    /// What a majority read of `client` sees.
    pub(super) fn view(&self, client: NodeId) -> View {
        let sim = &self.0.sim;
        let mut state = self.state();
        let (term, durable) = (state.term, state.durable);
        let known = *state.known.entry(client).or_insert(term);
        if known == term {
            return View::UpTo(durable);
        }
        if sim.chance(70) {
            let ended = usize::try_from(known).ok().and_then(|t| state.ended.get(t));
            return View::UpTo(ended.copied().unwrap_or(durable));
        }
        state.known.insert(client, term);
        if sim.chance(50) {
            View::Gone
        } else {
            View::UpTo(durable)
        }
    }

    /// What a linearizable read of `client` sees: nothing that is not the present.
    pub(super) fn present(&self, client: NodeId) -> View {
        let mut state = self.state();
        let (term, durable) = (state.term, state.durable);
        match state.known.insert(client, term) {
            Some(known) if known != term => View::Gone,
            _ => View::UpTo(durable),
        }
    }

    pub(super) fn stubs(
        &self,
        partition: Partition,
        up_to: u64,
        which: impl Fn(&Stub) -> bool,
    ) -> Vec<Stub> {
        let state = self.state();
        let visible = state.visible(partition, up_to);
        let found = visible.filter(|entry| which(&entry.stub));
        found.map(|entry| entry.stub.clone()).collect()
    }

    pub(super) fn documents(
        &self,
        partition: Partition,
        up_to: u64,
        slice: &Slice,
        max_events: usize,
    ) -> Documents {
        let state = self.state();
        let visible = state.visible(partition, up_to);
        let mut found: Vec<&Entry> = match slice {
            Slice::After(after) => visible.filter(|e| e.stub.position > *after).collect(),
            Slice::OfStream(stream, after) => visible
                .filter(|e| e.stub.stream == *stream && e.stub.first > after.get())
                .collect(),
            Slice::UpTo(stream, last) => visible
                .filter(|e| e.stub.stream == *stream && e.stub.first <= last.get())
                .collect(),
        };
        match slice {
            Slice::After(_) => {}
            Slice::OfStream(..) => found.sort_by_key(|e| e.stub.first),
            Slice::UpTo(..) => found.sort_by_key(|e| std::cmp::Reverse(e.stub.first)),
        }
        let (mut docs, mut events) = (Documents::default(), 0);
        for entry in found {
            events += entry.stub.events;
            if events > max_events as u64 && !docs.found.is_empty() {
                docs.more = true;
                break;
            }
            docs.found.push(RawDocumentBuf::clone(&entry.doc));
        }
        docs
    }

    pub(super) fn document_of(
        &self,
        partition: Partition,
        up_to: u64,
        command: CommandId,
    ) -> Option<RawDocumentBuf> {
        let state = self.state();
        let mut visible = state.visible(partition, up_to);
        let found = visible.find(|entry| entry.stub.command == command);
        found.map(|entry| RawDocumentBuf::clone(&entry.doc))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether `doc` met no key that is there.
    fn write(&mut self, partition: Partition, doc: Arc<RawDocumentBuf>) -> bool {
        let Ok(stub) = record::stub(&doc) else {
            return false;
        };
        let collection = &mut self.collections[usize::from(partition.index())];
        let position = stub.position.get();
        let unique = cqrs_core::mutant("no unique index on slots");
        let taken = collection.contains_key(&position)
            || collection.values().any(|there| {
                there.stub.command == stub.command
                    || (!unique
                        && there.stub.stream == stub.stream
                        && there.stub.first == stub.first)
            });
        if !taken {
            self.written += 1;
            let number = self.written;
            collection.insert(position, Entry { doc, stub, number });
        }
        !taken
    }

    fn visible(&self, partition: Partition, up_to: u64) -> impl Iterator<Item = &Entry> {
        let collection = &self.collections[usize::from(partition.index())];
        collection.values().filter(move |e| e.number <= up_to)
    }
}

impl std::fmt::Debug for SimulatedServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedServer").finish_non_exhaustive()
    }
}

/// What the driver would say.
pub(super) fn not_primary() -> StoreFailure {
    StoreFailure::new("not the primary")
}
