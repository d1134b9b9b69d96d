//! What every social service does around its own work: settings, logging, health, background, drain.
//!
//! A service is a `main` of three steps: [`run`] reads its settings, [`Service::bind`] listens,
//! [`Service::serve`] answers until a signal and then drains. It knows no engine: each binary opens its own.

mod background;
mod connect;
mod metrics;
mod names;
mod process;
mod server;
mod settings;
pub mod transfer;

pub use background::{Background, Stopping};
pub use connect::{Failure, connect, look_at, watch};
pub use metrics::{CommandStats, FollowerStats, LagStats, counter, gauge, stopped_partitions};
pub use names::{events_topic, log_database, partitions, schema_prefix};
pub use process::{
    About, Environment, block_on, block_on_beside, ended, environment, log_to_stderr,
    misconfigured, run, start_id,
};
pub use server::Service;
pub use settings::{engine, engine_as, listen, listen_authenticated, optional_engine_as};
