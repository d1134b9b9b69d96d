//! The ledger: which commands were seen and what was answered, and who owns a value that must be unique.
//!
//! It arbitrates what one stream cannot. The commit point of a command with
//! events is their insert into the log, which the ledger never contradicts; that
//! of a refusal is the ledger's own write of the answer.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::BoxError;
use crate::envelope::{CommandId, RequestHash};
use crate::stream::StreamName;
use crate::time::Timestamp;

/// A value that at most one stream may own at a time: `handle:ada`.
///
/// Compared by bytes: normalise (case, Unicode form) before you build it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReservedValue {
    scope: Cow<'static, str>,
    value: String,
}

impl ReservedValue {
    /// `value` within `scope`; the same value in another scope is another value.
    #[must_use]
    pub fn new(scope: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        Self {
            scope: scope.into(),
            value: value.into(),
        }
    }

    /// What kind of value it is.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The value itself.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for ReservedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.scope, self.value)
    }
}

/// What a commit takes for its stream, and what it lets go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservations {
    /// Values that the stream owns from this commit on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserve: Vec<ReservedValue>,
    /// Values that the stream owns no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub release: Vec<ReservedValue>,
}

impl Reservations {
    /// Takes nothing and lets nothing go.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            reserve: Vec::new(),
            release: Vec::new(),
        }
    }

    /// Whether it neither takes nor lets go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reserve.is_empty() && self.release.is_empty()
    }
}

/// What claiming a command came to.
#[derive(Debug)]
pub enum Claimed<C> {
    /// It is yours to decide.
    Granted {
        /// Settle it; dropping it lets the command go, undecided.
        claim: C,
        /// 1 where no earlier attempt can have landed; from 2 on, look in the log before you decide.
        attempt: u32,
        /// When the command was first received: decide with this, so that every attempt decides alike.
        time: Timestamp,
    },
    /// It was answered before, without events; this is what was stored.
    Answered(Bytes),
    /// Somebody else is deciding it.
    Running,
    /// The id was used before for another request.
    KeyReused,
}

/// How a claimed command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Its events are in the log; the answer can be made again from there.
    Landed,
    /// It has no events; this answer is given from now on.
    Answered {
        /// The answer.
        answer: Bytes,
        /// The stream that it was decided on, where that is known; wanted of attempts from 2 on. A handler that
        /// names none ([`Envelope::target`](crate::Envelope::target)) appends nothing to a log under the command's id.
        stream: Option<StreamName>,
    },
    /// It was not decided. The next attempt decides.
    LetGo,
}

/// The ledger did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Its queue is full; nothing happened.
    #[error("the ledger's queue is full")]
    Overloaded,
    /// Another attempt holds the command; nothing happened. Claiming it tells what became of it.
    #[error("another attempt holds the command")]
    NotClaimed,
    /// The store failed; whether the call took effect is unknown. Calling again is safe.
    #[error("the ledger did not answer")]
    Store {
        /// What the store said.
        source: BoxError,
    },
}

/// Remembers commands and owners.
///
/// Only commands that may come again under one id are claimed; a fresh id
/// needs no ledger, its uniqueness in the log is enough.
pub trait Ledger: Send + Sync {
    /// The right to decide a command; dropping it lets the command go.
    type Claim: Send;

    /// Claims `command`, asked for as `request` and received at `time`.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: not claimed.
    fn claim(
        &self,
        command: CommandId,
        request: RequestHash,
        time: Timestamp,
    ) -> impl Future<Output = Result<Claimed<Self::Claim>, LedgerError>> + Send;

    /// Claims `command` without asking the store: its row is entered by the first write of whoever decides it.
    ///
    /// `None` where this ledger gains nothing by that: [claim](Self::claim) it. A granted one is attempt 1, decided with
    /// `time`; should the row turn out to be there, nothing was written, and the append or [`settle`](Self::settle)
    /// fails with `NotClaimed`: drop the claim, and claim the command.
    fn claim_later(
        &self,
        command: CommandId,
        request: RequestHash,
        time: Timestamp,
    ) -> Option<Claimed<Self::Claim>> {
        let _ = (command, request, time);
        None
    }

    /// Ends a claim. An answer is durable when this returns.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: give no answer; it may or may not have been stored.
    fn settle(
        &self,
        claim: Self::Claim,
        settlement: Settlement,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// The stream that owns `value`, if one does.
    ///
    /// # Errors
    ///
    /// [`LedgerError`]: not known.
    fn owner(
        &self,
        value: &ReservedValue,
    ) -> impl Future<Output = Result<Option<StreamName>, LedgerError>> + Send;
}
