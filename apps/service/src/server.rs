//! A service from its first line on stdout to its last answer.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use http_kit::{Readiness, Request, Response, ServerOptions};
use social_api::{Api, SocialCommands};
use social_read_model::SocialQueries;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::background::Background;

/// How long the line that says where it listens waits for what the service needs.
const ANNOUNCE: Duration = Duration::from_secs(5);

/// A service that listens.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    readiness: Readiness,
}

impl Service {
    /// Listens on `address`.
    ///
    /// # Errors
    ///
    /// When the address cannot be had.
    pub async fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("could not listen on {address}"))?;
        Ok(Self {
            listener,
            readiness: Readiness::new(),
        })
    }

    /// What the service says of its readiness; the parts report here.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Answers from `api` until `SIGTERM` or `SIGINT`, then drains, then ends the background.
    ///
    /// `start` connects to the engines and begins the background; requests are answered meanwhile, as
    /// far as they can be. The line `listening on http://ADDR` is printed when it is done, or after 5 s without it:
    /// whoever waits for the line finds a service that works, or one that says why not.
    ///
    /// # Errors
    ///
    /// What `start` could not bear. The rest is told by the readiness and tried again.
    pub async fn serve<C, Q, F>(
        self,
        api: Arc<Api<C, Q>>,
        start: impl FnOnce(Background) -> F,
    ) -> anyhow::Result<()>
    where
        C: SocialCommands,
        Q: SocialQueries + 'static,
        F: Future<Output = anyhow::Result<Background>>,
    {
        let answer = move |request| {
            let api = Arc::clone(&api);
            async move { api.answer(request).await }
        };
        self.serve_by(answer, start).await
    }

    /// As [`serve`](Self::serve), for a service with an API of its own: each request is answered by `answer`.
    ///
    /// # Errors
    ///
    /// As [`serve`](Self::serve).
    pub async fn serve_by<S, A, F>(
        self,
        answer: S,
        start: impl FnOnce(Background) -> F,
    ) -> anyhow::Result<()>
    where
        S: Fn(Request) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response> + Send + 'static,
        F: Future<Output = anyhow::Result<Background>>,
    {
        let signal = http_kit::shutdown_signal()?.shared();
        let address = self.listener.local_addr()?;
        let (give_up, given_up) = oneshot::channel::<()>();
        let shutdown = {
            let signal = signal.clone();
            async move {
                tokio::select! {
                    () = signal => {}
                    // A sender that is gone has not given up.
                    Ok(()) = given_up => {}
                }
            }
        };
        let serving = http_kit::serve(self.listener, answer, ServerOptions::default(), shutdown);
        let starting = async {
            let mut starting = pin!(start(Background::new(self.readiness)));
            let early = tokio::select! {
                started = &mut starting => Some(started),
                () = signal.clone() => return Ok(None),
                () = tokio::time::sleep(ANNOUNCE) => None,
            };
            if !matches!(early, Some(Err(_))) {
                println!("listening on http://{address}");
            }
            let started = match early {
                Some(started) => started,
                None => tokio::select! {
                    started = starting => started,
                    () = signal => return Ok(None),
                },
            };
            if started.is_err() {
                // The server may have ended by itself.
                let _ = give_up.send(());
            }
            started.map(Some)
        };
        let (served, started) = tokio::join!(serving, starting);
        if let Some(background) = started? {
            background.stop().await;
        }
        served?;
        Ok(())
    }
}
