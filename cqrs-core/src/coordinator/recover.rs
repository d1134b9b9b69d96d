//! Bringing an intent to its end, whoever opened it.

use std::time::Duration;

use crate::BoxError;
use crate::ledger::ReservedValue;
use crate::log::{AppendError, Appended, Commit, EventLog};
use crate::mutants::mutant;
use crate::time::Timer;
use crate::version::Version;

use super::local::Intending;
use super::wire::{self, Damaged};
use super::{Coordinator, Entry, IntentError, IntentStore, Landed, LoggedAnswer, OpenIntent};

/// What became of an open intent.
pub(super) enum Recovered {
    /// Its commit is in the log, and the ledger says so.
    Finished,
    /// It can never land; its values are free.
    Dropped,
    /// Somebody else is at it, for this long at most.
    Held(Duration),
}

/// Why an intent is still open. Somebody will try again.
#[derive(Debug, thiserror::Error)]
#[error("could not settle an open intent")]
pub(super) struct Unsettled {
    #[source]
    source: BoxError,
}

impl From<Damaged> for Unsettled {
    fn from(source: Damaged) -> Self {
        let source = source.into();
        Self { source }
    }
}

impl From<IntentError> for Unsettled {
    fn from(source: IntentError) -> Self {
        let source = source.into();
        Self { source }
    }
}

fn unsettled(source: impl Into<BoxError>) -> Unsettled {
    Unsettled {
        source: source.into(),
    }
}

impl<L: EventLog, I: IntentStore, T: Timer> Coordinator<L, I, T> {
    /// Settles `open`, unless somebody is still at it.
    ///
    /// Whether its slot is taken is told by inserting the very commit: the log answers with its place, also where an
    /// earlier insert landed; or with a conflict. Only a stream that is *past* the slot is a reason to drop.
    ///
    /// `own` where the caller is at this command's intent already.
    pub(super) async fn recover(
        &self,
        open: &OpenIntent,
        own: Option<&Intending>,
    ) -> Result<Recovered, Unsettled> {
        let command = open.command;
        let (log, intents) = (&self.inner.log, &self.inner.intents);
        let found = log.find_commit(command).await.map_err(unsettled)?;
        let answered = found.as_ref().and_then(|found| {
            let LoggedAnswer { answer } = LoggedAnswer::of(found)?;
            Some((Entry::of(&found.header), answer))
        });
        if let Some(landed) = found.as_ref().and_then(Landed::of) {
            intents.finish(&[landed]).await?;
            return Ok(Recovered::Finished);
        }
        let ours = open.owner == self.inner.instance;
        let mut begun = None;
        if own.is_none() {
            begun = self.inner.local.intend(command);
        }
        let Some(intending) = own.or(begun.as_ref()) else {
            return Ok(Recovered::Held(open.left));
        };
        if !open.left.is_zero() && !ours {
            return Ok(Recovered::Held(open.left));
        }
        let (lease, seen) = (self.lease(), open.attempt);
        let taken = self.standing(move |footing| async move {
            intents.take_over(command, seen, lease, &footing).await
        });
        if !taken.await? {
            return Ok(Recovered::Held(Duration::ZERO));
        }
        let attempt = seen + 1;
        intending.holds(attempt);
        if let Some((entry, answer)) = answered {
            let given_up = self.give_up(open, attempt).await?;
            self.copy_answer(entry, &answer).await?;
            return Ok(given_up);
        }
        if open.contested || mutant("release a reservation on absent") {
            return self.give_up(open, attempt).await;
        }
        let commit = wire::decode(&open.commit)?;
        match self.roll_forward(commit).await {
            Ok(landed) => {
                intents.finish(&[landed]).await?;
                Ok(Recovered::Finished)
            }
            Err(error) if never_lands(&error) => self.give_up(open, attempt).await,
            Err(error) => Err(unsettled(error)),
        }
    }

    /// Inserts a commit, or finds that it was.
    async fn roll_forward(&self, commit: Commit) -> Result<Landed, AppendError> {
        let appended = self.inner.log.append(commit.clone()).await?;
        self.landed(&commit, appended).await
    }

    /// What the ledger keeps of a commit that the log acknowledged; [`AppendError::NotClaimed`] where what stands there is
    /// its command's answer.
    pub(super) async fn landed(
        &self,
        commit: &Commit,
        appended: Appended,
    ) -> Result<Landed, AppendError> {
        if appended.repeated {
            // Perhaps another attempt's, with other reservations: what stands in the log counts.
            let command = commit.header.command_id;
            let found = self.inner.log.find_commit(command).await;
            let found = found.map_err(|source| AppendError::Store {
                stream: commit.stream.clone(),
                source: source.into(),
            })?;
            if found.as_ref().and_then(LoggedAnswer::of).is_some() {
                return Err(AppendError::NotClaimed);
            }
            if let Some(landed) = found.as_ref().and_then(Landed::of) {
                return Ok(landed);
            }
        }
        let mut landed = Landed::expected(commit);
        landed.stand(appended);
        Ok(landed)
    }

    async fn give_up(&self, open: &OpenIntent, attempt: u32) -> Result<Recovered, Unsettled> {
        let intents = &self.inner.intents;
        if !intents.drop_intent(open.command, attempt).await? {
            return Ok(Recovered::Held(Duration::ZERO));
        }
        // Nobody decides it until its client asks again.
        intents.let_go(open.command, attempt).await?;
        tracing::debug!(command_id = %open.command, "dropped an intent that cannot land");
        Ok(Recovered::Dropped)
    }
}

/// Whether a commit that expects an exact version, and was so refused, can never be in the log.
///
/// Its earlier inserts may still be under way, but the slot is taken.
fn never_lands(error: &AppendError) -> bool {
    match error {
        AppendError::Conflict {
            expected: crate::ExpectedVersion::Exact(slot),
            actual,
            ..
        } => actual > slot,
        AppendError::KeyReused | AppendError::NotClaimed => true,
        _ => false,
    }
}

impl Landed {
    /// What will be kept of `commit`, once it [stands](Self::stand).
    pub(super) fn expected(commit: &Commit) -> Self {
        let sorted = |values: &[ReservedValue]| {
            let mut values = values.to_vec();
            values.sort_unstable();
            values.dedup();
            values
        };
        Self {
            command: commit.header.command_id,
            request: commit.header.request,
            time: commit.header.time,
            stream: commit.stream.clone(),
            before: Version::EMPTY,
            version: Version::new(commit.events.len() as u64),
            reserve: sorted(&commit.reservations.reserve),
            release: sorted(&commit.reservations.release),
        }
    }

    /// The log acknowledged it there.
    pub(super) fn stand(&mut self, appended: Appended) {
        let events = self.version.get() - self.before.get();
        self.before = Version::new(appended.version.get().saturating_sub(events));
        self.version = appended.version;
    }
}
