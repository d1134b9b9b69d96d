//! The progress bar.

use std::pin::pin;
use std::time::Duration;

use cqrs_postgres::{ReplayPhase, ReplayProgress, ReplayState};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(100);
/// How often a line is written instead, where stderr is no terminal.
const LINE: Duration = Duration::from_secs(5);

/// How far something is, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    /// What it is at.
    pub(crate) doing: &'static str,
    /// Commits done, and in all; 0 where they are not counted.
    pub(crate) commits: u64,
    pub(crate) commits_in_all: u64,
    /// Events done by this process.
    pub(crate) events: u64,
}

impl From<ReplayState> for Reached {
    fn from(state: ReplayState) -> Self {
        let doing = match state.phase {
            ReplayPhase::Waiting => "waiting",
            ReplayPhase::Copying => "copying",
            ReplayPhase::Indexing => "indexing",
            ReplayPhase::CatchingUp => "catching up",
            ReplayPhase::Verifying => "verifying",
            ReplayPhase::Promoting => "promoting",
            ReplayPhase::Done => "done",
        };
        Self {
            doing,
            commits: state.commits,
            commits_in_all: state.commits_in_all,
            events: state.events,
        }
    }
}

/// Does `work`, and shows how far it is: commits, whose number is known beforehand, beside events per second and the
/// time left.
pub(crate) async fn show<T>(
    reached: impl Fn() -> Reached,
    work: impl Future<Output = T>,
) -> anyhow::Result<T> {
    let mut shown = Shown::new()?;
    let mut work = pin!(work);
    let mut tick = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = &mut work => {
                shown.bar.finish_and_clear();
                return Ok(done);
            }
            _ = tick.tick() => shown.update(reached()),
        }
    }
}

/// [`show`] for a replay.
pub(crate) async fn show_replay<T>(
    progress: &ReplayProgress,
    work: impl Future<Output = T>,
) -> anyhow::Result<T> {
    show(|| progress.state().into(), work).await
}

struct Shown {
    bar: ProgressBar,
    doing: &'static str,
    /// When the first event was done, and how many were then.
    began: Option<(Instant, u64)>,
    line: Instant,
}

impl Shown {
    fn new() -> anyhow::Result<Self> {
        let template = "{prefix:>12} {bar:40} {percent:>3}% {pos}/{len} commits, {msg}, {eta} left";
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(template)?);
        Ok(Self {
            bar,
            doing: "",
            began: None,
            line: Instant::now(),
        })
    }

    fn update(&mut self, now: Reached) {
        self.bar.set_length(now.commits_in_all.max(1));
        self.bar.set_position(now.commits);
        if now.doing != self.doing {
            self.doing = now.doing;
            self.bar.set_prefix(now.doing);
            // What was done before, by this process or another, says nothing of the time left.
            self.bar.reset_eta();
            self.began = None;
        }
        let (since, before) = *self.began.get_or_insert((Instant::now(), now.events));
        let rate = rate(now.events - before, since.elapsed());
        self.bar.set_message(format!("{rate} events/s"));
        if self.bar.is_hidden() && self.line.elapsed() >= LINE {
            self.line = Instant::now();
            let left = self.bar.eta().as_secs();
            eprintln!(
                "{}: {}/{} commits, {rate} events/s, {left} s left",
                now.doing, now.commits, now.commits_in_all
            );
        }
    }
}

/// Events per second, for people.
fn rate(events: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    events.saturating_mul(1_000) / millis.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_whole_seconds() {
        assert_eq!(rate(500, Duration::from_millis(250)), 2_000);
        assert_eq!(rate(0, Duration::ZERO), 0);
    }
}
