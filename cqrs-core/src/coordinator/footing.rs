//! Nothing is granted before the ledger holds what the log held when it was opened.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::log::{EventLog, ReadError};
use crate::mutants::mutant;
use crate::position::{Partition, Position};
use crate::time::Timer;

use super::{Advance, Coordinator, Entry, Footing, IntentError, IntentStore, Landed, LoggedAnswer};

/// How often one call begins anew because the ledger was lost meanwhile.
const LOSSES: u32 = 8;

pub(super) struct Ground {
    current: Mutex<Option<Footing>>,
    /// One opens; the others wait for it.
    opening: tokio::sync::Mutex<()>,
    /// By partition: tells the fold to look at its checkpoint again.
    pub(super) lanes: Box<[Lane]>,
}

#[derive(Default)]
pub(super) struct Lane {
    pub(super) reload: AtomicBool,
    pub(super) wake: Notify,
}

/// The ledger cannot be trusted yet.
#[derive(Debug, thiserror::Error)]
enum NotWhole {
    #[error("the ledger is being made whole from the log")]
    Folding,
    #[error("the ledger was lost again and again")]
    Lost,
    #[error("the ledger has checkpoints of more partitions than the log")]
    Partitions,
}

fn store(source: impl Into<crate::BoxError>) -> IntentError {
    IntentError::Store {
        source: source.into(),
    }
}

impl Ground {
    pub(super) fn new(partitions: u16) -> Self {
        Self {
            current: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            lanes: (0..partitions).map(|_| Lane::default()).collect(),
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Footing>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The checkpoint of `partition` was seen at `to`, so from now on it must not stand before.
    pub(super) fn raise(&self, partition: Partition, to: Position) {
        let index = usize::from(partition.index());
        if let Some(footing) = &mut *self.current()
            && footing.folded.get(index).is_some_and(|at| *at < to)
        {
            let mut folded = footing.folded.to_vec();
            folded[index] = to;
            footing.folded = folded.into();
        }
    }

    /// The ledger refused `footing`: forget it, unless a newer one has taken its place.
    fn lose(&self, footing: &Footing) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|c| {
            c.session <= footing.session
                && c.folded.iter().zip(&*footing.folded).all(|(c, f)| c >= f)
        }) {
            *current = None;
        }
        drop(current);
        for lane in &self.lanes {
            lane.reload.store(true, Ordering::Release);
            lane.wake.notify_one();
        }
    }
}

impl<L: EventLog, I: IntentStore, T: Timer> Coordinator<L, I, T> {
    /// Makes `call` with a footing, again where the ledger turns out to be another.
    pub(super) async fn standing<R, F>(
        &self,
        call: impl Fn(Footing) -> F + Send,
    ) -> Result<R, IntentError>
    where
        R: Send,
        F: Future<Output = Result<R, IntentError>> + Send,
    {
        for _ in 0..LOSSES {
            let footing = self.footing().await?;
            match call(footing.clone()).await {
                Err(IntentError::Lost) => self.inner.ground.lose(&footing),
                done => return done,
            }
        }
        Err(store(NotWhole::Lost))
    }

    /// The footing that stands, or a new one, for which a bounded part of the log is folded.
    pub(super) async fn footing(&self) -> Result<Footing, IntentError> {
        let ground = &self.inner.ground;
        if let Some(footing) = ground.current().clone() {
            return Ok(footing);
        }
        let _opening = ground.opening.lock().await;
        if let Some(footing) = ground.current().clone() {
            return Ok(footing);
        }
        // In this order: what is read after the session is no older than the connection that reads it.
        let mut stand = self.checkpoints().await?;
        let session = self.inner.intents.session();
        let mut budget = self.inner.options.fold_at_once;
        for (partition, at) in Partition::all(self.inner.log.partitions()).zip(&mut stand) {
            let head = self.inner.log.head(partition).await.map_err(store)?;
            while at.is_none_or(|at| at < head) {
                if budget == 0 {
                    return Err(store(NotWhole::Folding));
                }
                budget -= 1;
                let folded = self.fold_slice(partition, *at).await.map_err(|e| match e {
                    FoldError::Ledger(error) => error,
                    FoldError::Log(error) => store(error),
                })?;
                *at = match folded {
                    Some((to, _)) => Some(to),
                    None => self.checkpoint(partition).await?,
                };
            }
        }
        let folded = stand.iter().map(|at| at.unwrap_or(Position::START));
        let footing = Footing {
            session,
            folded: folded.collect(),
        };
        *ground.current() = Some(footing.clone());
        Ok(footing)
    }

    /// Folds the next slice of `partition`, if there is one: where the checkpoint stands then, and how many events
    /// it passed; `None` where it did not stand at `from`.
    pub(super) async fn fold_slice(
        &self,
        partition: Partition,
        from: Option<Position>,
    ) -> Result<Option<(Position, usize)>, FoldError> {
        let begin = from.unwrap_or(Position::START);
        let max_events = self.inner.options.fold_events;
        let slice = self.inner.log.read_partition(partition, begin, max_events);
        let slice = slice.await.map_err(FoldError::Log)?;
        let to = slice.last().map_or(begin, |commit| commit.at.position);
        if from == Some(to) {
            return Ok(Some((to, 0)));
        }
        for commit in &slice {
            if let Some(LoggedAnswer { answer }) = LoggedAnswer::of(commit)
                && !mutant("fold no answer")
            {
                let copied = self.copy_answer(Entry::of(&commit.header), &answer);
                copied.await.map_err(FoldError::Ledger)?;
            }
        }
        let landed: Vec<_> = slice.iter().filter_map(Landed::of).collect();
        let advance = Advance {
            partition,
            from,
            to,
        };
        let folded = self.inner.intents.fold(advance, &landed).await;
        if !folded.map_err(FoldError::Ledger)? {
            return Ok(None);
        }
        self.inner.ground.raise(partition, to);
        Ok(Some((
            to,
            slice.iter().map(|commit| commit.events.len()).sum(),
        )))
    }

    pub(super) async fn checkpoint(
        &self,
        partition: Partition,
    ) -> Result<Option<Position>, IntentError> {
        let stand = self.checkpoints().await?;
        Ok(stand.get(usize::from(partition.index())).copied().flatten())
    }

    /// The checkpoints by partition.
    async fn checkpoints(&self) -> Result<Vec<Option<Position>>, IntentError> {
        let mut stand = vec![None; usize::from(self.inner.log.partitions())];
        for (partition, at) in self.inner.intents.checkpoints().await? {
            let row = stand.get_mut(usize::from(partition.index()));
            *row.ok_or_else(|| store(NotWhole::Partitions))? = Some(at);
        }
        Ok(stand)
    }
}

/// Why a slice was not folded.
pub(super) enum FoldError {
    Ledger(IntentError),
    Log(ReadError),
}
