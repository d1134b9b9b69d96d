//! Questions for a stream's head, and what proves the answer.

use std::collections::HashMap;

use cqrs_core::{AppendError, LogPosition, Partition, StreamName, mutant};
use foldhash::fast::FixedState;
use futures_util::stream::{self, StreamExt};

use crate::engine::Engine;
use crate::error::StoreFailure;
use crate::heads::Head;
use crate::queue::Confirm;

use super::READS;
use super::batch::Batch;

/// How often a head is read again because the stream went on meanwhile.
const ATTEMPTS: usize = 5;

/// A question, with its place among the commits of its stream in the batch.
pub(super) struct Asked {
    confirm: Confirm,
    /// The stream's head before the batch, as far as it was known.
    start: Head,
    /// The stream's last member before the question, and its first one behind it.
    behind: Option<usize>,
    before: Option<usize>,
}

impl Asked {
    pub(super) fn new(confirm: Confirm, start: Head, behind: Option<usize>) -> Self {
        Self {
            confirm,
            start,
            behind,
            before: None,
        }
    }

    pub(super) fn find_successor(&mut self, batch: &Batch) {
        if self.behind.is_none() {
            self.before = batch.first_member_of(&self.confirm.stream);
        }
    }

    pub(super) fn stream(&self) -> &StreamName {
        &self.confirm.stream
    }

    /// Whether nothing in the batch is of its stream.
    pub(super) fn is_alone(&self) -> bool {
        self.behind.is_none() && self.before.is_none()
    }

    /// The same, with what is known of its stream by now.
    pub(super) fn beginning_at(mut self, start: Head) -> Self {
        self.start = start;
        self
    }

    /// Whether a commit of the batch, inserted after the question was asked, tells what the head was.
    pub(super) fn is_proven(&self, batch: &Batch) -> bool {
        match (self.behind, self.before) {
            (Some(behind), _) => batch.member(behind).has_landed(),
            (None, Some(before)) => {
                let member = batch.member(before);
                member.has_landed() && member.first() == self.start.version.get() + 1
            }
            (None, None) => false,
        }
    }

    /// The head that [`is_proven`](Self::is_proven) speaks of.
    pub(super) fn proven_head(&self, batch: &Batch) -> Head {
        self.behind
            .map_or(self.start, |behind| batch.member(behind).end())
    }

    pub(super) fn answer(self, partition: Partition, head: Head) {
        let Confirm {
            stream,
            expected,
            reply,
        } = self.confirm;
        let answer = if expected.accepts(head.version, head.last) {
            Ok(LogPosition::new(partition, head.at))
        } else {
            Err(AppendError::Conflict {
                stream,
                expected,
                actual: head.version,
            })
        };
        // Whoever asked may be gone.
        drop(reply.send(answer));
    }

    pub(super) fn fail(self, failure: &StoreFailure) {
        let error = AppendError::Store {
            stream: self.confirm.stream,
            source: failure.clone().into(),
        };
        drop(self.confirm.reply.send(Err(error)));
    }
}

/// Answers by the heads of the streams as of now, each read once, beginning with what is known of them; gives what was read.
pub(super) async fn answer<E: Engine>(
    engine: &E,
    partition: Partition,
    all: Vec<Asked>,
) -> Vec<(StreamName, Head)> {
    let mut by_stream: HashMap<StreamName, Vec<Asked>, FixedState> = HashMap::default();
    for asked in all {
        by_stream
            .entry(asked.stream().clone())
            .or_default()
            .push(asked);
    }
    let read = stream::iter(by_stream).map(|(stream, asked)| async move {
        let known = asked.last().map_or(Head::EMPTY, |asked| asked.start);
        let head = read_head(engine, &stream, known).await;
        for asked in asked {
            match &head {
                Ok(head) => asked.answer(partition, *head),
                Err(failure) => asked.fail(failure),
            }
        }
        Some((stream, head.ok()?))
    });
    let read = read.buffer_unordered(READS).collect::<Vec<_>>().await;
    read.into_iter().flatten().collect()
}

async fn read_head<E: Engine>(
    engine: &E,
    stream: &StreamName,
    mut head: Head,
) -> Result<Head, StoreFailure> {
    for _ in 0..ATTEMPTS {
        let next = head.version.get() + 1;
        if mutant("trust the cached head") {
            return Ok(head);
        }
        if !engine.is_taken(stream.clone(), next).await? {
            return Ok(head);
        }
        if let Some(last) = engine.last_of(stream.clone()).await? {
            head = Head::of(&last);
        }
    }
    Err(StoreFailure::new(
        "the stream goes on faster than its head can be read",
    ))
}
