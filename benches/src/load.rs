//! How durable commands are measured, the same for everybody: so many callers, each waiting for its answer before it asks again.

use std::fmt;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::next_id;

/// What callers have got in one round.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Whose it is.
    pub name: String,
    /// How many callers there were at the same time.
    pub callers: usize,
    /// Acknowledged commands per second.
    pub rate: f64,
    /// Milliseconds that half of the acknowledged commands took at most.
    pub p50: f64,
    /// Milliseconds that 99 of 100 took at most.
    pub p99: f64,
    /// Commands that were acknowledged.
    pub acknowledged: u64,
    /// Commands that were refused, as by a busy store.
    pub refused: u64,
    /// What was found in the store afterwards.
    pub stored: u64,
}

impl Load {
    /// Has `callers` begin a note each, again and again, for `time`. What is stored is for the caller to count.
    ///
    /// # Panics
    ///
    /// Where `begin` does.
    pub async fn of<B, F>(name: &str, callers: usize, time: Duration, begin: B) -> Self
    where
        B: Fn(Uuid) -> F + Clone + Send + 'static,
        F: Future<Output = bool> + Send,
    {
        let start = Instant::now();
        let tasks = (0..callers).map(|_| {
            let begin = begin.clone();
            tokio::spawn(async move {
                let (mut times, mut refused) = (Vec::new(), 0);
                while start.elapsed() < time {
                    let asked = Instant::now();
                    if begin(next_id()).await {
                        times.push(asked.elapsed());
                    } else {
                        refused += 1;
                    }
                }
                (times, refused)
            })
        });
        let (mut times, mut refused) = (Vec::new(), 0);
        for task in tasks.collect::<Vec<_>>() {
            let (more, others) = task.await.expect("a caller");
            times.extend(more);
            refused += others;
        }
        let elapsed = start.elapsed();
        times.sort();
        let part = |part: usize| {
            let at = (times.len() * part / 100).min(times.len().saturating_sub(1));
            times.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        Self {
            name: name.to_owned(),
            callers,
            rate: times.len() as f64 / elapsed.as_secs_f64(),
            p50: part(50),
            p99: part(99),
            acknowledged: times.len() as u64,
            refused,
            stored: 0,
        }
    }

    /// What [`Display`](fmt::Display) wrote; `None` for any other line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("load: ")?.split(", ");
        Some(Self {
            name: words.next()?.to_owned(),
            callers: words.next()?.parse().ok()?,
            rate: words.next()?.parse().ok()?,
            p50: words.next()?.parse().ok()?,
            p99: words.next()?.parse().ok()?,
            acknowledged: words.next()?.parse().ok()?,
            refused: words.next()?.parse().ok()?,
            stored: words.next()?.parse().ok()?,
        })
    }
}

/// One line, for a program of another process.
impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, callers, .. } = self;
        let Self { rate, p50, p99, .. } = self;
        write!(f, "load: {name}, {callers}, {rate}, {p50}, {p99}, ")?;
        write!(
            f,
            "{}, {}, {}",
            self.acknowledged, self.refused, self.stored
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Load;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let load = Load {
            name: "one bare insert".to_owned(),
            callers: 64,
            rate: 1234.5,
            p50: 0.25,
            p99: 1.5,
            acknowledged: 3,
            refused: 2,
            stored: 1,
        };
        assert_eq!(Load::parse(&load.to_string()), Some(load));
        assert_eq!(Load::parse("| a | table |"), None);
    }
}
