//! Which records a consumer takes.

use crate::position::Position;

/// What to do with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// It is the next one: use it.
    Take,
    /// It was taken before: drop it.
    Repeat,
    /// Something before it is missing: do not use it. Wait for the relay to repeat, or read the log.
    Hole,
}

/// The rule by which a consumer of one partition sees every event once, in order: take only the next
/// (position, index).
///
/// # Example
///
/// ```
/// use cqrs_core::{Accept, Position, Sequencer};
///
/// let mut sequencer = Sequencer::after(Position::new(4));
/// let five = Position::new(5);
/// assert_eq!(sequencer.accept(five, 1, 2), Accept::Hole);
/// assert_eq!(sequencer.accept(five, 0, 2), Accept::Take);
/// assert_eq!(sequencer.accept(five, 0, 2), Accept::Repeat);
/// assert_eq!(sequencer.done(), Position::new(4));
/// assert_eq!(sequencer.accept(five, 1, 2), Accept::Take);
/// assert_eq!(sequencer.done(), five);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequencer {
    position: Position,
    index: u32,
}

impl Sequencer {
    /// One that has taken everything up to `done`, the end of a commit.
    #[must_use]
    pub const fn after(done: Position) -> Self {
        Self {
            position: done.next(),
            index: 0,
        }
    }

    /// The last commit that was taken whole: where a checkpoint may stand.
    #[must_use]
    pub const fn done(&self) -> Position {
        Position::new(self.position.get().saturating_sub(1))
    }

    /// The (position, index) that is taken next.
    #[must_use]
    pub const fn next(&self) -> (Position, u32) {
        (self.position, self.index)
    }

    /// Judges event `index` (from 0) of the `count` events of the commit at `position`.
    ///
    /// On [`Accept::Take`] the next one is expected from now on. One whose `index` is not below its `count` is
    /// malformed and never taken.
    pub fn accept(&mut self, position: Position, index: u32, count: u32) -> Accept {
        let (next, record) = ((self.position, self.index), (position, index));
        if record < next {
            return Accept::Repeat;
        }
        if record > next || index >= count {
            return Accept::Hole;
        }
        if index + 1 == count {
            *self = Self::after(position);
        } else {
            self.index += 1;
        }
        Accept::Take
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Any commits, published with any prefix repeated any number of times, are taken once and in order.
        #[test]
        fn repeats_in_order_are_taken_once(
            counts in prop::collection::vec(1u32..4, 1..20),
            restarts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        ) {
            let all: Vec<(u64, u32, u32)> = (1u64..)
                .zip(&counts)
                .flat_map(|(p, &n)| (0..n).map(move |i| (p, i, n)))
                .collect();
            let mut published = Vec::new();
            let mut done = 0;
            for restart in restarts {
                // Begin anywhere up to what was published, as after a lost checkpoint, and go on a while.
                let from = restart.index(done + 1);
                let to = (from + 7).min(all.len());
                published.extend_from_slice(&all[from..to]);
                done = done.max(to);
            }
            published.extend_from_slice(&all[done..]);
            let mut sequencer = Sequencer::after(Position::START);
            let mut taken = Vec::new();
            for (position, index, count) in published {
                match sequencer.accept(Position::new(position), index, count) {
                    Accept::Take => taken.push((position, index, count)),
                    Accept::Repeat => {}
                    Accept::Hole => prop_assert!(false, "no hole was published"),
                }
            }
            prop_assert_eq!(taken, all);
        }

        /// Whatever comes, what is taken is a prefix without hole or repeat.
        #[test]
        fn nothing_is_taken_out_of_turn(records in prop::collection::vec((1u64..5, 0u32..3), 0..60)) {
            let mut sequencer = Sequencer::after(Position::START);
            let mut taken = Vec::new();
            for (position, index) in records {
                if sequencer.accept(Position::new(position), index, 2) == Accept::Take {
                    taken.push((position, index));
                }
            }
            let due: Vec<_> = (0..taken.len() as u64).map(|n| (n / 2 + 1, (n % 2) as u32)).collect();
            prop_assert_eq!(taken, due);
        }
    }
}
