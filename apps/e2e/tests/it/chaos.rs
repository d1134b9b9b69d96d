//! SIGKILL at random moments under load, of every service and, where the test may, of every engine.

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

/// With `SOCIAL_CHAOS_ENGINES="kafka postgres mongo"` these engines are killed too: the test then starts its own, by
/// `compose/up`, and leaves those that the environment names alone.
#[test]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
fn what_was_acknowledged_is_everywhere_once_whoever_is_killed() {
    let seed = seed();
    let engines = PrivateEngines::wanted();
    let mut system = System::start_in(match &engines {
        Some(engines) => World::on(engines.addresses()),
        None => World::new(),
    });
    let (hot, mut attempts) = hot_posts(&mut system.commands(), seed, 4);
    let plan = Plan::new(seed, hot.clone());
    let mut messages = Messages::new(seed, hot);
    let mut random = Random(seed);
    let address = system.command_api.address;
    let (written, ()) = load(address, &plan, || {
        for round in 0..rounds() {
            for victim in shuffled(&mut random, SERVICES) {
                messages.send(&system.world, 5);
                pause(random.millis(200, 1_500));
                eprintln!("round {round}: killing a {victim}");
                let service = system.service(victim);
                service.kill();
                pause(random.millis(0, 1_000));
                service.restart();
            }
            for engine in engines.iter().flat_map(PrivateEngines::names) {
                messages.send(&system.world, 5);
                pause(random.millis(200, 1_500));
                eprintln!("round {round}: killing {engine}");
                engines.as_ref().unwrap().kill_and_restart(engine);
            }
        }
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

fn shuffled<const N: usize>(
    random: &mut Random,
    mut names: [&'static str; N],
) -> [&'static str; N] {
    for last in (1..N).rev() {
        let other = usize::try_from(random.below(last as u64 + 1)).unwrap();
        names.swap(last, other);
    }
    names
}

impl System {
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
        for service in SERVICES {
            let service = self.service(service);
            service.assert_running();
            service.ready();
        }
        settle(&mut self.commands(), attempts);
        let told = messages.answered(&self.world);
        let history = self.world.history();
        let by_message = messages.check(&history, &told);
        history.check_attempts(attempts, by_message + others);
        let recount = history.recount();
        recount.check_handles();
        recount.check_queries(&mut self.queries(), &history.token());
        self.world.check_topic(&history);
        self.check_activity(&history);
    }
}
