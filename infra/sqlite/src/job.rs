//! What waits for the writer, and how it is answered.

use cqrs_core::{AppendError, Appended, Commit, ExpectedVersion, LogPosition, StreamName};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::{StoreFailure, WriteFailure};
use crate::recent::Partitions;

pub(crate) type AppendReply = oneshot::Sender<Result<Appended, AppendError>>;
pub(crate) type ConfirmReply = oneshot::Sender<Result<LogPosition, AppendError>>;

/// What waits for the writer.
#[expect(
    clippy::large_enum_variant,
    reason = "appends are nearly all of them; a box would be an allocation each"
)]
pub(crate) enum Job {
    Append {
        commit: Commit,
        reply: AppendReply,
    },
    Confirm {
        stream: StreamName,
        expected: ExpectedVersion,
        reply: ConfirmReply,
    },
    Work {
        work: Box<dyn Work>,
        keeping: Keeping,
    },
}

impl Job {
    /// Whether its answer waits for the disk.
    pub(crate) fn is_durable(&self) -> bool {
        match self {
            // A confirmation writes nothing, but answers from what others wrote.
            Self::Append { .. } | Self::Confirm { .. } => true,
            Self::Work { keeping, .. } => *keeping == Keeping::Durable,
        }
    }

    /// What it weighs: bytes of payload.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Append { commit, .. } => commit.payload_len(),
            Self::Confirm { .. } | Self::Work { .. } => 0,
        }
    }

    /// Answers that the store failed.
    pub(crate) fn fail(self, failure: &StoreFailure) {
        match self {
            Self::Append { commit, reply } => {
                let _ = reply.send(Err(failed(commit.stream, failure)));
            }
            Self::Confirm { stream, reply, .. } => {
                let _ = reply.send(Err(failed(stream, failure)));
            }
            Self::Work { work, .. } => work.answer(Some(failure)),
        }
    }
}

/// What the answer to a closure promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It survives a power loss.
    Durable,
    /// It can be made again from what is durable: a power loss may take it back, a crash of the process does not.
    Derived,
}

/// A job that is a closure, run in a savepoint.
pub(crate) trait Work: Send {
    /// Runs it; `false` undoes what it wrote.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Answers, once its group is what it is to be, or has failed.
    fn answer(self: Box<Self>, failed: Option<&StoreFailure>);
}

/// [`Work`] made of a closure.
pub(crate) struct Task<F, T, E> {
    work: Option<F>,
    done: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, WriteFailure<E>>>,
}

impl<F, T, E> Task<F, T, E> {
    pub(crate) fn new(work: F, reply: oneshot::Sender<Result<T, WriteFailure<E>>>) -> Self {
        Self {
            work: Some(work),
            done: None,
            reply,
        }
    }
}

impl<F, T, E> Work for Task<F, T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let done = work(connection);
        let keep = done.is_ok();
        self.done = Some(done);
        keep
    }

    fn answer(self: Box<Self>, failed: Option<&StoreFailure>) {
        let answer = match (failed, self.done) {
            (Some(failure), _) => Err(WriteFailure::Store(failure.clone())),
            (None, Some(Ok(value))) => Ok(value),
            (None, Some(Err(error))) => Err(WriteFailure::Failed(error)),
            (None, None) => Err(WriteFailure::Store(StoreFailure::unanswered())),
        };
        let _ = self.reply.send(answer);
    }
}

/// What a job came to.
pub(crate) enum Answer {
    Append(Result<Appended, AppendError>),
    Confirm(Result<LogPosition, AppendError>),
    Work,
}

/// A job that is done, its answer not yet given.
#[expect(
    clippy::large_enum_variant,
    reason = "appends are nearly all of them; a box would be an allocation each"
)]
pub(crate) enum Done {
    /// What the log has now, for those who follow it.
    Appended(Commit, AppendReply, Appended),
    /// Nothing was added to the log.
    NotAppended(StreamName, AppendReply, Result<Appended, AppendError>),
    Confirmed(StreamName, ConfirmReply, Result<LogPosition, AppendError>),
    Work(Box<dyn Work>),
}

impl Done {
    /// Puts a job and what it came to together; `None` where these are of two jobs.
    pub(crate) fn of(job: Job, answer: Answer) -> Option<Self> {
        Some(match (job, answer) {
            (Job::Append { commit, reply }, Answer::Append(Ok(appended))) if !appended.repeated => {
                Self::Appended(commit, reply, appended)
            }
            (Job::Append { commit, reply }, Answer::Append(answer)) => {
                Self::NotAppended(commit.stream, reply, answer)
            }
            (Job::Confirm { stream, reply, .. }, Answer::Confirm(answer)) => {
                Self::Confirmed(stream, reply, answer)
            }
            (Job::Work { work, .. }, Answer::Work) => Self::Work(work),
            _ => return None,
        })
    }

    /// Keeps what was appended for those who follow the log; leaves what is to be said.
    pub(crate) fn keep(self, recent: &mut Partitions) -> Reply {
        match self {
            Self::Appended(commit, reply, appended) => {
                recent.push(commit, &appended);
                Reply::Append(reply, Ok(appended))
            }
            Self::NotAppended(_, reply, answer) => Reply::Append(reply, answer),
            Self::Confirmed(_, reply, answer) => Reply::Confirm(reply, answer),
            Self::Work(work) => Reply::Work(work),
        }
    }

    /// Answers that the store failed.
    pub(crate) fn fail(self, failure: &StoreFailure) {
        match self {
            Self::Appended(Commit { stream, .. }, reply, _)
            | Self::NotAppended(stream, reply, _) => {
                let _ = reply.send(Err(failed(stream, failure)));
            }
            Self::Confirmed(stream, reply, _) => {
                let _ = reply.send(Err(failed(stream, failure)));
            }
            Self::Work(work) => work.answer(Some(failure)),
        }
    }
}

/// An answer, and who gets it.
pub(crate) enum Reply {
    Append(AppendReply, Result<Appended, AppendError>),
    Confirm(ConfirmReply, Result<LogPosition, AppendError>),
    Work(Box<dyn Work>),
}

impl Reply {
    /// Answers; nobody need be there any more.
    pub(crate) fn send(self) {
        match self {
            Self::Append(reply, answer) => {
                let _ = reply.send(answer);
            }
            Self::Confirm(reply, answer) => {
                let _ = reply.send(answer);
            }
            Self::Work(work) => work.answer(None),
        }
    }
}

fn failed(stream: StreamName, failure: &StoreFailure) -> AppendError {
    AppendError::Store {
        stream,
        source: failure.clone().into(),
    }
}
