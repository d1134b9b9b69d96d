//! The ledger's memory across a restart, and behind the queue.

use bytes::Bytes;
use cqrs_core::{AppendToLog, Claimed, Ledger, RequestHash, Settlement, Timestamp};

use crate::kit::{commit, fixture, open, stream};

const TIME: Timestamp = Timestamp::from_millis(0);
const REQUEST: RequestHash = RequestHash::new([7; 32]);

#[tokio::test]
async fn answers_and_effects_are_remembered_after_a_restart() {
    let fixture = fixture();
    let mut landed = commit(&stream(1), 0, &["{}"]);
    landed.header.request = Some(REQUEST);
    let effect = landed.header.command_id;
    let refusal = commit(&stream(2), 0, &["{}"]).header.command_id;
    let answer = Bytes::from_static(b"no");
    for (command, settlement) in [
        (effect, Settlement::Landed),
        (
            refusal,
            Settlement::Answered {
                answer: answer.clone(),
                stream: None,
            },
        ),
    ] {
        let claimed = fixture.store.claim(command, REQUEST, TIME).await.unwrap();
        let Claimed::Granted {
            claim, attempt: 1, ..
        } = claimed
        else {
            panic!("{claimed:?}");
        };
        fixture.store.append(landed.clone()).await.unwrap();
        fixture.store.settle(claim, settlement).await.unwrap();
    }
    fixture.store.close().await;
    drop(fixture.store);

    let store = open(&fixture.folder, 1);
    let claimed = store.claim(effect, REQUEST, TIME).await.unwrap();
    assert!(
        matches!(claimed, Claimed::Granted { attempt: 2, .. }),
        "{claimed:?}"
    );
    let claimed = store.claim(refusal, REQUEST, TIME).await.unwrap();
    assert!(
        matches!(&claimed, Claimed::Answered(stored) if *stored == answer),
        "{claimed:?}"
    );
    let other = RequestHash::new([8; 32]);
    for command in [effect, refusal] {
        drop(store.claim(command, REQUEST, TIME).await.unwrap());
        let claimed = store.claim(command, other, TIME).await.unwrap();
        assert!(matches!(claimed, Claimed::KeyReused), "{claimed:?}");
    }
}

#[tokio::test]
async fn a_claim_dropped_with_its_append_still_queued_is_the_second_attempt() {
    let fixture = fixture();
    let store = fixture.store.clone();
    let mut queued = commit(&stream(1), 0, &["{}"]);
    queued.header.request = Some(REQUEST);
    let command = queued.header.command_id;
    let claimed = store.claim(command, REQUEST, TIME).await.unwrap();
    drop(store.append(queued));
    drop(claimed);
    let claimed = store.claim(command, REQUEST, TIME).await.unwrap();
    assert!(
        matches!(claimed, Claimed::Granted { attempt: 2, .. }),
        "{claimed:?}"
    );
}
