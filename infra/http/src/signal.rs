use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Completes at the first `SIGTERM` or `SIGINT`.
///
/// The handlers are in place when this returns, not when the future is first
/// polled: a signal during start-up is not lost.
///
/// # Errors
///
/// When the handlers cannot be installed.
pub fn shutdown_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
