//! Connections come and go, and none is used half-way through a call.

use std::error::Error;
use std::time::Duration;

use cqrs_core::{
    Advance, CommandClaims, CommandId, Entered, Entry, Footing, IntentError, KnownState, Lease,
    LedgerFold, Partition, Position, RequestHash, Timestamp,
};
use cqrs_mssql::{ConnectError, MssqlIntents, MssqlOptions, MssqlPool};
use futures_util::FutureExt;
use futures_util::future::join_all;
use uuid::Uuid;

use crate::kit::{PATIENCE, options, server};
use crate::link::Link;

const P0: Partition = Partition::new(0);

/// A pool behind a link, whose tables are there.
async fn linked(change: impl FnOnce(&mut MssqlOptions)) -> (MssqlIntents, Link) {
    let mut options = options();
    MssqlPool::new(options.clone()).check().await.unwrap();
    let link = Link::to(server()).await;
    let address = link.address;
    options = options.with_address(&address.ip().to_string(), address.port());
    change(&mut options);
    (MssqlIntents::new(MssqlPool::new(options)), link)
}

/// Lets others run until `done`.
async fn until(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap();
}

fn entry(number: u64) -> Entry {
    Entry {
        command: CommandId::new(Uuid::from_u64_pair(1, number)),
        request: Some(RequestHash::new([1; 32])),
        time: Timestamp::from_millis(1),
        attempt: None,
    }
}

const LEASE: Lease = Lease {
    owner: Uuid::from_u128(7),
    span: Duration::from_secs(3_600),
};

async fn begin(intents: &MssqlIntents) {
    let advance = Advance {
        partition: P0,
        from: None,
        to: Position::START,
    };
    assert!(intents.fold(advance, &[]).await.unwrap());
}

fn footing(intents: &MssqlIntents) -> Footing {
    Footing {
        session: intents.session(),
        folded: [Position::START].into(),
    }
}

fn is_connect(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn a_call_runs_to_its_end_though_its_caller_goes_away() {
    let (intents, link) = linked(|_| {}).await;
    begin(&intents).await;
    let (standing, before) = (footing(&intents), link.asked());
    link.hold();
    let (entry, pool) = (entry(1), intents.pool().clone());
    let mut claim = Box::pin(intents.claim(&entry, LEASE, &standing));
    assert!(claim.as_mut().now_or_never().is_none());
    until(|| link.asked() > before).await;
    drop(claim);
    assert_eq!(pool.state().busy, 1, "the call is still under way");
    assert_eq!(pool.state().idle, 0, "and nobody else gets its connection");
    link.open();
    until(|| pool.state().busy == 0).await;
    assert_eq!((pool.state().idle, pool.state().opened), (1, 1));
    // The connection is in step: it gives this call's answer, which tells of the first one's effect.
    let again = intents.claim(&entry, LEASE, &standing).await.unwrap();
    assert!(
        matches!(&again, Entered::Known(known)
            if matches!(known.state, KnownState::Claimed { .. }) && known.attempt == 1),
        "{again:?}"
    );
    assert_eq!(pool.state().opened, 1);
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn a_call_that_takes_too_long_takes_its_connection_with_it() {
    let (intents, link) = linked(|options| {
        options.call_timeout = Duration::from_secs(5);
    })
    .await;
    let pool = intents.pool();
    pool.check().await.unwrap();
    link.hold();
    let late = intents.checkpoints().await;
    assert!(matches!(late, Err(IntentError::Store { .. })), "{late:?}");
    assert_eq!((pool.state().idle, pool.state().busy), (0, 0));
    link.open();
    pool.check().await.unwrap();
    assert_eq!((pool.state().idle, pool.state().opened), (1, 2));
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn the_server_goes_away_and_comes_back() {
    let (intents, link) = linked(|_| {}).await;
    begin(&intents).await;
    let standing = footing(&intents);
    link.go_down().await;
    for _ in 0..3 {
        let away = intents.checkpoints().await.unwrap_err();
        assert!(matches!(away, IntentError::Store { .. }), "{away:?}");
        assert!(is_connect(&away), "{away:?}");
    }
    assert_eq!(intents.pool().state().idle, 0);
    link.open();
    let back = async {
        while intents.checkpoints().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, back).await.unwrap();
    // On what was opened since, nothing is granted on the old footing.
    let lost = intents.claim(&entry(1), LEASE, &standing).await;
    assert!(matches!(lost, Err(IntentError::Lost)), "{lost:?}");
    let standing = footing(&intents);
    let claimed = intents.claim(&entry(1), LEASE, &standing).await.unwrap();
    assert_eq!(claimed, Entered::Granted);
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn a_connection_that_was_cut_while_it_was_idle_is_replaced_unasked() {
    let (intents, link) = linked(|_| {}).await;
    let pool = intents.pool();
    for opened in 1..=3 {
        pool.check().await.unwrap();
        assert_eq!((pool.state().idle, pool.state().opened), (1, opened));
        link.cut().await;
    }
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn connections_and_those_who_wait_are_bounded() {
    let (intents, link) = linked(|options| {
        options.max_connections = 2;
        options.max_waiting = 1;
    })
    .await;
    let pool = intents.pool();
    link.hold();
    let mut calls: Vec<_> = (0..3).map(|_| Box::pin(intents.checkpoints())).collect();
    for call in &mut calls {
        assert!(call.now_or_never().is_none());
    }
    assert_eq!(pool.state().busy, 2);
    let refused = intents.checkpoints().now_or_never();
    assert!(
        matches!(refused, Some(Err(IntentError::Overloaded))),
        "{refused:?}"
    );
    link.open();
    for done in join_all(calls).await {
        assert_eq!(done.unwrap(), []);
    }
    let state = pool.state();
    assert_eq!((state.idle, state.busy, state.opened), (2, 0, 2));
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn few_connections_are_opened_at_once_and_all_who_wait_are_served() {
    let (intents, link) = linked(|options| options.max_connections = 12).await;
    link.hold();
    let mut calls: Vec<_> = (0..12).map(|_| Box::pin(intents.checkpoints())).collect();
    for call in &mut calls {
        assert!(call.now_or_never().is_none());
    }
    until(|| link.passed() == 2).await;
    // However often the others get a turn, they don't connect.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
        assert_eq!((link.passed(), intents.pool().state().busy), (2, 12));
    }
    link.open();
    for done in join_all(calls).await {
        assert_eq!(done.unwrap(), []);
    }
    let state = intents.pool().state();
    assert_eq!((state.idle as u64, state.busy), (state.opened, 0));
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn nobody_waits_for_a_connection_for_ever() {
    let (intents, link) = linked(|options| {
        options.max_connections = 1;
        options.wait_timeout = Duration::from_millis(20);
    })
    .await;
    link.hold();
    let mut first = Box::pin(intents.checkpoints());
    assert!(first.as_mut().now_or_never().is_none());
    let waited = intents.checkpoints().await;
    assert!(matches!(waited, Err(IntentError::Overloaded)), "{waited:?}");
    link.open();
    assert_eq!(first.await.unwrap(), []);
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn old_connections_are_replaced() {
    for idle in [false, true] {
        let (intents, _link) = linked(|options| {
            let limit = if idle {
                &mut options.max_idle
            } else {
                &mut options.max_lifetime
            };
            *limit = Duration::ZERO;
        })
        .await;
        let pool = intents.pool();
        for opened in 1..=3 {
            pool.check().await.unwrap();
            assert_eq!((pool.state().idle, pool.state().opened), (1, opened));
        }
    }
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn a_server_that_cannot_prove_itself_is_not_used() {
    let url = std::env::var("MSSQL_URL").unwrap();
    let (base, _) = url.split_once('?').unwrap_or((&url, ""));
    let options = MssqlOptions::parse(&format!("{base}?encrypt=on&trust=system")).unwrap();
    let refused = MssqlPool::new(options).check().await.unwrap_err();
    assert!(is_connect(refused.as_ref()), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_is_away_is_met_only_in_use() {
    let options = MssqlOptions::parse("mssql://a:b@127.0.0.1:1/d").unwrap();
    let pool = MssqlPool::new(options);
    let away = pool.check().await.unwrap_err();
    assert!(is_connect(away.as_ref()), "{away:?}");
    assert_eq!(pool.state().opened, 0);
}
