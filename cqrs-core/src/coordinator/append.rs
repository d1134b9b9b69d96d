//! Appending: past the ledger, or by way of an intent.

use std::future::ready;
use std::time::Duration;

use futures_util::future::Either;

use crate::envelope::CommandId;
use crate::log::{AppendError, AppendToLog, Appended, Commit, EventLog, ReadError};
use crate::mutants::mutant;
use crate::position::{LogPosition, Position};
use crate::stream::StreamName;
use crate::time::Timer;
use crate::version::{ExpectedVersion, Version};

use super::gates::Turn;
use super::local::Intending;
use super::recover::{Recovered, Unsettled};
use super::{
    Coordinator, Entered, Entry, Intended, Intent, IntentError, IntentStore, Known, KnownState,
    Landed, LoggedAnswer, OpenIntent, wire,
};

impl<L: EventLog, I: IntentStore, T: Timer> AppendToLog for Coordinator<L, I, T> {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        if !commit.reservations.is_empty() {
            let turn = self.inner.gates.enter(&commit.stream);
            return Either::Left(Either::Left(self.append_reserving(commit, turn)));
        }
        if self.must_be_admitted(&commit) {
            return Either::Right(Either::Left(ready(Err(AppendError::NotClaimed))));
        }
        if let Some(turn) = self.inner.gates.join(&commit.stream) {
            return Either::Left(Either::Right(self.append_behind(commit, turn)));
        }
        let noted = Noted::of(&commit);
        let appending = self.inner.log.append(commit);
        Either::Right(Either::Right(async move {
            let appended = appending.await?;
            self.noted(noted, appended).await
        }))
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        match self.inner.gates.join(stream) {
            None => Either::Left(self.inner.log.confirm(stream, expected)),
            Some(mut turn) => Either::Right(async move {
                turn.wait().await;
                let confirming = self.inner.log.confirm(stream, expected);
                drop(turn);
                confirming.await
            }),
        }
    }

    fn admit(
        &self,
        stream: &StreamName,
        command: CommandId,
        reserving: bool,
    ) -> Option<impl Future<Output = Result<(), AppendError>> + Send> {
        // The intent of a commit that reserves enters its row.
        let put_off = || self.inner.local.put_off(command);
        let reserving = reserving || mutant("append before the row is entered");
        let (request, time) = (!reserving).then(put_off).flatten()?;
        Some(async move {
            let entered = self.enter(command, request, time).await;
            match entered.map_err(|error| refused(stream, error))? {
                Entered::Granted => Ok(()),
                Entered::Known(_) => Err(AppendError::NotClaimed),
            }
        })
    }
}

/// A keyed commit without reservations, as its finish names it.
struct Noted(Option<Landed>);

impl Noted {
    fn of(commit: &Commit) -> Self {
        let keyed = commit.header.request.is_some();
        Self(keyed.then(|| Landed::expected(commit)))
    }
}

fn unknown(stream: &StreamName, source: impl Into<crate::BoxError>) -> AppendError {
    AppendError::Store {
        stream: stream.clone(),
        source: source.into(),
    }
}

fn refused(stream: &StreamName, error: IntentError) -> AppendError {
    match error {
        IntentError::Overloaded => AppendError::Overloaded,
        error => unknown(stream, error),
    }
}

/// What the row of a command, which was to be `CLAIMED` by us, means for its append.
enum Met {
    /// Its events are in the log.
    Landed(Appended),
    /// It is ours now, as this attempt.
    Ours(u32),
    /// An intent of it is open.
    Open(OpenIntent),
}

impl<L: EventLog, I: IntentStore, T: Timer> Coordinator<L, I, T> {
    /// Sends the finish of what the log acknowledged on its way.
    ///
    /// What stands there already may be the answer of a later attempt: then this one has not taken effect.
    async fn noted(
        &self,
        Noted(landed): Noted,
        appended: Appended,
    ) -> Result<Appended, AppendError> {
        let Some(mut landed) = landed else {
            return Ok(appended);
        };
        if appended.repeated {
            let found = self.inner.log.find_commit(landed.command).await;
            let found = found.map_err(|e| unknown(&landed.stream, e))?;
            if found.as_ref().and_then(LoggedAnswer::of).is_some() {
                return Err(AppendError::NotClaimed);
            }
        }
        landed.stand(appended);
        self.inner.local.landed(landed.command);
        self.inner.finishes.push(landed);
        Ok(appended)
    }

    /// Whether `commit`, which reserves nothing, would come before its row.
    fn must_be_admitted(&self, commit: &Commit) -> bool {
        let command = commit.header.command_id;
        commit.header.request.is_some()
            && self.inner.local.put_off(command).is_some()
            && !mutant("append before the row is entered")
    }

    /// A commit without reservations on a stream where one with them waits for the ledger.
    async fn append_behind(&self, commit: Commit, mut turn: Turn) -> Result<Appended, AppendError> {
        turn.wait().await;
        let noted = Noted::of(&commit);
        let appending = self.inner.log.append(commit);
        drop(turn);
        let appended = appending.await?;
        self.noted(noted, appended).await
    }

    async fn append_reserving(
        &self,
        mut commit: Commit,
        mut turn: Turn,
    ) -> Result<Appended, AppendError> {
        commit.check()?;
        turn.wait().await;
        let command = commit.header.command_id;
        let version = self.slot(&commit).await?;
        commit.expected = ExpectedVersion::Exact(version);
        let Some(intending) = self.inner.local.intend(command) else {
            return Err(AppendError::NotClaimed);
        };
        let attempt = match self.intend(&commit, version, &intending).await? {
            Opened::Landed(appended) => return Ok(appended),
            Opened::As(attempt) => attempt,
        };
        match self.inner.log.append(commit.clone()).await {
            Ok(appended) => {
                // Should this fail, the fold does it.
                let landed = self.landed(&commit, appended).await;
                if let Err(AppendError::NotClaimed) = landed {
                    self.withdraw(command, attempt).await;
                }
                let landed = landed?;
                self.inner.local.landed(command);
                self.inner.finishes.push(landed);
                Ok(appended)
            }
            Err(error @ AppendError::Store { .. })
                if !mutant("withdraw an intent of unknown outcome") =>
            {
                Err(error)
            }
            Err(definite) => {
                self.withdraw(command, attempt).await;
                Err(definite)
            }
        }
    }

    /// Drops an intent whose only insert was refused for good. Should this fail, the sweeper does it.
    async fn withdraw(&self, command: CommandId, attempt: u32) {
        if let Err(error) = self.inner.intents.drop_intent(command, attempt).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, command_id = %command, "left a refused intent to the sweeper");
        }
    }

    /// The version that `commit` was decided on, once that is durable.
    async fn slot(&self, commit: &Commit) -> Result<Version, AppendError> {
        let log = &self.inner.log;
        match commit.expected {
            ExpectedVersion::NoStream => Ok(Version::EMPTY),
            ExpectedVersion::Exact(version) => Ok(version),
            ExpectedVersion::After { version, .. } => {
                log.confirm(&commit.stream, commit.expected).await?;
                Ok(version)
            }
            ExpectedVersion::Any => {
                let at = log.confirm(&commit.stream, ExpectedVersion::Any).await?;
                if at.position == Position::START {
                    return Ok(Version::EMPTY);
                }
                let before = Position::new(at.position.get() - 1);
                let last = log.read_partition(at.partition, before, 1).await;
                let last = last.map_err(|e: ReadError| unknown(&commit.stream, e))?;
                Ok(last.first().map_or(Version::EMPTY, |last| last.version))
            }
        }
    }

    /// Opens the intent of `commit`, after whatever stands in its way has ended.
    async fn intend(
        &self,
        commit: &Commit,
        version: Version,
        intending: &Intending,
    ) -> Result<Opened, AppendError> {
        let (stream, command) = (&commit.stream, commit.header.command_id);
        let running = self.inner.local.running(command);
        let mut entry = Entry {
            command,
            request: commit.header.request,
            time: commit.header.time,
            attempt: running.and_then(|running| running.attempt),
        };
        let mut unclaimed = entry.request.is_some() && entry.attempt.is_none();
        let encoded = wire::encode(commit, version).map_err(|e| unknown(stream, e))?;
        let mut reserve = commit.reservations.reserve.clone();
        reserve.sort_unstable();
        reserve.dedup();
        let (lease, intents) = (self.lease(), &self.inner.intents);
        let mut waiting = Waiting::default();
        loop {
            let intended = self.standing(|footing| {
                let (entry, encoded, reserve) = (&entry, &encoded, &reserve);
                async move {
                    let intent = Intent {
                        entry,
                        stream,
                        version,
                        commit: encoded,
                        reserve,
                    };
                    intents.intend(intent, lease, &footing).await
                }
            });
            let open = match intended.await.map_err(|e| refused(stream, e))? {
                Intended::Opened { attempt } => {
                    intending.holds(attempt);
                    self.inner.local.holds(command, attempt);
                    return Ok(Opened::As(attempt));
                }
                Intended::Taken { .. } if mutant("append in spite of another owner") => {
                    return Ok(Opened::As(1));
                }
                Intended::Taken { value, owner } => {
                    return Err(AppendError::Reserved { value, owner });
                }
                Intended::Blocked(open) => open,
                Intended::Known(known) => match self.met(commit, &entry, unclaimed, known).await? {
                    Met::Landed(appended) => return Ok(Opened::Landed(appended)),
                    Met::Ours(attempt) => {
                        entry.attempt = Some(attempt);
                        self.inner.local.holds(command, attempt);
                        continue;
                    }
                    Met::Open(open) => {
                        // What we are at is this very intent.
                        (entry.attempt, unclaimed) = (None, false);
                        open
                    }
                },
            };
            let cleared = self.clear(&open, intending, &mut waiting).await;
            if !cleared.map_err(|e| unknown(stream, e))? {
                return Err(AppendError::Conflict {
                    stream: stream.clone(),
                    expected: commit.expected,
                    actual: version,
                });
            }
        }
    }

    /// Sees to it that `open` no longer stands in the way; `false` where it was waited for long enough.
    async fn clear(
        &self,
        open: &OpenIntent,
        intending: &Intending,
        waiting: &mut Waiting,
    ) -> Result<bool, Unsettled> {
        let options = &self.inner.options;
        let own = (open.command == intending.command()).then_some(intending);
        let Recovered::Held(left) = self.recover(open, own).await? else {
            return Ok(true);
        };
        if waiting.spent >= options.patience {
            return Ok(false);
        }
        waiting.rounds = waiting.rounds.saturating_add(1);
        let pause = options.poll.pause(waiting.rounds);
        // Not past the lease; and a lease that is over is somebody's who is just taking over.
        let pause = pause.min(left.max(options.poll.first));
        self.inner.timer.sleep(pause).await;
        waiting.spent += pause;
        Ok(true)
    }

    /// What to make of a row that is not `CLAIMED` by us as we thought.
    ///
    /// Where its claim was put off, another attempt is at it, or was: that is for the claim to deal with.
    async fn met(
        &self,
        commit: &Commit,
        entry: &Entry,
        unclaimed: bool,
        known: Known,
    ) -> Result<Met, AppendError> {
        let (stream, command) = (&commit.stream, entry.command);
        if known.request != entry.request {
            return Err(AppendError::KeyReused);
        }
        let found = self.inner.log.find_commit(command).await;
        if let Some(found) = found.map_err(|e| unknown(stream, e))? {
            if LoggedAnswer::of(&found).is_some() {
                return Err(AppendError::NotClaimed);
            }
            if let Some(landed) = Landed::of(&found) {
                self.inner.local.landed(command);
                self.inner.finishes.push(landed);
            }
            return Ok(Met::Landed(Appended {
                at: found.at,
                version: found.version,
                repeated: true,
            }));
        }
        let superseded = entry.attempt.is_some_and(|held| held != known.attempt);
        match known.state {
            KnownState::Done => Err(unknown(stream, MISSING)),
            KnownState::Answered(_) => Err(AppendError::NotClaimed),
            _ if superseded || unclaimed => Err(AppendError::NotClaimed),
            KnownState::Intent(open) => Ok(Met::Open(open)),
            KnownState::Claimed { owner, left } => {
                if !self.abandoned(command, known.attempt, owner, left) {
                    return Err(AppendError::NotClaimed);
                }
                let (lease, intents) = (self.lease(), &self.inner.intents);
                let taken = self.standing(move |footing| async move {
                    let take = intents.take_over(command, known.attempt, lease, &footing);
                    take.await
                });
                match taken.await.map_err(|e| refused(stream, e))? {
                    true => Ok(Met::Ours(known.attempt + 1)),
                    false => Err(AppendError::NotClaimed),
                }
            }
        }
    }
}

/// How an intent came to be ours.
enum Opened {
    As(u32),
    /// It was not needed: the command's events are in the log.
    Landed(Appended),
}

/// How long another intent was waited for.
#[derive(Default)]
struct Waiting {
    rounds: u32,
    spent: Duration,
}

/// What is wrong where the ledger says `DONE` and the log has nothing.
pub(super) const MISSING: &str = "the log lacks a commit that the ledger knows to have landed";
