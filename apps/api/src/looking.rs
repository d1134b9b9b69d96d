//! Waiting for a store that cannot tell how far it is: one asks for all who wait.
//!
//! Else everybody who waits would ask, and a store under load would be asked the more the later it is.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{LogPosition, Position};
use tokio::sync::watch;

/// How soon it is asked again while something moves …
const FIRST: Duration = Duration::from_millis(1);
/// … and how late while nothing does.
const LONGEST: Duration = Duration::from_millis(20);

/// How far a read model is, as it was last seen. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Looking(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: watch::Sender<Seen>,
    waiting: watch::Sender<usize>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// By partition; nothing before the first look.
    positions: Vec<Position>,
    /// How often there was no answer.
    failures: u64,
}

impl Seen {
    fn has(&self, at: LogPosition) -> bool {
        let position = self.positions.get(usize::from(at.partition.index()));
        position.is_some_and(|position| *position >= at.position)
    }

    /// Whether there is no such partition, where nobody can wait for anything.
    fn lacks(&self, at: LogPosition) -> bool {
        !self.positions.is_empty() && usize::from(at.partition.index()) >= self.positions.len()
    }
}

/// Somebody who waits.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn on(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

impl Looking {
    /// Asks again and again, while somebody waits. Never ends.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves those who wait to their deadlines.
    pub async fn run<F, E>(&self, ask: impl Fn() -> F)
    where
        F: Future<Output = Result<Vec<Position>, E>>,
    {
        let Shared { seen, waiting } = &*self.0;
        let mut wanted = waiting.subscribe();
        let mut pause = FIRST;
        loop {
            if *wanted.borrow_and_update() > 0 {
                tokio::time::sleep(pause).await;
            } else if wanted.wait_for(|waiting| *waiting > 0).await.is_err() {
                // The sender lives as long as `self`.
                return;
            }
            let moved = match ask().await {
                Ok(positions) => seen.send_if_modified(|seen| {
                    let moved = seen.positions != positions;
                    seen.positions = positions;
                    moved
                }),
                // Whoever waits asks for himself, and is told.
                Err(_) => {
                    seen.send_modify(|seen| seen.failures += 1);
                    false
                }
            };
            pause = if moved {
                FIRST
            } else {
                (pause * 3 / 2).min(LONGEST)
            };
        }
    }

    /// Whether `at` was reached when it was last looked.
    pub(crate) fn has(&self, at: LogPosition) -> bool {
        self.0.seen.borrow().has(at)
    }

    /// Completes once `at` is reached, there is no such partition, or there was no answer.
    pub(crate) async fn reached(&self, at: LogPosition) {
        let Shared { seen, waiting } = &*self.0;
        let mut changes = seen.subscribe();
        let failures = changes.borrow().failures;
        let _waiting = Waiting::on(waiting);
        // The sender lives as long as `self`, so that the wait cannot fail.
        let _ = changes
            .wait_for(|seen| seen.has(at) || seen.lacks(at) || seen.failures > failures)
            .await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use cqrs_core::Partition;

    use super::*;

    fn at(partition: u16, position: u64) -> LogPosition {
        LogPosition::new(Partition::new(partition), Position::new(position))
    }

    /// Runs `looking` on a store that moves by one in its second partition each time it is asked; how often that was.
    fn run(looking: &Looking) -> Arc<AtomicU64> {
        let asked = Arc::new(AtomicU64::new(0));
        let (looking, counter) = (looking.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            let ask = || {
                let asked = counter.fetch_add(1, Ordering::AcqRel) + 1;
                async move {
                    match asked {
                        7 => Err("away"),
                        _ => Ok(vec![Position::START, Position::new(asked)]),
                    }
                }
            };
            looking.run(ask).await;
        });
        asked
    }

    #[tokio::test(start_paused = true)]
    async fn one_asks_for_all_and_only_while_somebody_waits() {
        let looking = Looking::default();
        let asked = run(&looking);
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(asked.load(Ordering::Acquire), 0);
        assert!(!looking.has(at(1, 1)));
        let waits = [3, 5, 2].map(|position| looking.reached(at(1, position)));
        for wait in waits {
            wait.await;
        }
        assert!(looking.has(at(1, 5)) && !looking.has(at(1, 6)));
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert!(asked.load(Ordering::Acquire) <= 6);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_where_there_is_no_such_partition() {
        let looking = Looking::default();
        let asked = run(&looking);
        looking.reached(at(2, 1)).await;
        assert_eq!(asked.load(Ordering::Acquire), 1);
        assert!(!looking.has(at(2, 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_without_an_answer_is_told_to_those_who_wait() {
        let looking = Looking::default();
        let asked = run(&looking);
        looking.reached(at(0, 1)).await;
        assert_eq!(asked.load(Ordering::Acquire), 7);
        assert!(!looking.has(at(0, 1)));
    }
}
