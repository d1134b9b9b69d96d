//! A future that goes on to its end when nobody waits for it any more.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::Instrument;

/// Runs a future where it is awaited; only when dropped before its end does it get a task of its own.
///
/// A task from the start would be the same to whoever asked, and costs every command another allocation, two more
/// wake-ups and often another thread.
///
/// # Errors
///
/// What the future panicked with. It is gone then.
///
/// # Cancel safety
///
/// Dropped within a runtime, it runs on there; the runtime's own end stops it like any task.
#[must_use]
pub(crate) struct Finishing<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    /// `None` once it has ended.
    running: Option<Pin<Box<F>>>,
}

impl<F> Finishing<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    pub(crate) fn new(future: F) -> Self {
        Self {
            running: Some(Box::pin(future)),
        }
    }
}

impl<F> Future for Finishing<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Not put back after its end or a panic, so that it is never polled again.
        let Some(mut running) = self.running.take() else {
            return Poll::Pending;
        };
        match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(context))) {
            Ok(Poll::Pending) => {
                self.running = Some(running);
                Poll::Pending
            }
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}

impl<F> Drop for Finishing<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn drop(&mut self) {
        if let Some(running) = self.running.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(running.in_current_span());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_runs_where_it_is_awaited() {
        let own = tokio::spawn(async {
            let finishing = Finishing::new(async { tokio::task::id() });
            (finishing.await.unwrap(), tokio::task::id())
        });
        let (ran, awaited) = own.await.unwrap();
        assert_eq!(ran, awaited);
    }

    #[tokio::test]
    async fn dropped_halfway_it_goes_on() {
        let (go, gone) = oneshot::channel::<u32>();
        let (tell, told) = oneshot::channel();
        let mut finishing = Finishing::new(async move {
            tell.send(gone.await.unwrap() + 1).unwrap();
        });
        let first = poll_fn(|context| Poll::Ready(Pin::new(&mut finishing).poll(context))).await;
        assert!(first.is_pending());
        drop(finishing);
        go.send(1).unwrap();
        assert_eq!(told.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn dropped_before_its_first_poll_it_runs() {
        let (tell, told) = oneshot::channel();
        drop(Finishing::new(async move { tell.send(7).unwrap() }));
        assert_eq!(told.await.unwrap(), 7);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let finishing = Finishing::new(async { panic!("no") });
        let panic: Result<(), _> = finishing.await;
        assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "no");
    }
}
