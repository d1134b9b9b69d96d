//! Several processes on one ledger: each has a pool of its own, as if it were alone.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use cqrs_core::testing::InstantTimer;
use cqrs_core::{
    Actor, Advance, AppendError, AppendToLog, CommandClaims, CommandId, Commit, CommitHeader,
    Coordinator, CoordinatorOptions, Encoding, Entered, Entry, Envelope, EventData, EventType,
    ExpectedVersion, Footing, Intended, Intent, Intents, KnownState, Landed, Lease, Ledger,
    LedgerFold, MemoryStore, Partition, Position, ReadLog, RequestHash, Reservations,
    ReservedValue, Stored, StreamName, Timestamp, Version,
};
use cqrs_mssql::{MssqlIntents, MssqlPool};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::kit::options;

/// Ledgers on the same tables, with a connection each; the checkpoint of one partition stands.
async fn apart(processes: usize) -> Vec<MssqlIntents> {
    let options = options();
    let apart: Vec<_> = (0..processes)
        .map(|_| MssqlIntents::new(MssqlPool::new(options.clone())))
        .collect();
    let advance = Advance {
        partition: Partition::new(0),
        from: None,
        to: Position::START,
    };
    assert!(apart[0].fold(advance, &[]).await.unwrap());
    for intents in &apart {
        intents.pool().check().await.unwrap();
    }
    apart
}

fn footing(intents: &MssqlIntents) -> Footing {
    Footing {
        session: intents.session(),
        folded: [Position::START].into(),
    }
}

fn lease(process: usize) -> Lease {
    Lease {
        owner: Uuid::from_u128(process as u128 + 1),
        span: Duration::from_secs(3_600),
    }
}

fn entry(number: u64) -> Entry {
    Entry {
        command: CommandId::new(Uuid::from_u64_pair(3, number)),
        request: Some(RequestHash::new([1; 32])),
        time: Timestamp::from_millis(1),
        attempt: None,
    }
}

fn stream(id: impl std::fmt::Display) -> StreamName {
    StreamName::new("author", &id).unwrap()
}

fn handle(number: u64) -> ReservedValue {
    ReservedValue::new("handle", format!("h{number}"))
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn of_several_processes_one_gets_a_claim() {
    let apart = apart(4).await;
    for number in 0..10 {
        let (entry, apart) = (entry(number), &apart);
        let rivals = (0..4).map(async |process| {
            let intents = &apart[process];
            let standing = footing(intents);
            let entered = intents.claim(&entry, lease(process), &standing).await;
            entered.unwrap()
        });
        let entered = join_all(rivals).await;
        let granted = entered.iter().position(|e| *e == Entered::Granted).unwrap();
        for other in entered.iter().filter(|e| **e != Entered::Granted) {
            let owner = lease(granted).owner;
            assert!(
                matches!(other, Entered::Known(known)
                    if matches!(known.state, KnownState::Claimed { owner: o, .. } if o == owner)),
                "{entered:?}"
            );
        }
        assert_eq!(
            entered.iter().filter(|e| **e == Entered::Granted).count(),
            1
        );
    }
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn what_a_process_stored_the_next_one_finds() {
    let apart = apart(2).await;
    let (first, second) = (&apart[0], &apart[1]);
    let answer = Bytes::from_static(b"no");
    let stored = first.answer(&entry(1), &answer, &footing(first)).await;
    assert_eq!(stored.unwrap(), Stored::Stored);
    let (x, commit) = (stream("x"), Bytes::from_static(b"commit"));
    let entered = entry(2);
    let intent = Intent {
        entry: &entered,
        stream: &x,
        version: Version::EMPTY,
        commit: &commit,
        reserve: &[handle(1)],
    };
    let over = Lease {
        span: Duration::ZERO,
        ..lease(0)
    };
    let opened = first.intend(intent, over, &footing(first)).await.unwrap();
    assert_eq!(opened, Intended::Opened { attempt: 1 });
    let again = second.claim(&entry(1), lease(1), &footing(second)).await;
    assert!(matches!(again.unwrap(), Entered::Known(known)
            if known.state == KnownState::Answered(answer)));
    let expired = second.expired(10).await.unwrap();
    assert!(matches!(&expired[..], [open]
        if open.command == entry(2).command && open.commit == commit));
    let holder = second.holder(&handle(1)).await.unwrap().unwrap();
    assert!(holder.pending && holder.stream == x);
}

/// Their locks cross, so that some lose and are made again.
#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn batches_that_cross_are_all_done() {
    let apart = apart(2).await;
    let numbers = || 0..20_u64;
    for number in numbers() {
        let (entry, intents) = (entry(number), &apart[0]);
        let intent = Intent {
            entry: &entry,
            stream: &stream(number),
            version: Version::EMPTY,
            commit: &Bytes::from_static(b"commit"),
            reserve: &[handle(number)],
        };
        let opened = intents.intend(intent, lease(0), &footing(intents)).await;
        assert_eq!(opened.unwrap(), Intended::Opened { attempt: 1 });
    }
    let landed: Vec<_> = numbers()
        .map(|number| Landed {
            command: entry(number).command,
            request: entry(number).request,
            time: entry(number).time,
            stream: stream(number),
            before: Version::EMPTY,
            version: Version::new(1),
            reserve: vec![handle(number)],
            release: Vec::new(),
        })
        .collect();
    let reversed: Vec<_> = landed.iter().rev().cloned().collect();
    let advance = Advance {
        partition: Partition::new(0),
        from: Some(Position::START),
        to: Position::new(20),
    };
    let done = futures_util::join!(
        apart[0].finish(&landed),
        apart[1].finish(&reversed),
        apart[1].fold(advance, &reversed),
    );
    assert!(done.0.is_ok() && done.1.is_ok(), "{done:?}");
    assert!(done.2.unwrap(), "the checkpoint moved");
    assert_eq!(apart[0].expired(100).await.unwrap(), []);
    for number in numbers() {
        let holder = apart[0].holder(&handle(number)).await.unwrap().unwrap();
        assert_eq!((holder.stream, holder.pending), (stream(number), false));
    }
}

fn registration(number: u64, value: ReservedValue) -> Commit {
    let id = CommandId::new(Uuid::from_u64_pair(4, number));
    let envelope = Envelope::new(id, Actor::parse("ada").unwrap(), Timestamp::from_millis(1));
    Commit {
        stream: stream(number),
        expected: ExpectedVersion::NoStream,
        header: CommitHeader::from(&envelope),
        events: vec![EventData {
            event_type: EventType::new("registered", 1),
            encoding: Encoding::Json,
            payload: Bytes::from_static(b"{}"),
        }],
        reservations: Reservations {
            reserve: vec![value],
            release: Vec::new(),
        },
    }
}

/// 32 of them, after 8 handles, over four processes: each handle has one owner, the same in ledger and log.
#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn of_several_processes_one_registers_a_handle() {
    let (options, log) = (options(), MemoryStore::new(2));
    let processes: Vec<_> = (0..4)
        .map(|instance| {
            let intents = MssqlIntents::new(MssqlPool::new(options.clone()));
            let options = CoordinatorOptions {
                lease: Duration::ZERO,
                ..CoordinatorOptions::default()
            };
            let instance = Uuid::from_u128(instance + 1);
            Coordinator::new(log.clone(), intents, InstantTimer, instance, options)
        })
        .collect();
    let rivals = (0..32_u64).map(async |number| {
        let process = &processes[(number % 4) as usize];
        let commit = registration(number, handle(number % 8));
        loop {
            match process.append(commit.clone()).await {
                Ok(_) => return true,
                Err(AppendError::Reserved { .. }) => return false,
                Err(AppendError::Conflict { .. }) => {}
                Err(other) => panic!("unexpected: {other:?}"),
            }
        }
    });
    let registered = join_all(rivals).await;
    let mut owners = BTreeMap::new();
    for (number, _) in (0..).zip(registered).filter(|(_, registered)| *registered) {
        let other = owners.insert(number % 8, stream(number));
        assert_eq!(other, None, "of handle {}", number % 8);
    }
    assert_eq!(owners.len(), 8);
    let mut logged = 0;
    for partition in Partition::all(2) {
        let commits = log.read_partition(partition, Position::START, 1_000).await;
        logged += commits.unwrap().len();
    }
    assert_eq!(logged, 8);
    for process in &processes {
        while process.finish_some().await.unwrap() {}
    }
    for (number, owner) in owners {
        let told = processes[0].owner(&handle(number)).await.unwrap();
        assert_eq!(told, Some(owner));
    }
}
