//! An event that cannot be understood, in the middle of traffic.

use cqrs_core::{
    Actor, AppendToLog, CommandId, Commit, CommitHeader, Encoding, EventData, EventType,
    ExpectedVersion, Reservations, StreamName, Timestamp, Version,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::get;
use crate::load::{Attempt, Plan, edit_by_author, hot_posts, load};
use crate::wait::until;
use crate::world::System;

const SEED: u64 = 6;

#[test]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
fn a_poisonous_event_stops_its_stream_and_no_other() {
    let mut system = System::start();
    let (mut hot, mut attempts) = hot_posts(&mut system.commands(), SEED, 6);
    system.is_current(&attempts);
    let (broken, refused) = (hot.pop().unwrap(), hot.pop().unwrap());
    let store = system.world.store();
    // What is in the log and makes no sense, and what only today's tables refuse.
    let (written, poison) = load(system.command_api.address, &Plan::new(SEED, hot), || {
        let append = |version, message| {
            let commit = edited(&broken, version, message);
            system.world.runtime.block_on(store.append(commit)).unwrap()
        };
        let poison = [
            append(1, json!({"text": 1})),
            append(2, json!({"message": "after"})),
        ];
        let refuse =
            "ALTER TABLE rm_1.social_post ADD CONSTRAINT readable CHECK (message <> 'refused')";
        system.world.sql(refuse);
        let edit = |message| edit_by_author(&mut system.commands(), &refused, message);
        attempts.push(edit("refused"));
        until("two streams to be parked", || {
            match system.projector.metric("projector_parked_streams") {
                Some(2.0) => Ok(()),
                other => Err(format!("{other:?} streams are parked")),
            }
        });
        // Not before: a slice with both edits writes the row once, as the tables accept it.
        attempts.push(edit("accepted"));
        let refused_tokens: Vec<_> = attempts[6..].iter().filter_map(Attempt::token).collect();
        let (_, current) = hot_posts(&mut system.commands(), SEED + 1, 8);
        system.is_current(&current);
        attempts.extend(current);
        system.check_parked(&broken, poison.map(|commit| commit.at.to_string()));
        system.check_parked(&refused, refused_tokens);
        poison
    });
    let (reads, writes) = (attempts[..6].to_vec(), attempts[8..].to_vec());
    system.is_current(&[reads, writes, written.clone()].concat());
    attempts.extend(written);

    let (broken, refused) = (format!("post-{broken}"), format!("post-{refused}"));
    let told = system.replay(&["parked", "list"]).expect_success().stdout;
    assert!(told.contains(&broken) && told.contains(&refused), "{told}");
    system
        .world
        .sql("ALTER TABLE rm_1.social_post DROP CONSTRAINT readable");
    // The one can be read now, the other cannot.
    let retried = system.replay(&["parked", "retry"]);
    assert_eq!(retried.code, Some(1), "{retried:?}");
    let left = system.replay(&["parked", "list"]).expect_success().stdout;
    assert!(left.contains(&broken) && !left.contains(&refused), "{left}");
    let drop = ["parked", "drop", &broken, "--reason", "made by a test"];
    system.replay(&drop).expect_success();

    let history = system.world.history();
    history.check_attempts(&attempts, 2);
    system.is_current(&attempts);
    let token = history.token();
    let mut understood = history;
    for commit in poison {
        understood = understood.without(commit.at);
    }
    understood
        .recount()
        .check_queries(&mut system.queries(), &token);
    system.check_activity(&understood);
    system.world.runtime.block_on(store.close());
    system.end();
}

/// An edit of `post`, whatever `payload` says.
fn edited(post: &str, version: u64, payload: Value) -> Commit {
    let id = Uuid::from_u128(0x6000 + u128::from(version));
    Commit {
        stream: StreamName::new("post", &post).unwrap(),
        expected: ExpectedVersion::Exact(Version::new(version)),
        header: CommitHeader {
            command_id: CommandId::new(id),
            request: None,
            actor: Actor::parse("ada").unwrap(),
            time: Timestamp::from_millis(1_700_000_000_000),
            correlation_id: id,
            causation_id: id,
            trace: None,
        },
        events: vec![EventData {
            event_type: EventType::new("post-edited", 1),
            encoding: Encoding::Json,
            payload: payload.to_string().into(),
        }],
        reservations: Reservations::none(),
    }
}

impl System {
    /// The post is as it was, nobody is told that it reflects what is parked, and the service says so.
    fn check_parked(&self, post: &str, parked: impl IntoIterator<Item = String>) {
        let (client, path) = (&mut self.queries(), format!("/v1/posts/{post}"));
        for token in parked {
            let behind = client.send(&get(&path).at(&token, 1));
            behind.expect_problem(503, "behind");
        }
        assert_eq!(
            client.send(&get(&path)).expect(200).value()["message"],
            "hot"
        );
        let ready = self.projector.client().send(&get("/readyz")).expect(200);
        assert!(String::from_utf8_lossy(&ready.body).contains("parked_streams"));
    }
}
