use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::linger::Lingering;
use crate::{Problem, Request, Response};

/// File descriptors left for everything that is not a client.
const RESERVED_FILES: usize = 128;

/// The limits of a server.
#[derive(Debug, Clone, Copy)]
pub struct ServerOptions {
    /// Most connections at a time; further ones wait in the kernel's backlog.
    /// 10,000 by default, and never more than the limit of open files leaves.
    pub max_connections: usize,
    /// Time from the moment a connection is ready for a request until the head
    /// is there, 10 s by default. Then the connection is closed without an
    /// answer. An idle connection counts as waiting for a head: this is the
    /// limit of keep-alive too.
    pub head_deadline: Duration,
    /// Time for requests under way to finish after the shutdown, 10 s by
    /// default. Then they are dropped.
    pub drain_deadline: Duration,
    /// Most headers of a request, 64 by default; more are answered 431.
    pub max_headers: usize,
    /// Most bytes of a head, 64 KiB by default; more are answered 431. At
    /// least 8 KiB.
    pub max_head_bytes: usize,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            head_deadline: Duration::from_secs(10),
            drain_deadline: Duration::from_secs(10),
            max_headers: 64,
            max_head_bytes: 64 * 1024,
        }
    }
}

/// Serves HTTP/1.1 until `shutdown` completes, then drains.
///
/// A failed accept (no file descriptor left, a client already gone) is logged
/// and tried again, it never ends the server. A panic of the service is logged
/// and answered 503 `store-unavailable`: its outcome is unknown.
///
/// An answer given before the body was read whole closes the connection, unless
/// the rest of the body has arrived by then. Every close sends FIN first and
/// discards what the client still sends, for at most a second and 16 MiB: a
/// client that sends less than that gets to read its 401, 413 or 415. The
/// connection keeps its place among [`ServerOptions::max_connections`] meanwhile.
///
/// A connection kept alive is closed, without an answer, when the next request's head has not
/// arrived [`ServerOptions::head_deadline`] after the last answer. A head that cannot be parsed, or is
/// too large, is refused with a problem of the type `about:blank`, and the connection is closed.
///
/// At shutdown the listener is closed, idle connections too; requests under way
/// get their answers until [`ServerOptions::drain_deadline`].
///
/// # Errors
///
/// When the listener has no local address; it is no listener then.
///
/// # Cancel safety
///
/// Dropping the future drops all connections.
pub async fn serve<S, F>(
    listener: TcpListener,
    service: S,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let address = listener.local_addr()?;
    let permits = Arc::new(Semaphore::new(connections(options.max_connections)));
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = tasks.join_next() => {}
            (stream, permit) = accept(&listener, &permits) => {
                let connection = graceful.watch(connect(stream, service.clone(), options));
                tasks.spawn(async move {
                    // Clients that go away or send garbage are no event here.
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "connection ended early");
                    }
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    tracing::info!(%address, connections = tasks.len(), "draining");
    let drained = tokio::time::timeout(options.drain_deadline, async {
        graceful.shutdown().await;
        while tasks.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!(%address, connections = tasks.len(), "drain deadline passed");
    }
    Ok(())
}

/// Waits for a free place first, so that waiting clients stay in the backlog.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
        // The semaphore is never closed.
        return std::future::pending().await;
    };
    let mut pause = Duration::from_millis(5);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) if is_per_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                // Out of files or memory: the next try fails too, until
                // something is freed.
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}

fn is_per_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn connect<S, F>(
    stream: TcpStream,
    service: S,
    options: ServerOptions,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send
where
    S: Fn(Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not set nodelay");
    }
    let service = service_fn(move |request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(answer(async move { service(request).await }).await) }
    });
    // No `pipeline_flush`: with it, hyper keeps back the 400 to a head that it cannot parse.
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_deadline)
        .max_headers(options.max_headers)
        .max_buf_size(options.max_head_bytes.max(8 * 1024))
        .keep_alive(true)
        // Who has sent everything and shuts its side down is still owed the answer.
        .half_close(true)
        .serve_connection(TokioIo::new(Lingering::new(stream)), service)
}

/// Turns a panic into an answer.
async fn answer(service: impl Future<Output = Response>) -> Response {
    let mut service = pin!(service);
    poll_fn(|context| {
        // After a panic the future is dropped, never polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| service.as_mut().poll(context)));
        polled.unwrap_or_else(|_panic| {
            tracing::error!("a request handler panicked");
            Poll::Ready(Problem::store_unavailable().closing().into_response())
        })
    })
    .await
}

/// As many connections as wanted, or as the limit of open files allows.
fn connections(wanted: usize) -> usize {
    let allowed = open_files().map_or(wanted, |files| files.saturating_sub(RESERVED_FILES));
    if allowed < wanted {
        tracing::warn!(
            wanted,
            allowed,
            "the limit of open files allows fewer connections"
        );
    }
    wanted.min(allowed).clamp(1, Semaphore::MAX_PERMITS)
}

/// The soft limit of open files, where the system tells.
fn open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
