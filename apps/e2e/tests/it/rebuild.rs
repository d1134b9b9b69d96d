//! The read model is rebuilt and put in its place while everybody writes and reads.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use crate::client::{get, write};
use crate::load::{EndOnDrop, Plan, hot_posts, load};
use crate::messages::Messages;
use crate::names::uuid;
use crate::process::command;
use crate::wait::until;
use crate::world::System;

const SEED: u64 = 5;
const READERS: u64 = 2;

#[test]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
fn a_rebuild_under_load_is_promoted_and_nobody_notices() {
    let mut system = System::start();
    let (hot, mut attempts) = hot_posts(&mut system.commands(), SEED, 4);
    let (plan, messages) = (Plan::new(SEED, hot.clone()), Messages::new(SEED, hot));
    let (written, reads) = load(system.command_api.address, &plan, || {
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let (system, ended) = (&system, &ended);
            let stop = EndOnDrop(ended);
            let readers: Vec<_> = (0..READERS)
                .map(|number| scope.spawn(move || write_and_read(system, number, ended)))
                .collect();
            until("some history", || match system.commits() {
                300.. => Ok(()),
                commits => Err(format!("{commits} commits")),
            });
            system.rebuild_and_go_back();
            drop(stop);
            readers
                .into_iter()
                .map(|reader| reader.join().unwrap())
                .sum::<usize>()
        })
    });
    attempts.extend(written);
    let verified = system.replay(&["verify"]).expect_success();
    assert!(verified.stdout.contains(" 0 differ"), "{verified:?}");
    system.check_beside(&mut attempts, &messages, reads);
}

impl System {
    fn commits(&self) -> u64 {
        let done = self.projector.metric("projector_position");
        done.map_or(0, |done| done as u64)
    }

    /// Rebuilds: killed halfway, then to its end. Then back to the version before, and to the new one again.
    fn rebuild_and_go_back(&self) {
        let mut killed = command("replay", &["rebuild"], &self.world.environment("replay"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let building = "SELECT FROM rm_control.model WHERE state = 'building'";
        until("the next version to be built", || {
            match self.world.sql(building).len() {
                0 => Err("nothing is being built".to_owned()),
                _ => Ok(()),
            }
        });
        killed.kill().unwrap();
        killed.wait().unwrap();
        let rebuilt = self.replay(&["rebuild"]).expect_success();
        for told in [" 0 differ", "version 2 is live"] {
            assert!(rebuilt.stdout.contains(told), "{rebuilt:?}");
        }
        let back = self.replay(&["rollback"]).expect_success();
        assert!(back.stdout.contains("version 1 is live"), "{back:?}");
        let again = self.replay(&["promote", "2"]).expect_success();
        assert!(again.stdout.contains("version 2 is live"), "{again:?}");
        self.replay(&["retire", "1"]).expect_success();
    }
}

/// Writes to a post of its own and reads it, with the token and without: no request fails, no answer is stale, and none is
/// older than the one before. How many commands that were.
fn write_and_read(system: &System, number: u64, ended: &AtomicBool) -> usize {
    let (mut commands, mut queries) = (system.commands(), system.queries());
    let (actor, post) = (
        format!("reader-{number}"),
        uuid(0x5000 + u128::from(number)),
    );
    let path = format!("/v1/posts/{post}");
    let body = json!({"id": post, "message": "0"});
    let mut answer = commands
        .send(&write(&actor, "POST", "/v1/posts", &body))
        .expect(201);
    let mut written = 1;
    while !ended.load(Ordering::Acquire) {
        let shown = queries
            .send(&get(&path).at(&answer.token(), 30))
            .expect(200);
        assert_eq!(shown.value()["version"], written, "stale");
        let body = json!({"message": format!("{written}")});
        let edit = write(&actor, "PUT", &format!("{path}/message"), &body);
        answer = commands.send(&edit).expect(200);
        let shown = queries.send(&get(&path)).expect(200).value();
        let version = shown["version"].as_u64().unwrap();
        assert!(
            version == written || version == written + 1,
            "back in time: {shown}"
        );
        written += 1;
    }
    usize::try_from(written).unwrap()
}
