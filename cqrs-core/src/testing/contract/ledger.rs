//! Promises of the ledger about commands.

use bytes::Bytes;

use crate::envelope::{CommandId, RequestHash};
use crate::ledger::{Claimed, Ledger, Settlement};
use crate::log::AppendToLog;
use crate::time::Timestamp;

use super::{commit, exactly, stream};

const REQUEST: RequestHash = RequestHash::new([1; 32]);
const TIME: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const OTHER: RequestHash = RequestHash::new([2; 32]);

fn command(number: u64) -> CommandId {
    commit(number, &stream(1), exactly(0), &[])
        .header
        .command_id
}

async fn granted<S: Ledger>(store: &S, command: CommandId) -> (S::Claim, u32) {
    match store.claim(command, REQUEST, TIME).await.unwrap() {
        Claimed::Granted { claim, attempt, .. } => (claim, attempt),
        Claimed::Answered(_) | Claimed::Running | Claimed::KeyReused => {
            panic!("the claim was not granted")
        }
    }
}

/// While one decides, others are told so; other commands are not held up.
pub async fn grants_a_new_command_once(store: impl Ledger) {
    let (held, attempt) = granted(&store, command(1)).await;
    assert_eq!(attempt, 1);
    let second = store.claim(command(1), REQUEST, TIME).await.unwrap();
    assert!(matches!(second, Claimed::Running));
    granted(&store, command(2)).await;
    drop(held);
}

/// The next attempt decides.
pub async fn lets_go_what_is_dropped_or_let_go(store: impl Ledger) {
    let (held, _) = granted(&store, command(1)).await;
    drop(held);
    let (held, _) = granted(&store, command(1)).await;
    store.settle(held, Settlement::LetGo).await.unwrap();
    granted(&store, command(1)).await;
}

/// The first answer, byte for byte, for ever.
pub async fn answers_again_what_was_answered(store: impl Ledger) {
    let answer = Bytes::from_static(b"{\"no\": \"\xc3\xa9\"}");
    let (held, _) = granted(&store, command(1)).await;
    let settlement = Settlement::Answered {
        answer: answer.clone(),
        stream: None,
    };
    store.settle(held, settlement).await.unwrap();
    for _ in 0..2 {
        let again = store.claim(command(1), REQUEST, TIME).await.unwrap();
        assert!(matches!(again, Claimed::Answered(stored) if stored == answer));
    }
}

/// While it runs, once it was answered, and once it landed.
pub async fn refuses_another_request_under_the_id(store: impl Ledger + AppendToLog) {
    let reused = async |number| {
        let claimed = store.claim(command(number), OTHER, TIME).await.unwrap();
        assert!(matches!(claimed, Claimed::KeyReused));
    };
    let (held, _) = granted(&store, command(1)).await;
    reused(1).await;
    let settlement = Settlement::Answered {
        answer: Bytes::from_static(b"no"),
        stream: None,
    };
    store.settle(held, settlement).await.unwrap();
    reused(1).await;

    let (held, _) = granted(&store, command(2)).await;
    let mut landed = commit(2, &stream(2), exactly(0), &["{}"]);
    landed.header.request = Some(REQUEST);
    store.append(landed).await.unwrap();
    store.settle(held, Settlement::Landed).await.unwrap();
    reused(2).await;
}

/// The second attempt looks in the log before it decides, however the first one ended.
pub async fn knows_that_an_earlier_attempt_landed(store: impl Ledger + AppendToLog) {
    let (held, _) = granted(&store, command(1)).await;
    let mut landed = commit(1, &stream(1), exactly(0), &["{}"]);
    landed.header.request = Some(REQUEST);
    store.append(landed).await.unwrap();
    drop(held);
    let (_held, attempt) = granted(&store, command(1)).await;
    assert!(attempt > 1, "attempt {attempt}");
}
