//! The ledger's store over a wire.

use bytes::Bytes;
use cqrs_core::testing::sim::{Node, NodeId, Sim, Wire};
use cqrs_core::{
    Advance, CommandClaims, CommandId, Entered, Entry, Footing, Holder, Intended, Intent,
    IntentError, Intents, Landed, Lease, LedgerFold, MemoryIntents, OpenIntent, Partition,
    Position, ReservedValue, Stored,
};

use super::{LIMIT, at_once};

/// The store; its leases run by the true time, as one server's clock does.
pub(crate) type Ledger = MemoryIntents<Sim>;

/// One process's way to it.
#[derive(Clone)]
pub(crate) struct LedgerClient {
    wire: Wire,
    store: Ledger,
}

impl LedgerClient {
    pub(crate) fn new(node: &Node, at: NodeId, store: &Ledger) -> Self {
        Self {
            wire: node.wire(at),
            store: store.clone(),
        }
    }

    async fn call<R: Send + 'static>(
        &self,
        what: &'static str,
        run: impl FnOnce(Ledger) -> Result<R, IntentError> + Send + 'static,
    ) -> Result<R, IntentError> {
        let store = self.store.clone();
        let answer = self.wire.call(what, LIMIT, move || run(store)).await;
        answer.unwrap_or_else(|lost| {
            Err(IntentError::Store {
                source: lost.into(),
            })
        })
    }
}

impl CommandClaims for LedgerClient {
    fn session(&self) -> u64 {
        self.store.session()
    }

    async fn claim(
        &self,
        entry: &Entry,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Entered, IntentError> {
        let (entry, footing) = (*entry, footing.clone());
        let run = move |store: Ledger| at_once(store.claim(&entry, lease, &footing));
        self.call("claim", run).await
    }

    async fn take_over(
        &self,
        command: CommandId,
        attempt: u32,
        lease: Lease,
        footing: &Footing,
    ) -> Result<bool, IntentError> {
        let footing = footing.clone();
        let run = move |store: Ledger| at_once(store.take_over(command, attempt, lease, &footing));
        self.call("take over", run).await
    }

    async fn renew(&self, held: &[(CommandId, u32)], lease: Lease) -> Result<(), IntentError> {
        let held = held.to_vec();
        let run = move |store: Ledger| at_once(store.renew(&held, lease));
        self.call("renew", run).await
    }

    async fn answer(
        &self,
        entry: &Entry,
        answer: &Bytes,
        footing: &Footing,
    ) -> Result<Stored, IntentError> {
        let (entry, answer, footing) = (*entry, answer.clone(), footing.clone());
        // What was decided under a claim is the word that may come too late.
        let what = match entry.attempt {
            Some(_) => "answer as held",
            None => "answer",
        };
        let run = move |store: Ledger| at_once(store.answer(&entry, &answer, &footing));
        self.call(what, run).await
    }

    async fn let_go(&self, command: CommandId, attempt: u32) -> Result<(), IntentError> {
        let run = move |store: Ledger| at_once(store.let_go(command, attempt));
        self.call("let go", run).await
    }
}

impl Intents for LedgerClient {
    async fn intend(
        &self,
        intent: Intent<'_>,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Intended, IntentError> {
        let (entry, stream, version) = (*intent.entry, intent.stream.clone(), intent.version);
        let (commit, reserve) = (intent.commit.clone(), intent.reserve.to_vec());
        let footing = footing.clone();
        let run = move |store: Ledger| {
            let intent = Intent {
                entry: &entry,
                stream: &stream,
                version,
                commit: &commit,
                reserve: &reserve,
            };
            at_once(store.intend(intent, lease, &footing))
        };
        self.call("intend", run).await
    }

    async fn drop_intent(&self, command: CommandId, attempt: u32) -> Result<bool, IntentError> {
        let run = move |store: Ledger| at_once(store.drop_intent(command, attempt));
        self.call("drop intent", run).await
    }

    async fn expired(&self, limit: usize) -> Result<Vec<OpenIntent>, IntentError> {
        let run = move |store: Ledger| at_once(store.expired(limit));
        self.call("expired", run).await
    }

    async fn holder(&self, value: &ReservedValue) -> Result<Option<Holder>, IntentError> {
        let value = value.clone();
        let run = move |store: Ledger| at_once(store.holder(&value));
        self.call("holder", run).await
    }
}

impl LedgerFold for LedgerClient {
    async fn finish(&self, landed: &[Landed]) -> Result<(), IntentError> {
        let landed = landed.to_vec();
        let run = move |store: Ledger| at_once(store.finish(&landed));
        self.call("finish", run).await
    }

    async fn fold(&self, advance: Advance, landed: &[Landed]) -> Result<bool, IntentError> {
        let landed = landed.to_vec();
        let run = move |store: Ledger| at_once(store.fold(advance, &landed));
        self.call("fold", run).await
    }

    async fn checkpoints(&self) -> Result<Vec<(Partition, Position)>, IntentError> {
        let run = move |store: Ledger| at_once(store.checkpoints());
        self.call("checkpoints", run).await
    }
}
