//! SIGKILL at random moments under load, of every service and of every engine.

use crate::engines::PrivateEngines;
use crate::load::{Attempt, Plan, Random, hot_posts, load, settle};
use crate::messages::Messages;
use crate::wait::pause;
use crate::world::{System, World};

/// `SOCIAL_CHAOS_ROUNDS` kills of each; 1 where nothing is said.
fn rounds() -> u64 {
    let rounds = std::env::var("SOCIAL_CHAOS_ROUNDS").ok();
    rounds.map_or(1, |rounds| rounds.parse().unwrap())
}

/// `SOCIAL_CHAOS_SEED`, or another one each time; told, so that the moments can be tried again.
fn seed() -> u64 {
    let seed = std::env::var("SOCIAL_CHAOS_SEED").ok();
    let seed = seed.map_or_else(
        || getrandom::u64().unwrap() >> 40,
        |seed| seed.parse().unwrap(),
    );
    eprintln!("SOCIAL_CHAOS_SEED={seed}");
    seed
}

#[test]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
fn what_was_acknowledged_is_everywhere_once_whichever_service_is_killed() {
    let seed = seed();
    let mut random = Random(seed);
    let system = System::start();
    under_load(system, seed, |system, messages| {
        for round in 0..rounds() {
            system.kill_services(&mut random, round, messages);
        }
    });
}

/// The engines are the test's own, started by `compose/up`: those that the environment names are others' too. MongoDB's
/// stand-in may be killed as `mongod` may: what it acknowledges as journaled is in its write-ahead log on the disk.
#[test]
#[ignore = "needs COMPOSE_KILLABLE"]
fn what_was_acknowledged_is_everywhere_once_whichever_engine_is_killed() {
    let seed = seed();
    let mut random = Random(seed);
    let engines = PrivateEngines::start();
    let system = System::start_in(World::on(engines.addresses()));
    under_load(system, seed, |system, messages| {
        for round in 0..rounds() {
            for engine in shuffled(&mut random, engines.names()) {
                messages.send(&system.world, 5);
                pause(random.millis(200, 1_500));
                let gone = random.millis(0, 3_000);
                eprintln!("round {round}: killing {engine}, for {gone:?} and its start");
                engines.kill_and_restart(engine, gone);
                // Nobody starts the services again: each comes back by itself.
                system.recovers();
            }
            system.kill_services(&mut random, round, messages);
        }
    });
}

/// Lets clients write while `chaos` goes on; then checks everything.
fn under_load(mut system: System, seed: u64, chaos: impl FnOnce(&mut System, &mut Messages)) {
    let (hot, mut attempts) = hot_posts(&mut system.commands(), seed, 4);
    let plan = Plan::new(seed, hot.clone());
    let mut messages = Messages::new(seed, hot);
    let mut random = Random(seed);
    let address = system.command_api.address;
    let (written, ()) = load(address, &plan, || {
        chaos(&mut system, &mut messages);
        messages.send(&system.world, 5);
        pause(random.millis(1_000, 2_000));
    });
    attempts.extend(written);
    system.check(&mut attempts, &messages);
    let verified = system.replay(&["verify"]).expect_success();
    assert!(verified.stdout.contains(" 0 differ"), "{verified:?}");
    system.end();
}

const SERVICES: [&str; 5] = ["command-api", "relay", "projector", "query-api", "activity"];

fn shuffled<'a>(random: &mut Random, mut names: Vec<&'a str>) -> Vec<&'a str> {
    for last in (1..names.len()).rev() {
        let other = usize::try_from(random.below(last as u64 + 1)).unwrap();
        names.swap(last, other);
    }
    names
}

impl System {
    /// Each service once: SIGKILL, and started again.
    fn kill_services(&mut self, random: &mut Random, round: u64, messages: &mut Messages) {
        for victim in shuffled(random, SERVICES.to_vec()) {
            messages.send(&self.world, 5);
            pause(random.millis(200, 1_500));
            eprintln!("round {round}: killing {victim}");
            let service = self.service(victim);
            service.kill();
            pause(random.millis(0, 1_000));
            service.restart();
        }
    }

    /// Waits until all services, still the same processes, are ready.
    fn recovers(&mut self) {
        for service in SERVICES {
            let service = self.service(service);
            service.ready();
            service.assert_running();
        }
    }

    /// Everything that must hold once all services run again: of what clients were told, of the topic, of the read model, of
    /// the second consumer.
    pub(crate) fn check(&mut self, attempts: &mut [Attempt], messages: &Messages) {
        self.check_beside(attempts, messages, 0);
    }

    /// The same, where `others` are in the log beside these.
    pub(crate) fn check_beside(
        &mut self,
        attempts: &mut [Attempt],
        messages: &Messages,
        others: usize,
    ) {
        self.recovers();
        settle(&mut self.commands(), attempts);
        let told = messages.answered(&self.world);
        let history = self.world.history();
        let by_message = messages.check(&history, &told);
        history.check_attempts(attempts, by_message + others);
        let recount = history.recount();
        recount.check_handles();
        self.reaches(&history.token());
        recount.check_queries(&mut self.queries(), &history.token());
        self.world.check_topic(&history);
        self.check_activity(&history);
    }
}
