//! What is known of the versions that are fed, for whoever watches the process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cqrs_core::{ApplyError, ParkedStreams, Partition, Progress, Projection, TailLog};
use cqrs_mongo::MongoStore;
use cqrs_postgres::PgProjection;
use http_kit::{Health, Readiness};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use social_read_model::SocialReadModel;

/// The versions that this process feeds, by number. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feeds(Arc<Mutex<BTreeMap<u32, Feed>>>);

/// One version.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    /// What this process has done for it.
    pub(crate) progress: Progress,
    pub(crate) projection: PgProjection<SocialReadModel>,
    pub(crate) seen: Seen,
}

/// How it stood when it was last looked at, whoever feeds it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Commits done, over all partitions.
    done: u64,
    /// Commits that are in the log and not done; `None` where the log is away.
    lag: Option<u64>,
    /// Streams that wait for a human.
    parked: u64,
}

impl Feeds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Feed>> {
        // Nothing panics under the lock half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, version: u32, feed: Feed) {
        self.lock().insert(version, feed);
    }

    pub(crate) fn remove(&self, version: u32) {
        self.lock().remove(&version);
    }

    /// Looks how every version stands, in PostgreSQL and beside the log.
    ///
    /// # Errors
    ///
    /// PostgreSQL did not answer.
    pub(crate) async fn look(&self, log: Option<&MongoStore>) -> Result<(), ApplyError> {
        let feeds = self.lock().clone();
        for (version, feed) in feeds {
            let seen = feed.look(log).await?;
            if let Some(feed) = self.lock().get_mut(&version) {
                feed.seen = seen;
            }
        }
        Ok(())
    }

    /// Shows in `readiness` what is parked, what lags and what was given up.
    pub(crate) fn report(&self, readiness: &Readiness) {
        let feeds = self.clone();
        readiness.measure("parked_streams", move || {
            match feeds.sum(|feed| feed.seen.parked) {
                0 => (Health::Ok, 0),
                parked => (Health::Degraded, parked),
            }
        });
        let feeds = self.clone();
        readiness.measure("lag", move || {
            (Health::Ok, feeds.sum(|feed| feed.seen.lag.unwrap_or(0)))
        });
        let feeds = self.clone();
        readiness.measure("stopped_partitions", move || {
            let stopped = feeds.sum(|feed| social_service::stopped_partitions(&feed.progress));
            match stopped {
                0 => (Health::Ok, 0),
                stopped => (Health::Down, stopped),
            }
        });
    }

    fn sum(&self, read: impl Fn(&Feed) -> u64) -> u64 {
        self.lock().values().map(read).sum()
    }
}

impl Feed {
    async fn look(&self, log: Option<&MongoStore>) -> Result<Seen, ApplyError> {
        let mut seen = Seen {
            lag: log.map(|_| 0),
            ..Seen::default()
        };
        for partition in Partition::all(self.progress.partitions()) {
            let done = self.projection.checkpoint(partition).await?.position.get();
            seen.done += done;
            seen.parked += self.projection.parked(partition).await?.len() as u64;
            let head = match log {
                Some(log) => log.head(partition).await.ok(),
                None => None,
            };
            let behind = head.map(|head| head.get().saturating_sub(done));
            seen.lag = seen.lag.zip(behind).map(|(sum, behind)| sum + behind);
        }
        Ok(seen)
    }
}

impl Collector for Feeds {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let feeds = self.lock().clone();
        let mut gauge = |name: &str, help: &str, read: &dyn Fn(&Feed) -> Option<u64>| {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (version, feed) in &feeds {
                if let Some(value) = read(feed) {
                    let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
                    value.encode(metric.encode_family(&[("version", version.to_string())])?)?;
                }
            }
            fmt::Result::Ok(())
        };
        let lag = "Commits of the log that are not done";
        gauge("projector_lag", lag, &|feed| feed.seen.lag)?;
        let done = "Commits done";
        gauge("projector_position", done, &|feed| Some(feed.seen.done))?;
        let parked = "Streams that wait for a human";
        gauge("projector_parked_streams", parked, &|feed| {
            Some(feed.seen.parked)
        })?;
        let mut counter = |name: &str, help: &str, read: &dyn Fn(&Feed) -> u64| {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (version, feed) in &feeds {
                let value = ConstCounter::new(read(feed));
                value.encode(metric.encode_family(&[("version", version.to_string())])?)?;
            }
            fmt::Result::Ok(())
        };
        let events = "Events applied by this process";
        counter("projector_events", events, &|feed| {
            feed.progress.counts().events
        })?;
        let batches = "Transactions of this process";
        counter("projector_batches", batches, &|feed| {
            feed.progress.counts().batches
        })?;
        let retries = "Batches tried again by this process";
        counter("projector_retries", retries, &|feed| {
            feed.progress.counts().retries
        })
    }
}
