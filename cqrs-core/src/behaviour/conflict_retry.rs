//! Deciding again after a lost race.

use std::num::NonZeroU32;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;

use crate::envelope::Envelope;
use crate::handler::{Behaviour, Handler};
use crate::message::{DispatchError, DispatchResult, Message};
use crate::time::{Random, Timer};

/// Sends a message again when rivals won: the decision is made anew on what they left.
///
/// Only [`DispatchError::Conflict`] is tried again: 5 attempts at least, and as many more as begin within 10 s of the first
/// lost one. Somebody who writes to the same stream without a pause wins most races, for he has nothing to read
/// again; but a number of attempts that would do against one rival is too small against several, so time is the bound.
/// Between attempts it waits with exponential backoff and full jitter: a random time between 0 and
/// 2 ms, then 4 ms, 8 ms …, at most 250 ms.
///
/// # Cancel safety
///
/// Dropping the future ends the attempts; the last one is as the handler leaves it.
///
/// # Reference
///
/// <https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/>
#[derive(Debug, Clone)]
pub struct ConflictRetry<T, R> {
    timer: T,
    random: R,
    attempts: NonZeroU32,
    patience: Duration,
    base: Duration,
    cap: Duration,
}

impl<T, R> ConflictRetry<T, R> {
    /// 5 attempts, and more within 10 s; a first wait below 2 ms, none above 250 ms.
    #[must_use]
    pub const fn new(timer: T, random: R) -> Self {
        Self {
            timer,
            random,
            attempts: NonZeroU32::MIN.saturating_add(4),
            patience: Duration::from_secs(10),
            base: Duration::from_millis(2),
            cap: Duration::from_millis(250),
        }
    }

    /// The same with at most `attempts` in all, however little time they take; 1 tries nothing again.
    #[must_use]
    pub const fn attempts(mut self, attempts: NonZeroU32) -> Self {
        self.attempts = attempts;
        self.patience = Duration::ZERO;
        self
    }

    /// The same with more attempts for as long as `patience` after the first lost one.
    #[must_use]
    pub const fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same with a first wait below `base`, doubled each time up to `cap`.
    #[must_use]
    pub const fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }
}

impl<T, R: Random> ConflictRetry<T, R> {
    /// The wait after the attempt numbered `attempt` from 1: anything below the doubled base.
    fn wait(&self, attempt: u32) -> Duration {
        let doubled = 2u32.saturating_pow(attempt.saturating_sub(1));
        let ceiling = self.base.saturating_mul(doubled).min(self.cap);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        // The high half of the product: uniform below `nanos`, without a division.
        let drawn = (u128::from(self.random.next_u64()) * u128::from(nanos)) >> 64;
        Duration::from_nanos(u64::try_from(drawn).unwrap_or(nanos))
    }
}

impl<M: Message + Clone, T: Timer, R: Random> Behaviour<M> for ConflictRetry<T, R> {
    async fn around<N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
    ) -> DispatchResult<M> {
        let first = next.handle(message.clone(), envelope).await;
        if !matches!(first, Err(DispatchError::Conflict { .. })) {
            return first;
        }
        self.again(message, envelope, next, first).await
    }
}

impl<T: Timer, R: Random> ConflictRetry<T, R> {
    /// What comes after `lost`, the first conflict.
    async fn again<M: Message + Clone, N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
        mut lost: DispatchResult<M>,
    ) -> DispatchResult<M> {
        let mut patience = pin!(self.timer.sleep(self.patience));
        let mut spent = self.patience.is_zero();
        let mut attempt = 1;
        while let Err(DispatchError::Conflict { stream }) = &lost {
            spent = spent || patience.as_mut().now_or_never().is_some();
            if spent && attempt >= self.attempts.get() {
                tracing::warn!(%stream, message = M::NAME, attempt, "rivals won every attempt");
                break;
            }
            self.timer.sleep(self.wait(attempt)).await;
            attempt += 1;
            lost = next.handle(message.clone(), envelope).await;
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::{Arc, Mutex};
    use std::task::Poll;

    use super::*;
    use crate::behaviour::fixture::{Fixed, Ring, conflict, envelope};
    use crate::mediator::Mediator;

    #[derive(Clone, Default)]
    struct Waits(Arc<Mutex<Vec<Duration>>>);

    impl Timer for Waits {
        async fn sleep(&self, duration: Duration) {
            self.0.lock().unwrap().push(duration);
        }
    }

    struct Drawn(u64);

    impl Random for Drawn {
        fn next_u64(&self) -> u64 {
            self.0
        }
    }

    const MILLI: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_lost_race_is_decided_again() {
        let waits = Waits::default();
        let rings = Arc::new(Fixed::new([conflict(), conflict(), Ok(3)]));
        let retry =
            ConflictRetry::new(waits.clone(), Drawn(0)).attempts(NonZeroU32::new(3).unwrap());
        let mediator = Mediator::new(Arc::clone(&rings)).with(retry);
        assert_eq!(mediator.send(Ring(1), &envelope()).await.unwrap(), 3);
        assert_eq!(rings.calls(), 3);
        assert_eq!(*waits.0.lock().unwrap(), [Duration::ZERO; 2]);
    }

    #[tokio::test]
    async fn attempts_are_bounded_and_waits_double_up_to_the_cap() {
        let waits = Waits::default();
        let rings = Arc::new(Fixed::new([(); 9].map(|()| conflict())));
        let retry = ConflictRetry::new(waits.clone(), Drawn(u64::MAX))
            .attempts(NonZeroU32::new(5).unwrap())
            .backoff(10 * MILLI, 35 * MILLI);
        let result = Mediator::new(Arc::clone(&rings))
            .with(retry)
            .send(Ring(1), &envelope())
            .await;
        assert!(matches!(result, Err(DispatchError::Conflict { .. })));
        assert_eq!(rings.calls(), 5);
        let below = |millis| millis * MILLI - Duration::from_nanos(1);
        assert_eq!(*waits.0.lock().unwrap(), [10, 20, 35, 35].map(below));
    }

    /// Its time passes while somebody sleeps short of `PATIENCE`.
    #[derive(Clone, Default)]
    struct Clock(Arc<Mutex<Duration>>);

    const PATIENCE: Duration = Duration::from_secs(1);

    impl Timer for Clock {
        async fn sleep(&self, duration: Duration) {
            if duration < PATIENCE {
                *self.0.lock().unwrap() += duration;
                return;
            }
            let end = *self.0.lock().unwrap() + duration;
            poll_fn(|_| match *self.0.lock().unwrap() < end {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
        }
    }

    /// A first wait of 100 ms, none longer.
    fn patient(clock: &Clock) -> ConflictRetry<Clock, Drawn> {
        let retry = ConflictRetry::new(clock.clone(), Drawn(u64::MAX)).patience(PATIENCE);
        retry.backoff(100 * MILLI, 100 * MILLI)
    }

    #[tokio::test]
    async fn attempts_go_on_while_there_is_time() {
        let clock = Clock::default();
        let conflicts = [(); 9].map(|()| conflict());
        let rings = Arc::new(Fixed::new(conflicts.into_iter().chain([Ok(1)])));
        let mediator = Mediator::new(Arc::clone(&rings)).with(patient(&clock));
        assert_eq!(mediator.send(Ring(1), &envelope()).await.unwrap(), 1);
        assert_eq!(rings.calls(), 10);
    }

    #[tokio::test]
    async fn attempts_end_with_the_time() {
        let clock = Clock::default();
        let rings = Arc::new(Fixed::new([(); 30].map(|()| conflict())));
        let mediator = Mediator::new(Arc::clone(&rings)).with(patient(&clock));
        let result = mediator.send(Ring(1), &envelope()).await;
        assert!(matches!(result, Err(DispatchError::Conflict { .. })));
        assert_eq!(rings.calls(), 12);
        assert!(*clock.0.lock().unwrap() >= PATIENCE);
    }

    #[tokio::test]
    async fn nothing_but_a_conflict_is_tried_again() {
        let waits = Waits::default();
        let rings = Arc::new(Fixed::new([Err(DispatchError::Overloaded), Ok(1)]));
        let mediator =
            Mediator::new(Arc::clone(&rings)).with(ConflictRetry::new(waits.clone(), Drawn(1)));
        let result = mediator.send(Ring(1), &envelope()).await;
        assert!(matches!(result, Err(DispatchError::Overloaded)));
        assert_eq!((rings.calls(), waits.0.lock().unwrap().len()), (1, 0));
    }

    #[tokio::test]
    async fn one_attempt_tries_nothing_again() {
        let rings = Arc::new(Fixed::new([conflict(), Ok(1)]));
        let retry =
            ConflictRetry::new(Waits::default(), Drawn(1)).attempts(NonZeroU32::new(1).unwrap());
        let mediator = Mediator::new(Arc::clone(&rings)).with(retry);
        assert!(mediator.send(Ring(1), &envelope()).await.is_err());
        assert_eq!(rings.calls(), 1);
    }
}
