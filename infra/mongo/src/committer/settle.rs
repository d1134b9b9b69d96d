//! Finding out what became of an insert: see the table of the module above.

use cqrs_core::{Appended, LogPosition, Position, mutant};

use super::batch::Batch;
use super::{Abandoned, BACKOFF, BACKOFF_MAX, Committer, FOLLOWED};
use crate::engine::{Engine, Inserted};
use crate::error::StoreFailure;
use crate::heads::Head;
use crate::record::Stub;

impl<E: Engine> Committer<E> {
    /// Inserts the batch's members until the fate of each is known.
    pub(super) async fn settle(&mut self, batch: &mut Batch) -> Result<(), Abandoned> {
        if mutant("acknowledge before durable") {
            self.land(batch, usize::MAX);
        }
        while batch.is_open() {
            match self.engine.insert(batch.open_docs()).await {
                Inserted::All => self.land(batch, usize::MAX),
                Inserted::Lost(index) => {
                    self.land(batch, index);
                    self.settle_lost(batch).await?;
                }
                Inserted::Unknown(_) if mutant("take an unknown outcome for a success") => {
                    self.land(batch, usize::MAX);
                }
                Inserted::Unknown(failure) => {
                    self.wait(batch, &failure).await?;
                    if mutant("renumber while the outcome is unknown") {
                        // Behind where it would stand, had it landed.
                        self.head = batch.last_position();
                        self.renumber(batch).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The first `count` open members are durable.
    fn land(&mut self, batch: &mut Batch, count: usize) {
        let partition = self.partition;
        for member in batch.land(count) {
            self.heads.learn(member.stream(), member.end());
            self.reached(member.position());
            member.answer(Ok(Appended {
                at: LogPosition::new(partition, member.position()),
                version: member.end().version,
                repeated: false,
            }));
        }
    }

    /// The first open member met a duplicate key: finds out which, see the module's table.
    async fn settle_lost(&mut self, batch: &mut Batch) -> Result<(), Abandoned> {
        let Some((position, command)) = batch.first_open() else {
            return Ok(());
        };
        let before = Position::new(position.get() - 1);
        let there = self
            .ask(batch, |engine| async move {
                engine.after(before, FOLLOWED).await
            })
            .await?;
        let landed = batch.count_landed(&there, self.writer);
        if landed > 0 {
            self.land(batch, landed);
            return Ok(());
        }
        if let Some(first) = there.first() {
            let repeat = (first.command == command).then(|| first.clone());
            self.follow(batch, &there).await?;
            if let Some(stub) = repeat {
                self.repeated(batch, stub);
            }
            return self.renumber(batch).await;
        }
        let found = self
            .ask(batch, |engine| async move {
                engine.by_commands(vec![command]).await
            })
            .await?;
        if let Some(stub) = found.into_iter().next() {
            self.repeated(batch, stub);
            return self.renumber(batch).await;
        }
        let Some((stream, first)) = batch.first_open_slot() else {
            return Ok(());
        };
        let asked = stream.clone();
        let last = self
            .ask(batch, |engine| {
                let stream = asked.clone();
                async move { engine.last_of(stream).await }
            })
            .await?;
        if let Some(last) = last
            && last.version().get() >= first
        {
            self.heads.learn(&stream, Head::of(&last));
            return self.renumber(batch).await;
        }
        let unexplained = StoreFailure::new("a duplicate key, and nothing that bears it");
        self.wait(batch, &unexplained).await
    }

    /// The first open member is not written: its command stands in the log already.
    fn repeated(&mut self, batch: &mut Batch, first: Stub) {
        self.heads.follow(&first);
        let stream = batch.repeated(&first, self.partition);
        batch.fail_all(self.queue.take_appends(&stream));
    }

    /// Takes note of what others appended behind the last position known here.
    async fn follow(&mut self, batch: &mut Batch, there: &[Stub]) -> Result<(), Abandoned> {
        for stub in there {
            self.heads.follow(stub);
            self.reached(stub.position);
        }
        if there.len() == FOLLOWED {
            // Too far behind to read all of it: begin anew at the end.
            self.heads.clear();
            let head = self
                .ask(
                    batch,
                    |engine| async move { engine.head(Position::START).await },
                )
                .await?;
            self.reached(head);
        }
        Ok(())
    }

    /// Nothing of what is open was written, nor can be: checks it against the streams' heads, and numbers it anew.
    async fn renumber(&mut self, batch: &mut Batch) -> Result<(), Abandoned> {
        loop {
            let open = batch.open_streams();
            let streams = open.iter().map(|(stream, expected)| (stream, *expected));
            match self.learn(streams).await {
                Ok(()) => break,
                Err(failure) => self.wait(batch, &failure).await?,
            }
        }
        let head = self.head.unwrap_or_default();
        for stream in batch.renumber(head, |stream| self.heads.get(stream)) {
            batch.fail_all(self.queue.take_appends(&stream));
        }
        Ok(())
    }

    /// Reads until there is an answer.
    async fn ask<T, F>(
        &mut self,
        batch: &mut Batch,
        read: impl Fn(E) -> F + Send,
    ) -> Result<T, Abandoned>
    where
        T: Send,
        F: Future<Output = Result<T, StoreFailure>> + Send,
    {
        loop {
            match read(self.engine.clone()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.wait(batch, &failure).await?,
            }
        }
    }

    /// Waits before the next attempt; past the limit, tells all who have waited as long.
    async fn wait(&mut self, batch: &mut Batch, failure: &StoreFailure) -> Result<(), Abandoned> {
        let pause = batch.next_pause(BACKOFF, BACKOFF_MAX);
        tracing::warn!(
            partition = %self.partition, error = %failure, pause_ms = pause.as_millis() as u64,
            "the outcome of an insert is unknown; trying again"
        );
        let now = self.engine.now();
        if batch.is_overdue(now) {
            batch.tell(failure);
            if let Some(called) = now.checked_sub(self.limits.give_up) {
                for job in self.queue.take_called_by(called) {
                    job.fail(failure);
                }
            }
            if self.queue.is_closed() {
                return Err(Abandoned);
            }
        }
        self.engine.sleep(pause).await;
        Ok(())
    }
}
