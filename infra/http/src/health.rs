use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use serde::Serialize;

use crate::{Response, response};

/// How one part of a service is doing; the worst one decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It works.
    Ok,
    /// It works less well; the service still takes requests.
    Degraded,
    /// It does not work; the service should get no requests.
    Down,
}

/// The named checks behind `/readyz`, shared by all clones.
///
/// Parts report; nothing is probed while a request waits. What stands in memory anyway is
/// read when it is asked for, see [`measure`](Self::measure).
#[derive(Clone, Default)]
pub struct Readiness {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    checks: BTreeMap<&'static str, Health>,
    measures: BTreeMap<&'static str, Arc<Measure>>,
}

type Measure = dyn Fn() -> (Health, u64) + Send + Sync;

#[derive(Serialize)]
struct Report {
    status: Health,
    checks: BTreeMap<&'static str, Health>,
    /// The numbers behind the checks of that name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    measures: BTreeMap<&'static str, u64>,
}

impl Readiness {
    /// No checks: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports how a part is doing, and adds the check where it is new.
    pub fn set(&self, check: &'static str, health: Health) {
        self.lock().checks.insert(check, health);
    }

    /// Adds a check that is a number, shown beside it; `read` must not wait.
    pub fn measure(
        &self,
        check: &'static str,
        read: impl Fn() -> (Health, u64) + Send + Sync + 'static,
    ) {
        self.lock().measures.insert(check, Arc::new(read));
    }

    /// The worst of all checks.
    pub fn health(&self) -> Health {
        self.report().status
    }

    /// The answer of `/readyz`: 200, or 503 with `Retry-After` while a check
    /// is down.
    pub fn readyz(&self) -> Response {
        let report = self.report();
        if report.status < Health::Down {
            return response::json(StatusCode::OK, &report);
        }
        let mut response = response::json(StatusCode::SERVICE_UNAVAILABLE, &report);
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    fn report(&self) -> Report {
        // The measures run outside of the lock: they are others' code.
        let (mut checks, read) = {
            let inner = self.lock();
            (inner.checks.clone(), inner.measures.clone())
        };
        let mut measures = BTreeMap::new();
        for (check, read) in read {
            let (health, number) = read();
            checks.insert(check, health);
            measures.insert(check, number);
        }
        let status = checks.values().copied().max().unwrap_or(Health::Ok);
        Report {
            status,
            checks,
            measures,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code that can panic runs under the lock, and the maps are whole
        // after every statement.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness")
            .field("checks", &self.lock().checks)
            .finish_non_exhaustive()
    }
}

/// The answer of `/livez`: the process turns requests into answers.
pub fn livez() -> Response {
    response::json(StatusCode::OK, &Alive { status: Health::Ok })
}

#[derive(Serialize)]
struct Alive {
    status: Health,
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn the_worst_check_decides() {
        let readiness = Readiness::new();
        assert_eq!(readiness.readyz().status(), 200);
        readiness.set("log", Health::Ok);
        readiness.set("ledger", Health::Degraded);
        assert_eq!(readiness.readyz().status(), 200);
        assert_eq!(readiness.health(), Health::Degraded);
        readiness.set("log", Health::Down);
        let response = readiness.readyz();
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key(RETRY_AFTER));
        readiness.set("log", Health::Ok);
        assert_eq!(readiness.readyz().status(), 200);
    }
    #[test]
    fn a_number_is_read_when_it_is_asked_for() {
        let readiness = Readiness::new();
        let parked = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&parked);
        readiness.measure("parked", move || match read.load(Ordering::Relaxed) {
            0 => (Health::Ok, 0),
            parked => (Health::Degraded, parked),
        });
        let text = |readiness: &Readiness| serde_json::to_string(&readiness.report()).unwrap();
        let well = r#"{"status":"ok","checks":{"parked":"ok"},"measures":{"parked":0}}"#;
        assert_eq!(text(&readiness), well);
        parked.store(2, Ordering::Relaxed);
        let ill = r#"{"status":"degraded","checks":{"parked":"degraded"},"measures":{"parked":2}}"#;
        assert_eq!(text(&readiness), ill);
        assert_eq!(readiness.health(), Health::Degraded);
        assert_eq!(readiness.readyz().status(), 200);
    }
}
