//! Engines that may be away: at the start, or later.

use std::error::Error;
use std::time::Duration;

use cqrs_core::{Backoff, Partition, ReadError, TailLog, Timer};
use http_kit::{Health, Readiness};
use social_api::TokioTimer;

/// How long an engine that was asked how it does may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked.
const INTERVAL: Duration = Duration::from_secs(2);

/// How an opening that failed is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The engine is away: try again.
    Away,
    /// It is there, and not ours to use: a human must look.
    Refused,
}

/// Opens what may be away: tries again with growing pauses, for as long as it takes.
///
/// The check `name` is down meanwhile.
///
/// # Errors
///
/// What `open` answered and `judge` calls [`Failure::Refused`].
///
/// # Cancel safety
///
/// As `open`'s own.
pub async fn connect<T, E, F>(
    name: &'static str,
    readiness: &Readiness,
    mut open: impl FnMut() -> F,
    judge: impl Fn(&E) -> Failure,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: Error + 'static,
{
    readiness.set(name, Health::Down);
    let backoff = Backoff::default();
    let mut failures = 0;
    loop {
        match open().await {
            Ok(opened) => {
                readiness.set(name, Health::Ok);
                return Ok(opened);
            }
            Err(error) if judge(&error) == Failure::Refused => return Err(error),
            Err(error) => {
                failures += 1;
                let pause = backoff.pause(failures);
                tracing::warn!(
                    engine = name,
                    error = &error as &dyn Error,
                    ?pause,
                    "could not connect"
                );
                TokioTimer.sleep(pause).await;
            }
        }
    }
}

/// Asks an engine now and then how it does, and tells the check `name`; `worst` is what it means when it is away.
///
/// # Cancel safety
///
/// Drop it to stop; it runs for ever.
pub async fn watch<E, F>(
    name: &'static str,
    worst: Health,
    readiness: Readiness,
    mut ask: impl FnMut() -> F,
) where
    F: Future<Output = Result<(), E>>,
    E: Error + 'static,
{
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut well = true;
    loop {
        interval.tick().await;
        let trouble = match tokio::time::timeout(PATIENCE, ask()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        readiness.set(name, if trouble.is_none() { Health::Ok } else { worst });
        match &trouble {
            Some(error) if well => tracing::warn!(engine = name, error, "an engine is away"),
            None if !well => tracing::info!(engine = name, "an engine is back"),
            _ => {}
        }
        well = trouble.is_none();
    }
}

/// Asks a log how far each partition is: how it does, for [`watch`].
///
/// # Errors
///
/// As [`TailLog::head`].
///
/// # Cancel safety
///
/// As [`TailLog::head`].
pub async fn look_at(log: &impl TailLog) -> Result<(), ReadError> {
    for partition in Partition::all(log.partitions()) {
        log.head(partition).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;

    use super::*;

    fn judge(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::InvalidData => Failure::Refused,
            _ => Failure::Away,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_away_is_tried_until_it_is_there() {
        let readiness = Readiness::new();
        let tries = Cell::new(0);
        let open = || {
            tries.set(tries.get() + 1);
            let (tried, down) = (tries.get(), readiness.health() == Health::Down);
            async move {
                assert!(down, "not ready before it is there");
                match tried {
                    4 => Ok("there"),
                    _ => Err(io::Error::other("away")),
                }
            }
        };
        let opened = connect("engine", &readiness, open, judge).await;
        assert_eq!((opened.unwrap(), tries.get()), ("there", 4));
        assert_eq!(readiness.health(), Health::Ok);
    }

    #[tokio::test]
    async fn what_is_not_ours_is_not_tried_again() {
        let readiness = Readiness::new();
        let open = || async { Err::<(), _>(io::Error::from(io::ErrorKind::InvalidData)) };
        let refused = connect("engine", &readiness, open, judge).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(readiness.health(), Health::Down);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_goes_and_comes_back_is_told() {
        let readiness = Readiness::new();
        let asked = Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            let now = asked.get();
            async move {
                match now {
                    2 => Err(io::Error::other("away")),
                    3 => std::future::pending().await,
                    _ => Ok(()),
                }
            }
        };
        let watching = watch("engine", Health::Degraded, readiness.clone(), ask);
        let mut watching = std::pin::pin!(watching);
        let mut seen = Vec::new();
        for _ in 0..14 {
            // The paused clock moves on by itself when nothing else can.
            let _ = tokio::time::timeout(Duration::from_secs(1), &mut watching).await;
            if seen.last() != Some(&readiness.health()) {
                seen.push(readiness.health());
            }
        }
        assert_eq!(seen, [Health::Ok, Health::Degraded, Health::Ok]);
    }
}
