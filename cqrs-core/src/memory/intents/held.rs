//! Who holds which value.

use std::collections::{BTreeMap, BTreeSet};

use crate::envelope::CommandId;
use crate::ledger::ReservedValue;
use crate::stream::StreamName;
use crate::version::Version;

/// What is known of one value.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) stream: StreamName,
    pub(super) version: Version,
    /// The command whose intent holds it, until that is finished.
    pub(super) pending: Option<CommandId>,
}

/// The values that are held. `pending` has exactly those whose [`Held::pending`] is set.
#[derive(Clone, Default)]
pub(super) struct Values {
    held: BTreeMap<ReservedValue, Held>,
    pending: BTreeMap<CommandId, BTreeSet<ReservedValue>>,
}

impl Values {
    pub(super) fn get(&self, value: &ReservedValue) -> Option<&Held> {
        self.held.get(value)
    }

    /// Puts `held` in the place of whatever was known of `value`.
    pub(super) fn insert(&mut self, value: ReservedValue, held: Held) {
        self.remove(&value);
        if let Some(command) = held.pending {
            self.pending
                .entry(command)
                .or_default()
                .insert(value.clone());
        }
        self.held.insert(value, held);
    }

    pub(super) fn remove(&mut self, value: &ReservedValue) {
        let held = self.held.remove(value);
        if let Some(command) = held.and_then(|held| held.pending)
            && let Some(values) = self.pending.get_mut(&command)
        {
            values.remove(value);
            if values.is_empty() {
                self.pending.remove(&command);
            }
        }
    }

    /// The values that the intent of `command` holds.
    pub(super) fn pending_of(&self, command: CommandId) -> Vec<ReservedValue> {
        let values = self.pending.get(&command);
        values.into_iter().flatten().cloned().collect()
    }

    /// How many are pending.
    pub(super) fn pending(&self) -> usize {
        self.pending.values().map(BTreeSet::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_is_pending_is_found_by_its_command_until_it_is_confirmed_or_gone() {
        let value = |name: &str| ReservedValue::new("name", name);
        let command = |number| CommandId::new(Uuid::from_u128(number));
        let held = |pending| Held {
            stream: StreamName::parse("thing-1").unwrap(),
            version: Version::new(1),
            pending,
        };
        let mut values = Values::default();
        values.insert(value("b"), held(Some(command(1))));
        values.insert(value("a"), held(Some(command(1))));
        values.insert(value("c"), held(Some(command(2))));
        values.insert(value("d"), held(None));
        assert_eq!(values.pending_of(command(1)), [value("a"), value("b")]);
        assert_eq!(values.pending(), 3);
        values.insert(value("a"), held(None));
        assert_eq!(values.pending_of(command(1)), [value("b")]);
        values.insert(value("b"), held(Some(command(2))));
        assert_eq!(values.pending_of(command(1)), []);
        values.remove(&value("b"));
        values.remove(&value("b"));
        values.remove(&value("d"));
        assert_eq!(values.pending_of(command(2)), [value("c")]);
        assert!(
            values
                .get(&value("a"))
                .is_some_and(|held| held.pending.is_none())
        );
        assert!(values.get(&value("d")).is_none());
    }
}
