//! How a store is opened.

use std::fmt;
use std::time::Duration;

use mongodb::options::ConnectionString;

use crate::error::OpenError;
use crate::look::Tailing;

/// The most partitions that a store may have.
const MAX_PARTITIONS: u16 = 1_024;
/// The longest that anything is waited for: what is longer is a mistake, and some would not fit the protocol.
const LONGEST: Duration = Duration::from_secs(3_600);
/// The longest name of a database, in bytes, and what none may hold on any system.
const MAX_NAME: usize = 63;
const NOT_IN_NAMES: &str = "/\\. \"$*<>:|?\0";

/// How a store is opened. `Debug` does not show the URI, which may hold a password.
#[derive(Clone, PartialEq, Eq)]
pub struct MongoOptions {
    /// Where the server is: `mongodb://…`. Its read preference and concerns are not used.
    pub uri: String,
    /// The database; one store each.
    pub database: String,
    /// Log partitions, 1 to 1,024; fixed when the store is created, checked afterwards.
    pub partitions: u16,
    /// Connections at most, 4 or more. A partition in use needs two, one of them for its readers.
    pub pool: u32,
    /// How long to look for a server before a call fails; this and the other times 1 ms to 1 h.
    pub select_timeout: Duration,
    /// How long a read or write may take before its outcome counts as unknown.
    pub call_timeout: Duration,
    /// How long an append whose outcome is unknown is tried before its caller is told so.
    pub give_up: Duration,
    /// Calls that may wait for each partition's committer; more are refused.
    pub queue: usize,
    /// Bytes that may wait for each partition's committer; once there are as many, more are refused.
    pub queue_bytes: usize,
    /// Calls that may wait for one stream; more are refused.
    pub stream_queue: usize,
    /// The most commits in one insert, 1 to 1,000.
    pub group: usize,
    /// Streams of each partition whose head is remembered; 4,096 or more.
    pub cached_heads: usize,
    /// How soon those who follow the log are told what other processes append.
    pub tailing: Tailing,
}

impl MongoOptions {
    /// The defaults, for `database` at `uri`: four partitions, 24 connections, close tailing.
    #[must_use]
    pub fn new(uri: impl Into<String>, database: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            database: database.into(),
            partitions: 4,
            pool: 24,
            select_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            give_up: Duration::from_secs(15),
            queue: 16_384,
            queue_bytes: 64 << 20,
            stream_queue: 1_024,
            group: 500,
            cached_heads: 16_384,
            tailing: Tailing::Close,
        }
    }

    /// The same, where both can be used; looks nothing up.
    ///
    /// # Errors
    ///
    /// [`OpenError::Option`]: `uri` is no connection string, or `database` no name of one.
    pub fn parse(uri: &str, database: &str) -> Result<Self, OpenError> {
        ConnectionString::parse(uri).map_err(|_| OpenError::Option {
            name: "uri",
            range: "a MongoDB connection string",
        })?;
        let options = Self::new(uri, database);
        options.check()?;
        Ok(options)
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let bad = |name, range| Err(OpenError::Option { name, range });
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            bad("partitions", "1 to 1024")
        } else if !is_name(&self.database) {
            bad("database", "1 to 63 bytes without /\\. \"$*<>:|?")
        } else if ![self.select_timeout, self.call_timeout, self.give_up]
            .iter()
            .all(|time| (Duration::from_millis(1)..=LONGEST).contains(time))
        {
            bad("select_timeout, call_timeout and give_up", "1 ms to 1 h")
        } else if self.pool < 4 {
            bad("pool", "4 or more")
        } else if self.queue == 0 || self.queue_bytes == 0 || self.stream_queue == 0 {
            bad("queue, queue_bytes and stream_queue", "1 or more")
        } else if !(1..=1_000).contains(&self.group) {
            bad("group", "1 to 1000")
        } else if self.cached_heads < 4_096 {
            bad("cached_heads", "4096 or more")
        } else {
            Ok(())
        }
    }
}

fn is_name(database: &str) -> bool {
    (1..=MAX_NAME).contains(&database.len()) && !database.contains(|c| NOT_IN_NAMES.contains(c))
}

impl fmt::Debug for MongoOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoOptions")
            .field("database", &self.database)
            .field("partitions", &self.partitions)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_or_the_clock_could_not_take_is_refused() {
        let good = MongoOptions::new("mongodb://localhost", "social");
        good.check().unwrap();
        let named = |database: &str| MongoOptions {
            database: database.to_owned(),
            ..good.clone()
        };
        named(&"a".repeat(63)).check().unwrap();
        for name in ["", "a.b", "a/b", "a$b", "a b", "a\0b", &"a".repeat(64)] {
            assert!(named(name).check().is_err(), "{name:?}");
        }
        for time in [Duration::ZERO, Duration::MAX] {
            for wrong in [
                MongoOptions {
                    give_up: time,
                    ..good.clone()
                },
                MongoOptions {
                    call_timeout: time,
                    ..good.clone()
                },
                MongoOptions {
                    select_timeout: time,
                    ..good.clone()
                },
            ] {
                assert!(wrong.check().is_err(), "{time:?}");
            }
        }
    }

    #[test]
    fn what_is_no_connection_string_is_told_before_it_is_used() {
        for uri in [
            "mongodb://a:b@h:1/log?w=1",
            "mongodb://h,i:2/?replicaSet=rs0",
        ] {
            assert_eq!(MongoOptions::parse(uri, "log").unwrap().uri, uri);
        }
        for uri in ["", "h:1", "postgres://h/d", "mongodb://h:port"] {
            let refused = MongoOptions::parse(uri, "log");
            let told = matches!(refused, Err(OpenError::Option { name: "uri", .. }));
            assert!(told, "{uri}");
        }
    }
}
