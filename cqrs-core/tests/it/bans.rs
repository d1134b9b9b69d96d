//! What `clippy.toml` forbids in this crate is found: clippy complains of every line here that it should refuse and
//! does not. Nothing runs; under plain `cargo test` this only compiles. (`tokio::select!` is found too, but not where it is
//! expected: the lint looks at what the macro becomes.)

use std::future::Ready;
use std::io;
use std::thread::{Builder, Scope};
use std::time::{Duration, SystemTime, SystemTimeError};

use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{Interval, Timeout};

type Spawned = io::Result<std::thread::JoinHandle<()>>;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(Ready<()>) -> JoinHandle<()> = tokio::spawn;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(fn()) -> JoinHandle<()> = tokio::task::spawn_blocking;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(Ready<()>) -> JoinHandle<()> = tokio::task::spawn_local;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(&mut JoinSet<()>, Ready<()>) -> AbortHandle = JoinSet::spawn;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn() -> tokio::runtime::Handle = tokio::runtime::Handle::current;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn() -> tokio::time::Instant = tokio::time::Instant::now;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(Duration) -> tokio::time::Sleep = tokio::time::sleep;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(tokio::time::Instant) -> tokio::time::Sleep = tokio::time::sleep_until;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(Duration, Ready<()>) -> Timeout<Ready<()>> = tokio::time::timeout;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(Duration) -> Interval = tokio::time::interval;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(fn()) -> std::thread::JoinHandle<()> = std::thread::spawn;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(fn(&Scope<'_, '_>)) = std::thread::scope;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(Builder, fn()) -> Spawned = Builder::spawn;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(Duration) = std::thread::sleep;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn() -> std::time::Instant = std::time::Instant::now;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(&std::time::Instant) -> Duration = std::time::Instant::elapsed;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn() -> SystemTime = SystemTime::now;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn(&SystemTime) -> Result<Duration, SystemTimeError> = SystemTime::elapsed;

#[expect(clippy::disallowed_methods, reason = "the ban is shown")]
const _: fn() -> uuid::Uuid = uuid::Uuid::now_v7;

#[expect(clippy::disallowed_types, reason = "the ban is shown")]
const _: Option<std::collections::HashMap<(), ()>> = None;

#[expect(clippy::disallowed_types, reason = "the ban is shown")]
const _: Option<std::collections::HashSet<()>> = None;

#[expect(clippy::disallowed_types, reason = "the ban is shown")]
const _: Option<std::hash::RandomState> = None;

#[expect(clippy::disallowed_types, reason = "the ban is shown")]
const _: Option<foldhash::fast::RandomState> = None;

#[expect(clippy::disallowed_types, reason = "the ban is shown")]
const _: Option<foldhash::quality::RandomState> = None;
