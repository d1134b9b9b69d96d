use std::sync::{Arc, Mutex};

use super::*;
use crate::behaviour::fixture::{Broken, Fixed, Ring, conflict, envelope};
use crate::envelope::{CommandId, Identity, Mark, RequestHash};
use crate::mediator::Mediator;
use crate::memory::MemoryStore;
use crate::stream::StreamName;
use crate::time::Timestamp;

/// When the ledger says that the command was first received.
const FIRST: Timestamp = Timestamp::from_millis(1_600_000_000_000);

/// Holds one command: what the next claim gives, and how the last one ended.
#[derive(Clone, Default)]
struct OneEntry(Arc<Mutex<Entry>>);

#[derive(Default)]
struct Entry {
    claims: Vec<Result<Claimed<()>, LedgerError>>,
    settled: Vec<Settlement>,
    fails_to_settle: bool,
}

impl OneEntry {
    fn claiming(claimed: Result<Claimed<()>, LedgerError>) -> Self {
        let ledger = Self::default();
        ledger.0.lock().unwrap().claims.push(claimed);
        ledger
    }

    fn granting(attempt: u32) -> Self {
        Self::claiming(Ok(Claimed::Granted {
            claim: (),
            attempt,
            time: FIRST,
        }))
    }

    fn failing_to_settle(self) -> Self {
        self.0.lock().unwrap().fails_to_settle = true;
        self
    }

    fn settled(&self) -> Vec<Settlement> {
        self.0.lock().unwrap().settled.clone()
    }
}

fn away() -> LedgerError {
    LedgerError::Store {
        source: "the ledger is away".into(),
    }
}

impl Ledger for OneEntry {
    type Claim = ();

    async fn claim(
        &self,
        _: CommandId,
        _: RequestHash,
        _: Timestamp,
    ) -> Result<Claimed<()>, LedgerError> {
        self.0.lock().unwrap().claims.pop().unwrap()
    }

    async fn settle(&self, (): (), settlement: Settlement) -> Result<(), LedgerError> {
        let mut entry = self.0.lock().unwrap();
        if entry.fails_to_settle {
            return Err(away());
        }
        entry.settled.push(settlement);
        Ok(())
    }

    async fn owner(&self, _: &ReservedValue) -> Result<Option<StreamName>, LedgerError> {
        Ok(None)
    }
}

fn keyed() -> Envelope {
    Envelope {
        replayed: Mark::watched(),
        landed: Mark::watched(),
        ..envelope().with_identity(Identity::Keyed(RequestHash::new([1; 32])))
    }
}

async fn send(ledger: &OneEntry, handler: Fixed, envelope: &Envelope) -> DispatchResult<Ring> {
    Mediator::new(handler)
        .with(Idempotency::new(ledger.clone()))
        .send(Ring(1), envelope)
        .await
}

fn stored(json: &str) -> Vec<Settlement> {
    vec![Settlement::Answered {
        answer: Bytes::copy_from_slice(json.as_bytes()),
        stream: None,
    }]
}

fn mismatch() -> DispatchError<Broken> {
    DispatchError::VersionMismatch {
        expected: Precondition::Exact(Version::new(3)),
        actual: Version::new(4),
    }
}

fn taken() -> DispatchError<Broken> {
    DispatchError::Taken {
        value: ReservedValue::new("handle", "ada"),
    }
}

#[tokio::test]
async fn a_fresh_command_is_not_claimed() {
    let reply = send(&OneEntry::default(), Fixed::new([Ok(1)]), &envelope()).await;
    assert_eq!(reply.unwrap(), 1);
}

#[tokio::test]
async fn a_reactors_command_that_was_refused_stays_refused() {
    let ledger = MemoryStore::new(1);
    let envelope = envelope().with_identity(Identity::Derived);
    // Decided anew, it would be accepted.
    let handler = Fixed::new([Err(DispatchError::Refused(Broken)), Ok(1)]);
    let bell = Mediator::new(handler).with(Idempotency::new(ledger));
    for _ in 0..2 {
        let answer = bell.send(Ring(1), &envelope).await;
        assert!(matches!(answer, Err(DispatchError::Refused(Broken))));
    }
    let mut another = envelope.clone();
    another.command_id = CommandId::new(uuid::Uuid::from_u128(8));
    assert_eq!(bell.send(Ring(1), &another).await.unwrap(), 1);
}

#[tokio::test]
async fn an_answer_without_events_is_stored_as_it_is_given() {
    let answers = [
        (Ok(5), r#"{"reply":5}"#),
        (Err(DispatchError::Refused(Broken)), r#"{"refused":null}"#),
        (
            Err(mismatch()),
            r#"{"version_mismatch":{"expected":{"Exact":3},"actual":4}}"#,
        ),
        (
            Err(taken()),
            r#"{"taken":{"value":{"scope":"handle","value":"ada"}}}"#,
        ),
    ];
    for (answer, json) in answers {
        let said = format!("{answer:?}");
        let (ledger, envelope) = (OneEntry::granting(1), keyed());
        let given = send(&ledger, Fixed::new([answer]), &envelope).await;
        assert_eq!(format!("{given:?}"), said);
        assert_eq!(ledger.settled(), stored(json));
        assert!(!envelope.replayed.is_set() && !envelope.landed.is_set());

        let again = OneEntry::claiming(Ok(Claimed::Answered(json.to_owned().into())));
        let given = send(&again, Fixed::new([]), &envelope).await;
        assert_eq!(format!("{given:?}"), said, "the repeat gets the same");
        assert!(envelope.replayed.is_set());
        assert!(again.settled().is_empty());
    }
}

#[tokio::test]
async fn events_in_the_log_need_no_stored_answer() {
    let (ledger, envelope) = (OneEntry::granting(1), keyed());
    let reply = send(&ledger, Fixed::landing([Ok(5)]), &envelope).await;
    assert_eq!(reply.unwrap(), 5);
    assert_eq!(ledger.settled(), [Settlement::Landed]);
    assert!(
        envelope.landed.is_set(),
        "whoever is outside may ask as well"
    );
}

#[tokio::test]
async fn what_is_no_answer_lets_the_command_go() {
    for error in [conflict(), Err(DispatchError::Overloaded)] {
        let ledger = OneEntry::granting(1);
        assert!(send(&ledger, Fixed::new([error]), &keyed()).await.is_err());
        assert_eq!(ledger.settled(), [Settlement::LetGo]);
    }
}

#[tokio::test]
async fn an_unknown_end_is_not_called_undecided() {
    let ledger = OneEntry::granting(1);
    let unknown = DispatchError::Unavailable {
        source: "the log is away".into(),
    };
    let result = send(&ledger, Fixed::new([Err(unknown)]), &keyed()).await;
    assert!(matches!(result, Err(DispatchError::Unavailable { .. })));
    assert_eq!(ledger.settled(), [], "the claim is dropped");
}

#[tokio::test]
async fn a_later_attempt_is_told_so() {
    let handler = Arc::new(Fixed::new([Ok(1)]));
    let mediator =
        Mediator::new(Arc::clone(&handler)).with(Idempotency::new(OneEntry::granting(3)));
    mediator.send(Ring(1), &keyed()).await.unwrap();
    assert_eq!(handler.envelopes.lock().unwrap()[0].attempt, 3);
}

#[tokio::test]
async fn a_claim_that_is_not_granted_says_why() {
    let claims = [
        (Ok(Claimed::Running), "in_progress"),
        (Ok(Claimed::KeyReused), "key_reused"),
        (Ok(Claimed::Answered(Bytes::from_static(b"?"))), "corrupt"),
        (Err(LedgerError::Overloaded), "overloaded"),
        (Err(away()), "unavailable"),
    ];
    for (claimed, kind) in claims {
        let (ledger, envelope) = (OneEntry::claiming(claimed), keyed());
        let refused = send(&ledger, Fixed::new([]), &envelope).await.unwrap_err();
        assert_eq!(refused.kind(), kind);
        assert!(!envelope.replayed.is_set());
    }
}

#[tokio::test]
async fn an_answer_that_could_not_be_stored_is_not_given() {
    let ledger = OneEntry::granting(1).failing_to_settle();
    let result = send(&ledger, Fixed::new([Ok(5)]), &keyed()).await;
    assert!(matches!(result, Err(DispatchError::Unavailable { .. })));
}

#[tokio::test]
async fn what_landed_is_answered_though_the_ledger_is_away() {
    let ledger = OneEntry::granting(1).failing_to_settle();
    let result = send(&ledger, Fixed::landing([Ok(5)]), &keyed()).await;
    assert_eq!(result.unwrap(), 5);
}
