//! Commands of many callers on few streams, through two executors, over a log that fails: drawn from a seed.
//!
//! The seed decides who is polled next, whose caller goes away, which calls of the log fail and how. A failing seed
//! reproduces: put it in place of the range.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::task::{Context, Waker};

use cqrs_core::testing::{Faults, Faulty, SeededRandom};
use cqrs_core::{
    Codec, Command, CommandId, Decide, DispatchError, Envelope, Executor, ExecutorOptions, Handler,
    Identity, LandedMark, MemoryStore, Outcome, Random, ReadLog, RecordedCommit, Version,
};

use super::{Add, Added, Begin, Receipt, Tally, TallyEvent, TooMuch, envelope, stream};

const STREAMS: [&str; 3] = ["a", "b", "c"];
const COMMANDS: usize = 40;

type Log = Faulty<MemoryStore>;

/// What a caller was told in the end; nothing where it went away, or gave up.
type Answer = Result<Receipt, TooMuch>;

/// One command, and each answer that was given to it.
struct Asked {
    id: CommandId,
    stream: &'static str,
    /// `None` for a beginning.
    by: Option<u64>,
    /// Whether a second caller asks under the same id.
    twice: bool,
    answers: Vec<Answer>,
}

struct World {
    random: SeededRandom,
    store: MemoryStore,
    executors: [Executor<Tally, Log>; 2],
    asked: RefCell<Vec<Asked>>,
}

impl World {
    fn new(seed: u64) -> Self {
        let random = SeededRandom::new(seed);
        let store = MemoryStore::new(2);
        let faults = Faults::seeded(seed ^ 0xfa17, random.next_u64() % 50);
        let log = Faulty::new(store.clone(), faults);
        // So small that streams are evicted, and queues run over.
        let options = ExecutorOptions {
            cache_bytes: 2_500,
            shards: 1,
            stream_queue: 6,
            ..ExecutorOptions::default()
        };
        let executor = || Executor::new(log.clone(), Codec::new(), options);
        Self {
            executors: [executor(), executor()],
            random,
            store,
            asked: RefCell::default(),
        }
    }

    fn below(&self, limit: usize) -> usize {
        (self.random.next_u64() % limit as u64) as usize
    }

    /// Draws a command and its callers.
    fn ask(&self) -> Vec<Pin<Box<dyn Future<Output = ()> + '_>>> {
        let mut envelope = envelope();
        envelope.landed = LandedMark::watched();
        let twice = self.below(5) == 0;
        if twice || self.below(2) == 0 {
            envelope.identity = Identity::Derived;
        }
        let stream = STREAMS[self.below(STREAMS.len())];
        let by = match self.below(8) {
            0 => None,
            1 => Some(0),
            2 => Some(2_000_000),
            _ => Some(10_000 * (1 + self.below(12) as u64)),
        };
        let nth = self.asked.borrow().len();
        self.asked.borrow_mut().push(Asked {
            id: envelope.command_id,
            stream,
            by,
            twice,
            answers: Vec::new(),
        });
        let callers = 0..if twice { 2 } else { 1 };
        let caller = |_| -> Pin<Box<dyn Future<Output = ()> + '_>> {
            let (executor, envelope) = (&self.executors[self.below(2)], envelope.clone());
            Box::pin(async move {
                let answer = match by {
                    Some(by) => self.insist(executor, || Add(stream, by), envelope).await,
                    None => self.insist(executor, || Begin(stream), envelope).await,
                };
                self.asked.borrow_mut()[nth].answers.extend(answer);
            })
        };
        callers.map(caller).collect()
    }

    /// Sends a command until it is answered, a few times at most, as a patient caller does.
    async fn insist<C>(
        &self,
        executor: &Executor<Tally, Log>,
        command: impl Fn() -> C,
        mut envelope: Envelope,
    ) -> Option<Answer>
    where
        C: Command<Reply = Receipt, Error = TooMuch>,
        Tally: Decide<C>,
    {
        for _ in 0..4 {
            match executor.handle(command(), &envelope).await {
                Ok(receipt) => {
                    let landed = receipt.outcome == Outcome::Committed;
                    assert!(!landed || envelope.landed.is_set());
                    return Some(Ok(receipt));
                }
                Err(DispatchError::Refused(refusal)) => return Some(Err(refusal)),
                // Nothing happened.
                Err(DispatchError::Conflict { .. } | DispatchError::Overloaded) => {}
                // A fresh id promises that nothing landed before, unless it says otherwise.
                Err(DispatchError::Unavailable { .. }) => {
                    if envelope.identity == Identity::Fresh || self.below(2) == 0 {
                        envelope.attempt += 1;
                    }
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        None
    }

    /// Polls the callers in any order until all are answered or gone.
    fn run(&self) {
        let mut callers: Vec<_> = (0..COMMANDS).flat_map(|_| self.ask()).collect();
        let mut polls = 0;
        while !callers.is_empty() {
            polls += 1;
            assert!(polls < 100_000, "it never ends");
            let next = self.below(callers.len());
            let gone = self.below(80) == 0;
            let mut cx = Context::from_waker(Waker::noop());
            if gone || callers[next].as_mut().poll(&mut cx).is_ready() {
                drop(callers.swap_remove(next));
            }
        }
    }

    /// However it went, both executors serve every stream in the end.
    async fn settle(&self) {
        for executor in &self.executors {
            for id in STREAMS {
                let mut tries = 0;
                let receipt = loop {
                    tries += 1;
                    assert!(tries < 200, "stream {id} is stuck");
                    // Nothing to do, so that the log stays as it is.
                    if let Ok(receipt) = executor.handle(Add(id, 0), &envelope()).await {
                        break receipt;
                    }
                };
                let end = self.history(id).await.last().map_or(0, |c| c.version.get());
                assert_eq!((receipt.outcome, receipt.version), (Outcome::Nothing, end));
            }
        }
    }

    async fn history(&self, id: &str) -> Vec<RecordedCommit> {
        let stream = stream(id);
        let read = self.store.read_stream(&stream, Version::EMPTY, 10_000);
        read.await.unwrap()
    }

    /// Holds the answers against the log; gives them back.
    async fn check(&self) -> Vec<Asked> {
        let asked = self.asked.take();
        let by_id: BTreeMap<_, _> = asked.iter().map(|asked| (asked.id, asked)).collect();
        let codec = Codec::<TallyEvent>::new();
        let mut landed = BTreeMap::new();
        for id in STREAMS {
            let (mut version, mut sum) = (Version::EMPTY, 0);
            let mut sums = BTreeSet::from([0]);
            let mut ends = BTreeSet::from([0]);
            for commit in self.history(id).await {
                assert_eq!(commit.version_before(), version, "versions are dense");
                version = commit.version;
                let command = by_id[&commit.header.command_id];
                assert_eq!(command.stream, id);
                let [event] = &commit.events[..] else {
                    panic!("{commit:?}")
                };
                let TallyEvent::Added(Added { by }) = codec.decode(event).unwrap();
                assert_eq!(by, command.by.unwrap_or(1));
                assert!(command.by.is_some() || sum == 0, "it was no beginning");
                sum += by;
                assert!(sum <= 1_000_000, "it should have been refused");
                sums.insert(sum);
                ends.insert(version.get());
                let again = landed.insert(command.id, commit);
                assert!(again.is_none(), "it landed twice");
            }
            for command in asked.iter().filter(|asked| asked.stream == id) {
                let commit = landed.get(&command.id);
                for answer in &command.answers {
                    check_answer(command, answer, commit, &sums, &ends);
                }
            }
        }
        drop(by_id);
        asked
    }
}

/// An answer agrees with the log: with the command's own commit, or with a state that was durable at some time.
fn check_answer(
    command: &Asked,
    answer: &Answer,
    commit: Option<&RecordedCommit>,
    sums: &BTreeSet<u64>,
    ends: &BTreeSet<u64>,
) {
    match answer {
        Ok(receipt) if receipt.outcome == Outcome::Committed => {
            let commit = commit.unwrap_or_else(|| panic!("{receipt:?} is not in the log"));
            assert_eq!(
                (receipt.version, receipt.at),
                (commit.version.get(), commit.at)
            );
        }
        Ok(receipt) => {
            assert_eq!((receipt.outcome, command.by), (Outcome::Nothing, Some(0)));
            assert!(commit.is_none() && ends.contains(&receipt.version));
        }
        Err(TooMuch(sum)) => {
            // Whoever asks twice may be refused first and find room later.
            assert!(commit.is_none() || command.twice, "refused, and in the log");
            let decided_on = sum - command.by.unwrap_or(0);
            assert!(sums.contains(&decided_on), "{decided_on} never was the sum");
        }
    }
}

#[tokio::test]
async fn whatever_fails_acknowledged_commands_are_in_the_log_once_and_as_they_were_answered() {
    let (mut committed, mut refused, mut nothing, mut unanswered) = (0, 0, 0, 0);
    for seed in 0..400 {
        let world = World::new(seed);
        let run = std::panic::AssertUnwindSafe(async {
            world.run();
            world.settle().await;
            world.check().await
        });
        let ended = futures_util::FutureExt::catch_unwind(run).await;
        let Ok(asked) = ended else {
            panic!("seed {seed}, as said above");
        };
        for asked in asked {
            match asked.answers.first() {
                Some(Ok(receipt)) if receipt.outcome == Outcome::Committed => committed += 1,
                Some(Ok(_)) => nothing += 1,
                Some(Err(_)) => refused += 1,
                None => unanswered += 1,
            }
        }
    }
    // All kinds of ends were met, and most commands were answered.
    assert!(committed > 4_000 && refused > 1_000 && nothing > 500 && unanswered > 500);
}
