use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

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
/// Parts report; nothing is probed while a request waits.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    checks: Arc<Mutex<BTreeMap<&'static str, Health>>>,
}

#[derive(Serialize)]
struct Report {
    status: Health,
    checks: BTreeMap<&'static str, Health>,
}

impl Readiness {
    /// No checks: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reports how a part is doing, and adds the check where it is new.
    pub fn set(&self, check: &'static str, health: Health) {
        self.lock().insert(check, health);
    }

    /// The worst of all checks.
    pub fn health(&self) -> Health {
        self.lock().values().copied().max().unwrap_or(Health::Ok)
    }

    /// The answer of `/readyz`: 200, or 503 with `Retry-After` while a check
    /// is down.
    pub fn readyz(&self) -> Response {
        let checks = self.lock().clone();
        let status = checks.values().copied().max().unwrap_or(Health::Ok);
        let report = Report { status, checks };
        if status < Health::Down {
            return response::json(StatusCode::OK, &report);
        }
        let mut response = response::json(StatusCode::SERVICE_UNAVAILABLE, &report);
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Health>> {
        // No code that can panic runs under the lock, and the map is whole
        // after every statement.
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
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
}
