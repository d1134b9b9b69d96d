//! The ledger: running claims in memory, answers and owners in tables.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cqrs_core::{
    Claimed, CommandId, Ledger, LedgerError, RequestHash, ReservedValue, Settlement, StreamName,
    Timestamp,
};
use foldhash::fast::FixedState;
use rusqlite::{Connection, OptionalExtension, params};

use crate::append;
use crate::error::{ReadFailure, WriteFailure};
use crate::store::{Shared, SqliteStore};

/// How often entries that were let go are looked through.
const FORGET_EVERY: usize = 1_024;

/// The right to decide a command; dropping it lets the command go.
#[derive(Debug)]
pub struct SqliteClaim {
    held: Held,
    request: RequestHash,
}

/// The claims of this process, which is the file's only one.
#[derive(Default)]
pub(crate) struct Claims {
    running: Mutex<HashMap<CommandId, Running, FixedState>>,
}

#[derive(Debug, Clone, Copy)]
enum Running {
    /// Somebody decides it, asked for as this.
    Held(RequestHash),
    /// Let go when this was the number of the writer's next job: an append of it may still wait.
    LetGo { at: u64 },
}

impl Claims {
    /// Nothing panics under this lock; a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, HashMap<CommandId, Running, FixedState>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An entry of [`Claims`].
struct Held {
    shared: Arc<Shared>,
    command: CommandId,
    settled: bool,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.command.fmt(f)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let at = self.shared.writes.next();
        let done = self.shared.done.load(Ordering::Acquire);
        let mut running = self.shared.claims.lock();
        if self.settled || done >= at {
            running.remove(&self.command);
            return;
        }
        running.insert(self.command, Running::LetGo { at });
        if running.len().is_multiple_of(FORGET_EVERY) {
            running.retain(|_, entry| match entry {
                Running::Held(_) => true,
                Running::LetGo { at } => *at > done,
            });
        }
    }
}

/// What the store remembers of a command.
enum Remembered {
    Nothing,
    Landed,
    Answered(Vec<u8>),
    KeyReused,
}

impl Ledger for SqliteStore {
    type Claim = SqliteClaim;

    async fn claim(
        &self,
        command: CommandId,
        request: RequestHash,
        time: Timestamp,
    ) -> Result<Claimed<SqliteClaim>, LedgerError> {
        let shared = self.shared();
        let behind_the_queue = {
            let mut running = shared.claims.lock();
            let earlier = running.get(&command).copied();
            if let Some(Running::Held(held)) = earlier {
                return Ok(match held == request {
                    true => Claimed::Running,
                    false => Claimed::KeyReused,
                });
            }
            running.insert(command, Running::Held(request));
            match earlier {
                Some(Running::LetGo { at }) => shared.done.load(Ordering::Acquire) < at,
                _ => false,
            }
        };
        let mut held = Held {
            shared: Arc::clone(shared),
            command,
            settled: false,
        };
        let look = move |connection: &Connection| remembered(connection, command, request);
        // An append of the earlier attempt may still wait: ask behind it.
        let found = if behind_the_queue {
            self.write(look).await.map_err(unwritten)?
        } else {
            self.read(look).await.map_err(unread)?
        };
        let attempt = match found {
            Remembered::Nothing => 1,
            Remembered::Landed => 2,
            Remembered::Answered(answer) => {
                held.settled = true;
                return Ok(Claimed::Answered(answer.into()));
            }
            Remembered::KeyReused => {
                held.settled = true;
                return Ok(Claimed::KeyReused);
            }
        };
        let claim = SqliteClaim { held, request };
        Ok(Claimed::Granted {
            claim,
            attempt,
            time,
        })
    }

    async fn settle(
        &self,
        mut claim: SqliteClaim,
        settlement: Settlement,
    ) -> Result<(), LedgerError> {
        match settlement {
            Settlement::LetGo => return Ok(()),
            Settlement::Landed => {}
            Settlement::Answered { answer, .. } => {
                let (command, request) = (claim.held.command, claim.request);
                let write = move |connection: &Connection| {
                    connection
                        .prepare_cached(
                            "INSERT INTO answers (command, request, answer) VALUES (?1, ?2, ?3)
                             ON CONFLICT DO NOTHING",
                        )?
                        .execute(params![
                            command.as_uuid().as_bytes().as_slice(),
                            request.as_bytes().as_slice(),
                            answer.as_ref(),
                        ])
                        .map(drop)
                };
                self.write(write).await.map_err(unwritten)?;
            }
        }
        claim.held.settled = true;
        Ok(())
    }

    async fn owner(&self, value: &ReservedValue) -> Result<Option<StreamName>, LedgerError> {
        let value = value.clone();
        let read = move |connection: &Connection| append::owner(connection, &value);
        self.read(read).await.map_err(unread)
    }
}

fn remembered(
    connection: &Connection,
    command: CommandId,
    request: RequestHash,
) -> rusqlite::Result<Remembered> {
    let command = command.as_uuid();
    let answered = connection
        .prepare_cached("SELECT request, answer FROM answers WHERE command = ?1")?
        .query_row([command.as_bytes().as_slice()], |row| {
            let same = row.get_ref(0)?.as_blob()? == request.as_bytes();
            Ok(match same {
                true => Remembered::Answered(row.get(1)?),
                false => Remembered::KeyReused,
            })
        })
        .optional()?;
    if let Some(answered) = answered {
        return Ok(answered);
    }
    let landed = connection
        .prepare_cached("SELECT request FROM commits WHERE command = ?1")?
        .query_row([command.as_bytes().as_slice()], |row| {
            let stored = row.get_ref(0)?.as_blob_or_null()?;
            Ok(match stored == Some(request.as_bytes()) {
                true => Remembered::Landed,
                false => Remembered::KeyReused,
            })
        })
        .optional()?;
    Ok(landed.unwrap_or(Remembered::Nothing))
}

fn unread(failure: ReadFailure<rusqlite::Error>) -> LedgerError {
    match failure {
        ReadFailure::Overloaded => LedgerError::Overloaded,
        other => LedgerError::Store {
            source: other.into(),
        },
    }
}

fn unwritten(failure: WriteFailure<rusqlite::Error>) -> LedgerError {
    match failure {
        WriteFailure::Overloaded => LedgerError::Overloaded,
        other => LedgerError::Store {
            source: other.into(),
        },
    }
}
