//! What runs beside the server, and ends after it.

use std::error::Error;

use futures_util::future::{BoxFuture, FutureExt, Shared};
use http_kit::{Health, Readiness};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connect;

/// Completes when the background is to end; every clone does.
pub type Stopping = Shared<BoxFuture<'static, ()>>;

/// The tasks beside a server. They are stopped once the last request was answered, so that
/// what was acknowledged is finished, too.
#[derive(Debug)]
pub struct Background {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    readiness: Readiness,
}

impl Background {
    /// No tasks yet; the failed ones will be told to `readiness`.
    #[must_use]
    pub fn new(readiness: Readiness) -> Self {
        Self {
            stop: watch::Sender::new(false),
            tasks: JoinSet::new(),
            readiness,
        }
    }

    /// Completes when the background is to end.
    pub fn stopping(&self) -> Stopping {
        let mut stopped = self.stop.subscribe();
        // A sender that is gone means the same.
        async move { drop(stopped.wait_for(|stopped| *stopped).await) }
            .boxed()
            .shared()
    }

    /// Begins `task`, which is to end soon after [`stopping`](Self::stopping).
    ///
    /// Ending with an error, or by a panic, puts the check `name` down until the process is started again.
    pub fn spawn<E: Error + Send + 'static>(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.readiness.set(name, Health::Ok);
        let failed = DownUnless {
            ended: false,
            name,
            readiness: self.readiness.clone(),
        };
        self.tasks.spawn(async move {
            let mut failed = failed;
            match task.await {
                Ok(()) => failed.ended = true,
                Err(error) => tracing::error!(
                    task = name,
                    error = &error as &dyn Error,
                    "a background task gave up"
                ),
            }
        });
    }

    /// Asks an engine now and then how it does, as [`watch`](crate::watch), until the end.
    ///
    /// The check `name` stands as it is until the first answer.
    pub fn watch<E, F>(
        &mut self,
        name: &'static str,
        worst: Health,
        ask: impl FnMut() -> F + Send + 'static,
    ) where
        F: Future<Output = Result<(), E>> + Send,
        E: Error + Send + 'static,
    {
        let (stopping, readiness) = (self.stopping(), self.readiness.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                () = connect::watch(name, worst, readiness, ask) => {}
                () = stopping => {}
            }
        });
    }

    /// Ends all tasks and waits for them.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a background task did not end by itself");
            }
        }
    }
}

/// Puts a check down when dropped, unless the task ended well.
struct DownUnless {
    ended: bool,
    name: &'static str,
    readiness: Readiness,
}

impl Drop for DownUnless {
    fn drop(&mut self) {
        if !self.ended {
            self.readiness.set(self.name, Health::Down);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[tokio::test]
    async fn what_fails_is_told_and_what_runs_is_stopped() {
        let readiness = Readiness::new();
        let mut background = Background::new(readiness.clone());
        let stopping = background.stopping();
        background.spawn("fine", async move {
            stopping.await;
            Ok::<(), Infallible>(())
        });
        assert_eq!(readiness.health(), Health::Ok);
        background.spawn("broken", async { Err(std::io::Error::other("no")) });
        background.stop().await;
        assert_eq!(readiness.health(), Health::Down);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_watched_is_told_until_the_end() {
        let readiness = Readiness::new();
        let mut background = Background::new(readiness.clone());
        let (asked, mut answers) = tokio::sync::mpsc::channel(1);
        background.watch("engine", Health::Degraded, move || {
            let asked = asked.clone();
            async move {
                asked.send(()).await.map_err(std::io::Error::other)?;
                Err::<(), _>(std::io::Error::other("away"))
            }
        });
        answers.recv().await.unwrap();
        // The second question comes after the first answer was told.
        answers.recv().await.unwrap();
        assert_eq!(readiness.health(), Health::Degraded);
        background.stop().await;
        assert_eq!(answers.recv().await, None);
    }

    #[tokio::test]
    async fn an_orderly_end_leaves_no_check_down() {
        let readiness = Readiness::new();
        let mut background = Background::new(readiness.clone());
        let stopping = background.stopping();
        background.spawn("fine", async move {
            stopping.await;
            Ok::<(), Infallible>(())
        });
        background.stop().await;
        assert_eq!(readiness.health(), Health::Ok);
    }
}
