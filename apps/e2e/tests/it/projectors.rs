//! Several projectors: they join and leave under load, and one that was held still for long writes nothing that counts.

use std::time::Duration;

use crate::load::{Plan, hot_posts, load};
use crate::messages::Messages;
use crate::wait::pause;
use crate::world::System;

const SEED: u64 = 4;

#[test]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
fn projectors_that_join_leave_and_come_back_from_the_dead_count_everything_once() {
    let mut system = System::start();
    let (hot, mut attempts) = hot_posts(&mut system.commands(), SEED, 4);
    let plan = Plan::new(SEED, hot.clone());
    let messages = Messages::new(SEED, hot);
    let (written, ()) = load(system.command_api.address, &plan, || {
        let mut second = system.world.start("projector");
        let third = system.world.start("projector");
        second.ready();
        third.ready();
        // Longer than its group waits for a member: the others get its partitions, and it does not know.
        third.signal("STOP");
        pause(Duration::from_secs(13));
        let (_, current) = hot_posts(&mut system.commands(), SEED + 1, 8);
        system.is_current(&current);
        third.signal("CONT");
        second.end();
        pause(Duration::from_secs(2));
        system.projector.kill();
        pause(Duration::from_secs(1));
        system.projector.restart();
        attempts.extend(current);
        // Killed, as all that is left when the test ends.
        drop(third);
    });
    attempts.extend(written);
    system.check(&mut attempts, &messages);
}
