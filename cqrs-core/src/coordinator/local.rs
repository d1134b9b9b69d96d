//! What this instance is at: the claims that it holds, and the intents.
//!
//! A row of the ledger that this instance owns and that is not in here belongs to nobody any more: its caller went
//! away. It may be taken over at once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::envelope::{CommandId, RequestHash};
use crate::time::Timestamp;

type Map<V> = Mutex<BTreeMap<CommandId, V>>;

#[derive(Default)]
pub(super) struct Local {
    claims: Map<Running>,
    /// By command, the attempt that its row is held as, once it is.
    intents: Map<Option<u32>>,
}

/// A claim as it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running {
    pub(super) request: RequestHash,
    /// When it was received, where its row is entered by the first write.
    pub(super) later: Option<Timestamp>,
    /// The attempt that the row is held as; `None` while it was not entered.
    pub(super) attempt: Option<u32>,
    /// Whether its finish is on its way.
    pub(super) landed: bool,
}

/// Dropped, the command is claimed no longer.
pub(super) struct Claiming {
    local: Arc<Local>,
    command: CommandId,
}

/// Dropped, nobody is at the command's intent any longer.
pub(super) struct Intending {
    local: Arc<Local>,
    command: CommandId,
}

impl Local {
    /// Begins to claim `command`; the request of whoever is at it already, where somebody is.
    pub(super) fn claim(
        self: &Arc<Self>,
        command: CommandId,
        request: RequestHash,
        later: Option<Timestamp>,
    ) -> Result<Claiming, RequestHash> {
        match lock(&self.claims).entry(command) {
            Entry::Occupied(running) => Err(running.get().request),
            Entry::Vacant(vacant) => {
                vacant.insert(Running {
                    request,
                    later,
                    attempt: None,
                    landed: false,
                });
                Ok(Claiming {
                    local: Arc::clone(self),
                    command,
                })
            }
        }
    }

    /// How the claim of `command` stands, where there is one.
    pub(super) fn running(&self, command: CommandId) -> Option<Running> {
        lock(&self.claims).get(&command).copied()
    }

    /// The request and time of `command`, where its claim was put off and its row was not entered yet.
    pub(super) fn put_off(&self, command: CommandId) -> Option<(RequestHash, Timestamp)> {
        let running = self.running(command).filter(|c| c.attempt.is_none())?;
        Some((running.request, running.later?))
    }

    /// The row of `command` is held as `attempt`.
    pub(super) fn holds(&self, command: CommandId, attempt: u32) {
        if let Some(running) = lock(&self.claims).get_mut(&command) {
            running.attempt = Some(attempt);
        }
    }

    /// The finish of `command` is on its way.
    pub(super) fn landed(&self, command: CommandId) {
        if let Some(running) = lock(&self.claims).get_mut(&command) {
            running.landed = true;
        }
    }

    /// Begins to work at the intent of `command`; `None` where somebody does.
    pub(super) fn intend(self: &Arc<Self>, command: CommandId) -> Option<Intending> {
        match lock(&self.intents).entry(command) {
            Entry::Occupied(_) => None,
            Entry::Vacant(vacant) => {
                vacant.insert(None);
                Some(Intending {
                    local: Arc::clone(self),
                    command,
                })
            }
        }
    }

    /// Every row that is held, with its attempt.
    pub(super) fn held(&self) -> Vec<(CommandId, u32)> {
        let claims = lock(&self.claims);
        let claims = claims.iter().filter_map(|(id, c)| Some((*id, c.attempt?)));
        let mut held: Vec<_> = claims.collect();
        let intents = lock(&self.intents);
        held.extend(intents.iter().filter_map(|(id, i)| Some((*id, (*i)?))));
        held.sort_unstable();
        held.dedup();
        held
    }
}

impl Claiming {
    pub(super) fn command(&self) -> CommandId {
        self.command
    }
}

impl Intending {
    pub(super) fn command(&self) -> CommandId {
        self.command
    }

    /// The row is held as `attempt`.
    pub(super) fn holds(&self, attempt: u32) {
        lock(&self.local.intents).insert(self.command, Some(attempt));
    }
}

impl Drop for Claiming {
    fn drop(&mut self) {
        lock(&self.local.claims).remove(&self.command);
    }
}

impl Drop for Intending {
    fn drop(&mut self) {
        lock(&self.local.intents).remove(&self.command);
    }
}

impl fmt::Debug for Claiming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(f)
    }
}

fn lock<V>(map: &Map<V>) -> MutexGuard<'_, BTreeMap<CommandId, V>> {
    // Nothing panics under these locks; a poisoned one is as good.
    map.lock().unwrap_or_else(PoisonError::into_inner)
}
