//! Which partitions are this consumer's.

use std::collections::BTreeMap;

use crate::position::Partition;

/// The partitions that a group gives to one consumer as of now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignment {
    /// Another number for each change; 0 before the first.
    pub number: u64,
    /// The partitions, each with its term: another number each time that it is assigned.
    pub partitions: BTreeMap<Partition, u64>,
}

impl Assignment {
    /// Gives `partition` to the consumer, for a new term; it may have had it before.
    pub fn assign(&mut self, partition: Partition) {
        self.number += 1;
        self.partitions.insert(partition, self.number);
    }

    /// Takes `partition` away.
    pub fn revoke(&mut self, partition: Partition) {
        self.number += 1;
        self.partitions.remove(&partition);
    }
}

/// Knows which partitions a consumer has, as they come and go.
pub trait Assigned: Send + Sync {
    /// The assignment, once its number is another than `seen`; that may be at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    fn changed(&self, seen: u64) -> impl Future<Output = Assignment> + Send;
}
