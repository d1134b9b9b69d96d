//! Answering the commits that were refused.

use std::time::Duration;

use cqrs_core::{AppendError, Appended, LogPosition, Partition, RequestHash, Version};

use super::batch::{Batch, Lost};
use super::{BACKOFF, BACKOFF_MAX, Committer};
use crate::engine::Engine;
use crate::error::StoreFailure;
use crate::queue::Append;
use crate::record::Stub;

impl<E: Engine> Committer<E> {
    /// Answers those that were refused: with the first answer where the command stands in the log, else the conflict.
    pub(super) async fn answer_lost(&mut self, batch: Batch) {
        let (until, lost, broken) = batch.into_lost();
        let found = self.look_for(&lost, until).await;
        // Called while these had no answer: decided on the same state that never came to be.
        let late = broken
            .iter()
            .flat_map(|stream| self.queue.take_appends(stream));
        let late: Vec<_> = late.map(Lost::from).collect();
        self.answer_all(lost, &found);
        let found = self.look_for(&late, until).await;
        self.answer_all(late, &found);
    }

    /// Those of their commands that stand in the log.
    async fn look_for(&self, lost: &[Lost], until: Duration) -> Result<Vec<Stub>, StoreFailure> {
        if lost.is_empty() {
            return Ok(Vec::new());
        }
        let commands: Vec<_> = lost.iter().map(|lost| lost.command).collect();
        let mut backoff = BACKOFF;
        loop {
            match self.engine.by_commands(commands.clone()).await {
                Ok(found) => return Ok(found),
                Err(failure) if self.engine.now() >= until => return Err(failure),
                Err(_) => self.engine.sleep(backoff).await,
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    fn answer_all(&mut self, lost: Vec<Lost>, found: &Result<Vec<Stub>, StoreFailure>) {
        for lost in lost {
            let actual = self
                .heads
                .get(&lost.stream)
                .map_or(lost.actual, |head| head.version);
            match found {
                Ok(found) => lost.answer(self.partition, found, actual),
                Err(failure) => lost.fail(failure),
            }
        }
    }
}

/// The answer to a commit whose command stands in the log already.
pub(super) fn first_answer(
    partition: Partition,
    first: &Stub,
    request: Option<RequestHash>,
) -> Result<Appended, AppendError> {
    if first.request != request {
        return Err(AppendError::KeyReused);
    }
    Ok(Appended {
        at: LogPosition::new(partition, first.position),
        version: first.version(),
        repeated: true,
    })
}

impl From<Append> for Lost {
    fn from(append: Append) -> Self {
        Self {
            stream: append.stream,
            expected: append.expected,
            command: append.command,
            request: append.request,
            actual: Version::EMPTY,
            reply: append.reply,
        }
    }
}
