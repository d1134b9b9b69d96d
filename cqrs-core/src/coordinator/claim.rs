//! Claiming and settling commands.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::envelope::{CommandId, RequestHash};
use crate::ledger::{Claimed, Ledger, LedgerError, ReservedValue, Settlement};
use crate::log::{AppendError, Appended, EventLog, RecordedCommit};
use crate::mutants::mutant;
use crate::stream::StreamName;
use crate::time::{Timer, Timestamp};

use super::append::MISSING;
use super::local::Claiming;
use super::recover::Recovered;
use super::{
    Coordinator, Entered, Entry, Footing, IntentError, IntentStore, Known, KnownState, Landed,
    LoggedAnswer, Stored,
};

/// How often a claim looks again at a row that changed under it.
const ROUNDS: u32 = 8;

/// The right to decide a command of a [`Coordinator`]; dropping it lets the command go.
///
/// What is dropped unsettled may have landed: the next attempt, of whichever instance, is at least the second. In this process it
/// can begin at once, elsewhere when the lease is over.
#[derive(Debug)]
pub struct CoordinatorClaim {
    claiming: Claiming,
    request: RequestHash,
    time: Timestamp,
    right: Right,
}

#[derive(Debug, Clone, Copy)]
enum Right {
    /// The row is ours, as this attempt.
    Held(u32),
    /// The row is entered by the first write, which notes the attempt in [`Local`](super::local::Local).
    Later,
    /// It landed; there is nothing to decide, only an answer to be made again.
    Landed,
}

fn away(source: impl Into<crate::BoxError>) -> LedgerError {
    LedgerError::Store {
        source: source.into(),
    }
}

fn ledger(error: IntentError) -> LedgerError {
    match error {
        IntentError::Overloaded => LedgerError::Overloaded,
        error => away(error),
    }
}

impl<L: EventLog, I: IntentStore, T: Timer> Ledger for Coordinator<L, I, T> {
    type Claim = CoordinatorClaim;

    async fn claim(
        &self,
        command: CommandId,
        request: RequestHash,
        time: Timestamp,
    ) -> Result<Claimed<CoordinatorClaim>, LedgerError> {
        let claiming = match self.begin(command, request, None) {
            Ok(claiming) => claiming,
            Err(elsewhere) => return Ok(elsewhere),
        };
        for _ in 0..ROUNDS {
            let entered = self.enter(command, request, time).await;
            let known = match entered.map_err(ledger)? {
                Entered::Granted => {
                    return Ok(self.granted(claiming, request, time, 1));
                }
                Entered::Known(known) => known,
            };
            if known.request != Some(request) {
                return Ok(Claimed::KeyReused);
            }
            let time = known.time;
            match self.found(command, request, known).await? {
                Found::Answered(answer) => return Ok(Claimed::Answered(answer)),
                Found::Reused => return Ok(Claimed::KeyReused),
                Found::Running => return Ok(Claimed::Running),
                Found::TakenOver(attempt) => {
                    return Ok(self.granted(claiming, request, time, attempt));
                }
                Found::Landed(attempt) => {
                    return Ok(Claimed::Granted {
                        claim: CoordinatorClaim {
                            claiming,
                            request,
                            time,
                            right: Right::Landed,
                        },
                        attempt: attempt.max(2),
                        time,
                    });
                }
                Found::Changed => {}
            }
        }
        Ok(Claimed::Running)
    }

    fn claim_later(
        &self,
        command: CommandId,
        request: RequestHash,
        time: Timestamp,
    ) -> Option<Claimed<CoordinatorClaim>> {
        Some(match self.begin(command, request, Some(time)) {
            Err(elsewhere) => elsewhere,
            Ok(claiming) => Claimed::Granted {
                claim: CoordinatorClaim {
                    claiming,
                    request,
                    time,
                    right: Right::Later,
                },
                attempt: 1,
                time,
            },
        })
    }

    async fn settle(
        &self,
        claim: CoordinatorClaim,
        settlement: Settlement,
    ) -> Result<(), LedgerError> {
        let command = claim.claiming.command();
        let intents = &self.inner.intents;
        let held = match claim.right {
            Right::Held(attempt) => Some(attempt),
            Right::Later => self.inner.local.running(command).and_then(|c| c.attempt),
            Right::Landed => match settlement {
                Settlement::Landed | Settlement::LetGo => return Ok(()),
                Settlement::Answered { .. } => return Err(away(MISSING)),
            },
        };
        match (held, settlement) {
            // Nothing was written under this claim; where another's landed, the fold knows.
            (None, Settlement::Landed | Settlement::LetGo) => Ok(()),
            (Some(_), Settlement::Landed) => self.landed_unseen(command).await,
            (Some(attempt), Settlement::LetGo) => {
                intents.let_go(command, attempt).await.map_err(ledger)
            }
            (attempt, Settlement::Answered { answer, stream }) => {
                let entry = Entry {
                    command,
                    request: Some(claim.request),
                    time: claim.time,
                    attempt,
                };
                let late = attempt.is_some_and(|attempt| attempt > 1);
                if let Some(stream) = stream.filter(|_| late)
                    && !mutant("answer a later attempt past the log")
                {
                    self.log_answer(&entry, &stream, &answer).await?;
                    self.copied(entry, &answer).await;
                    return Ok(());
                }
                let (entry, answer) = (&entry, &answer);
                let stored = self.standing(move |footing| async move {
                    intents.answer(entry, answer, &footing).await
                });
                match stored.await.map_err(ledger)? {
                    Stored::Stored => Ok(()),
                    Stored::Known(_) => Err(LedgerError::NotClaimed),
                }
            }
        }
    }

    async fn owner(&self, value: &ReservedValue) -> Result<Option<StreamName>, LedgerError> {
        self.footing().await.map_err(ledger)?;
        for _ in 0..ROUNDS {
            let holder = self.inner.intents.holder(value).await.map_err(ledger)?;
            let Some(holder) = holder else {
                return Ok(None);
            };
            let owner = (!holder.pending).then_some(holder.stream);
            let Some(open) = holder.open else {
                return Ok(owner);
            };
            // The intent may have landed, and take or free the value.
            let found = self.find(open.command).await?;
            let Some(landed) = found.filter(|found| LoggedAnswer::of(found).is_none()) else {
                return Ok(owner);
            };
            self.finish_now(&landed).await?;
        }
        Err(away("the value's owner changes too fast"))
    }
}

/// What a row that was there before means for whoever claims it.
enum Found {
    Answered(Bytes),
    /// The id is in the log, asked for otherwise.
    Reused,
    Running,
    /// Ours, as this attempt.
    TakenOver(u32),
    /// In the log; the row was at this attempt.
    Landed(u32),
    /// Look again.
    Changed,
}

impl<L: EventLog, I: IntentStore, T: Timer> Coordinator<L, I, T> {
    /// Begins to claim `command` in this process, unless it runs in it.
    fn begin(
        &self,
        command: CommandId,
        request: RequestHash,
        later: Option<Timestamp>,
    ) -> Result<Claiming, Claimed<CoordinatorClaim>> {
        let begun = self.inner.local.claim(command, request, later);
        begun.map_err(|held| match held == request {
            true => Claimed::Running,
            false => Claimed::KeyReused,
        })
    }

    /// Enters the row of a command whose claim was put off.
    pub(super) async fn enter(
        &self,
        command: CommandId,
        request: RequestHash,
        time: Timestamp,
    ) -> Result<Entered, IntentError> {
        let entry = &Entry {
            command,
            request: Some(request),
            time,
            attempt: None,
        };
        let (intents, lease) = (&self.inner.intents, self.lease());
        let claim = move |footing| async move { intents.claim(entry, lease, &footing).await };
        let entered = self.standing(claim).await?;
        if entered == Entered::Granted {
            self.inner.local.holds(command, 1);
        }
        Ok(entered)
    }

    fn granted(
        &self,
        claiming: Claiming,
        request: RequestHash,
        time: Timestamp,
        attempt: u32,
    ) -> Claimed<CoordinatorClaim> {
        self.inner.local.holds(claiming.command(), attempt);
        let right = Right::Held(attempt);
        Claimed::Granted {
            claim: CoordinatorClaim {
                claiming,
                request,
                time,
                right,
            },
            attempt,
            time,
        }
    }

    async fn found(
        &self,
        command: CommandId,
        request: RequestHash,
        known: Known,
    ) -> Result<Found, LedgerError> {
        let attempt = known.attempt;
        match known.state {
            KnownState::Answered(answer) => return Ok(Found::Answered(answer)),
            KnownState::Done => return Ok(Found::Landed(attempt)),
            KnownState::Claimed { .. } | KnownState::Intent(_) => {}
        }
        if let Some(commit) = self.find(command).await? {
            if commit.header.request != Some(request) {
                return Ok(Found::Reused);
            }
            if let Some(LoggedAnswer { answer }) = LoggedAnswer::of(&commit) {
                self.copied(Entry::of(&commit.header), &answer).await;
                return Ok(Found::Answered(answer));
            }
            if let Some(landed) = Landed::of(&commit) {
                self.inner.finishes.push(landed);
            }
            return Ok(Found::Landed(attempt));
        }
        match known.state {
            KnownState::Intent(open) => match self.recover(&open, None).await.map_err(away)? {
                Recovered::Finished | Recovered::Dropped => Ok(Found::Changed),
                Recovered::Held(_) => Ok(Found::Running),
            },
            KnownState::Claimed { owner, left }
                if self.abandoned(command, attempt, owner, left) =>
            {
                let (lease, intents) = (self.lease(), &self.inner.intents);
                let taken = self.standing(move |footing| async move {
                    intents.take_over(command, attempt, lease, &footing).await
                });
                match taken.await.map_err(ledger)? {
                    true => Ok(Found::TakenOver(attempt + 1)),
                    false => Ok(Found::Running),
                }
            }
            _ => Ok(Found::Running),
        }
    }

    /// Writes the answer of a later attempt into the log: from then on no earlier one's append can land.
    async fn log_answer(
        &self,
        entry: &Entry,
        target: &StreamName,
        answer: &Bytes,
    ) -> Result<(), LedgerError> {
        let partitions = self.inner.log.partitions();
        let commit = LoggedAnswer::commit(entry, target, partitions, answer).map_err(away)?;
        match self.inner.log.append(commit).await {
            Ok(Appended {
                repeated: false, ..
            }) => Ok(()),
            // Another attempt's events or answer were faster.
            Ok(_) | Err(AppendError::KeyReused) => Err(LedgerError::NotClaimed),
            Err(AppendError::Overloaded) => Err(LedgerError::Overloaded),
            Err(error) => Err(away(error)),
        }
    }

    /// Copies an answer that stands in the log into the ledger, where its row is still open.
    ///
    /// No grant, so it asks for no footing: the log has decided.
    pub(super) async fn copy_answer(
        &self,
        mut entry: Entry,
        answer: &Bytes,
    ) -> Result<(), IntentError> {
        let intents = &self.inner.intents;
        let footing = Footing::none(intents.session());
        entry.attempt = None;
        for _ in 0..ROUNDS {
            match intents.answer(&entry, answer, &footing).await? {
                Stored::Known(known) if matches!(known.state, KnownState::Claimed { .. }) => {
                    entry.attempt = Some(known.attempt);
                }
                // What is an intent's is its recovery's.
                Stored::Stored | Stored::Known(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Copies an answer at once; where that fails, the fold does it.
    async fn copied(&self, entry: Entry, answer: &Bytes) {
        if let Err(error) = self.copy_answer(entry, answer).await {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, command_id = %entry.command, "left an answer to the fold");
        }
    }

    /// Whether nobody decides a `CLAIMED` row any more: its lease is over, or it was ours and its caller went away.
    pub(super) fn abandoned(
        &self,
        command: CommandId,
        attempt: u32,
        owner: Uuid,
        left: Duration,
    ) -> bool {
        let running = self.inner.local.running(command);
        let held = running.is_some_and(|running| running.attempt == Some(attempt));
        left.is_zero() || (owner == self.inner.instance && !held)
    }

    /// Sends a finish on its way for a commit that was found in the log, unless its append did.
    async fn landed_unseen(&self, command: CommandId) -> Result<(), LedgerError> {
        let running = self.inner.local.running(command);
        if !running.is_some_and(|running| running.landed)
            && let Some(landed) = self.find(command).await?.as_ref().and_then(Landed::of)
        {
            self.inner.finishes.push(landed);
        }
        Ok(())
    }

    async fn find(&self, command: CommandId) -> Result<Option<RecordedCommit>, LedgerError> {
        self.inner.log.find_commit(command).await.map_err(away)
    }

    async fn finish_now(&self, commit: &RecordedCommit) -> Result<(), LedgerError> {
        let landed: Vec<_> = Landed::of(commit).into_iter().collect();
        self.inner.intents.finish(&landed).await.map_err(ledger)
    }
}
