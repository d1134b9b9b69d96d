//! Many clients after few names, in processes that are stopped again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::{Either, join_all, select};

use super::fuse::{Fuse, Stopping};
use super::*;
use crate::follow::RunnerOptions;
use crate::position::{Partition, Position};
use crate::projection::{MemoryProjection, ProjectionRunner};
use crate::time::Random;

/// How many register at once, how much, and for how many names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowd {
    /// At once, spread over the processes.
    pub clients: u64,
    /// Processes, each stopped at random writes.
    pub processes: u64,
    /// In all, each of a stream of its own.
    pub registrations: u64,
    /// What they race for.
    pub names: u64,
    /// Another one stops elsewhere.
    pub seed: u64,
}

impl Crowd {
    /// 32 clients in four processes.
    #[must_use]
    pub const fn of(registrations: u64, names: u64, seed: u64) -> Self {
        Self {
            clients: 32,
            processes: 4,
            registrations,
            names,
            seed,
        }
    }

    /// As large as an argument says: `10000x1000` for 10,000 registrations of 1,000 names. `None` where it says anything else.
    #[must_use]
    pub fn parse(size: &str) -> Option<Self> {
        let (registrations, names) = size.split_once('x')?;
        let names = names.parse().ok().filter(|names| *names > 0)?;
        Some(Self::of(registrations.parse().ok()?, names, 7))
    }
}

/// As [`race`], in a size that tests bear.
pub async fn stopped_processes_race_for_names<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone + 'static,
    I: IntentStore + Clone,
{
    race(stores, Crowd::of(320, 32, 1)).await;
}

/// Every name that was asked for has exactly one owner, equal in ledger, log and read model; every answer was true.
///
/// Four of five clients ask again until they are answered, whatever stops meanwhile. The others leave what
/// they began to the sweeper. Leases are over as soon as they are given.
///
/// # Panics
///
/// Where that is not so.
pub async fn race<L, I>(stores: TwoStores<L, I>, crowd: Crowd)
where
    L: EventLog + Clone + 'static,
    I: IntentStore + Clone,
{
    let TwoStores { log, intents, .. } = stores;
    let contest = Contest {
        crowd,
        random: SeededRandom::new(crowd.seed),
        lives: AtomicU64::new(0),
        answers: Mutex::default(),
    };
    let processes = (0..crowd.processes).map(|nth| contest.serve(&log, &intents, nth));
    join_all(processes).await;
    let lives = contest.lives.load(Ordering::Relaxed);
    assert!(lives > 2 * crowd.processes, "only {lives} lives");

    let last = Process::start(&log, &intents, u128::MAX);
    last.settle().await;
    assert_eq!(intents.expired(10).await.unwrap(), [], "still open");
    let answers = contest.answers.into_inner();
    let answers = answers.unwrap();
    for (number, answer) in &answers {
        let command = contest.crowd.registration(*number);
        took_effect_once(&log, &command, answer).await;
    }

    let owners = owners_in_log(&log).await;
    for (name, plates) in &owners {
        assert_eq!(plates.len(), 1, "{name} is on {plates:?}");
        let owner = plates.first().cloned();
        assert_eq!(last.owner(name).await, owner, "the owner of {name}");
    }
    // Who was answered either has its name, or somebody else does.
    for number in answers.keys() {
        let name = crowd.name(*number);
        assert!(owners.contains_key(&name), "nobody has {name}");
    }
    assert_eq!(read_model(&log).await, owners);
}

struct Contest {
    crowd: Crowd,
    random: SeededRandom,
    /// How many processes were started.
    lives: AtomicU64,
    /// By registration, once it is known.
    answers: Mutex<BTreeMap<u64, Answer>>,
}

impl Crowd {
    fn name(&self, number: u64) -> String {
        // Neighbours, which ask at the same time, want the same names as often as others.
        let drawn = SeededRandom::new(self.seed ^ number.wrapping_mul(0x9e37_79b9)).next_u64();
        format!("n{}", drawn % self.names)
    }

    fn registration(&self, number: u64) -> Asked {
        let name = self.name(number);
        asked(
            number,
            by(number),
            Some(&stream(format!("p{number}"))),
            Some(&name),
        )
    }
}

fn by(number: u64) -> By {
    match number % 5 {
        0 => By::Nobody,
        _ => By::Client,
    }
}

impl Contest {
    /// One process after another, until its clients have had all of their answers.
    async fn serve<L, I>(&self, log: &L, intents: &I, nth: u64)
    where
        L: EventLog + Clone,
        I: IntentStore + Clone,
    {
        let Crowd {
            clients,
            processes,
            registrations,
            ..
        } = self.crowd;
        let own = (0..clients).filter(|client| client % processes == nth);
        // What each client is to ask next; outlives the process.
        let queues: Vec<_> = own
            .map(|client| {
                let numbers = (0..registrations).skip(client as usize);
                Mutex::new(numbers.step_by(clients as usize).peekable())
            })
            .collect();
        loop {
            let life = self.lives.fetch_add(1, Ordering::Relaxed) + 1;
            let fuse = Fuse::at(20 + i64::try_from(self.random.next_u64() % 200).unwrap());
            let log = Stopping {
                inner: log.clone(),
                fuse: fuse.clone(),
            };
            let intents = Stopping {
                inner: intents.clone(),
                fuse: fuse.clone(),
            };
            let process = Process::start(&log, &intents, u128::from(life));
            let clients = join_all(queues.iter().map(|queue| async {
                loop {
                    // A client that leaves its command to the sweeper does not come back to it.
                    let next = {
                        let mut queue = queue.lock().unwrap();
                        let nobodys = |number: &u64| by(*number) == By::Nobody;
                        queue.next_if(nobodys).or_else(|| queue.peek().copied())
                    };
                    let Some(number) = next else {
                        return;
                    };
                    self.register(&process, number).await;
                    queue.lock().unwrap().next_if_eq(&number);
                }
            }));
            match select(pin!(clients), pin!(fuse.blown())).await {
                Either::Left(_) => return,
                Either::Right(_) => {}
            }
        }
    }

    async fn register<L, I>(&self, process: &Process<L, I>, number: u64)
    where
        L: EventLog + Clone,
        I: IntentStore + Clone,
    {
        let command = self.crowd.registration(number);
        let answer = loop {
            match process.send(&command).await {
                Ok(changed) => break Ok(changed),
                Err(DispatchError::Taken { value }) => break Err(format!("{value} is taken")),
                Err(DispatchError::Conflict { .. } | DispatchError::InProgress) => {}
                Err(other) => panic!("unexpected: {other:?}"),
            }
        };
        let told = self.answers.lock().unwrap().insert(number, answer.clone());
        assert_eq!(
            told.unwrap_or_else(|| answer.clone()),
            answer,
            "{number}'s first answer"
        );
        process.coordinator.finish_some().await.unwrap();
    }
}

type Owners = BTreeMap<String, BTreeSet<StreamName>>;

async fn owners_in_log(log: &impl EventLog) -> Owners {
    let (mut owners, codec) = (Owners::new(), Codec::<PlateEvent>::new());
    for partition in Partition::all(log.partitions()) {
        let mut at = Position::START;
        loop {
            let slice = log.read_partition(partition, at, 500).await.unwrap();
            let Some(last) = slice.last() else {
                break;
            };
            at = last.at.position;
            for commit in &slice {
                for event in &commit.events {
                    if let PlateEvent::Named(named) = codec.decode(event).unwrap() {
                        let plates = owners.entry(named.name).or_default();
                        plates.insert(commit.stream.clone());
                    }
                }
            }
        }
    }
    owners
}

/// The same, as a projection has it.
async fn read_model<L: EventLog + Clone + 'static>(log: &L) -> Owners {
    let fold = |owners: &mut Owners, event: &PlateEvent, at: &crate::RecordedEvent<'_>| {
        if let PlateEvent::Named(named) = event {
            let plates = owners.entry(named.name.clone()).or_default();
            plates.insert(at.commit.stream.clone());
        }
        Ok(())
    };
    let model = MemoryProjection::of("plates", Codec::new(), Owners::new(), fold);
    let options = RunnerOptions::default();
    let runner = ProjectionRunner::new(log.clone(), model, InstantTimer, options);
    runner.catch_up(std::future::pending()).await.unwrap();
    runner.projection().read(Clone::clone)
}
