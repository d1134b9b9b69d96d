//! Waiting for what becomes true: asked again and again, never hoped for.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up. Long: the machine may have other work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Asks until there is an answer; panics with what the last `Err` said.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(last) if Instant::now() > deadline => {
                panic!("{what}: not within {PATIENCE:?}: {last}")
            }
            Err(_) => pause(Duration::from_millis(20)),
        }
    }
}

/// Lets time pass between two attempts, or between two events of a test's script.
pub(crate) fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}
