//! Telling subscribers in this process.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};

use crate::BoxError;
use crate::log::RecordedCommit;

/// Hears in this process, and only while it runs, of what was committed.
///
/// # Delivery
///
/// At most once, from memory: a crash loses what was not yet heard. What must
/// happen is a projection or a reactor.
pub trait Subscriber: Send + Sync {
    /// Hears of `commit`, which is durable.
    ///
    /// # Errors
    ///
    /// Anything; it is reported to whoever published, and nobody hears again.
    fn hear(&self, commit: &RecordedCommit) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// Tells its subscribers of each commit, every one isolated from the others' failures.
#[derive(Default)]
pub struct Publisher {
    subscribers: Vec<(&'static str, Box<dyn ErasedSubscriber>)>,
}

impl Publisher {
    /// Nobody subscribed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, telling `subscriber` too; failures are reported under `name`.
    #[must_use]
    pub fn subscribe<S: Subscriber + 'static>(mut self, name: &'static str, subscriber: S) -> Self {
        self.subscribers.push((name, Box::new(subscriber)));
        self
    }

    /// Tells every subscriber of `commit`, which must be durable already.
    ///
    /// All are told at the same time, and all are waited for. An error or a panic of one is
    /// kept from the others and from the caller, and stands in the answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves off in the middle: some have heard, some have not.
    pub async fn publish(&self, commit: &RecordedCommit) -> Published {
        let told = self.subscribers.iter().map(|(name, subscriber)| {
            let heard = hear(subscriber.as_ref(), commit);
            heard.map(|heard| {
                heard.err().map(|reason| SubscriberFailure {
                    subscriber: name,
                    reason,
                })
            })
        });
        let heard = join_all(told).await;
        Published {
            told: heard.len(),
            failures: heard.into_iter().flatten().collect(),
        }
    }
}

async fn hear(subscriber: &dyn ErasedSubscriber, commit: &RecordedCommit) -> Result<(), Unheard> {
    // Unwind safe: a subscriber that panicked is told of the next commit, as one
    // that failed is; what it broke is its own.
    let heard = AssertUnwindSafe(async { subscriber.hear_boxed(commit).await });
    match heard.catch_unwind().await {
        Ok(heard) => heard.map_err(Unheard::Failed),
        Err(panic) => Err(Unheard::Panicked(panic_text(&*panic))),
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.subscribers.iter().map(|(name, _)| name);
        f.write_str("Publisher ")?;
        f.debug_list().entries(names).finish()
    }
}

/// What telling the subscribers came to.
#[derive(Debug, Default)]
#[must_use = "failures are told nowhere else"]
pub struct Published {
    /// How many were told, those that failed among them.
    pub told: usize,
    /// Those that failed, in the order in which they subscribed.
    pub failures: Vec<SubscriberFailure>,
}

/// A subscriber that failed.
#[derive(Debug, thiserror::Error)]
#[error("subscriber `{subscriber}` did not take the commit")]
pub struct SubscriberFailure {
    /// Its name.
    pub subscriber: &'static str,
    /// Why.
    #[source]
    pub reason: Unheard,
}

/// Why a subscriber did not take a commit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unheard {
    /// It said so.
    #[error("it failed")]
    Failed(#[source] BoxError),
    /// It panicked with this text.
    #[error("it panicked: {0}")]
    Panicked(String),
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("not a text").to_owned()
}

/// The twin of [`Subscriber`] that can be a trait object.
trait ErasedSubscriber: Send + Sync {
    fn hear_boxed<'a>(&'a self, commit: &'a RecordedCommit) -> BoxFuture<'a, Result<(), BoxError>>;
}

impl<S: Subscriber> ErasedSubscriber for S {
    fn hear_boxed<'a>(&'a self, commit: &'a RecordedCommit) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(Subscriber::hear(self, commit))
    }
}
