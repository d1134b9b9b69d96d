//! The distributed system: its services as processes, on real engines, each test with a database, topics and a log of its own.
//!
//! The services write; what they wrote is read back past them (the log from MongoDB, the topic from Kafka) and compared with
//! what clients were told, and with what the queries answer. Tests run one at a time: each has many processes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets an error has found it"
)]

mod activity;
mod bare;
mod binaries;
mod client;
mod engines;
mod history;
mod load;
mod messages;
mod names;
mod process;
mod recount;
mod script;
mod topic;
mod wait;
mod world;

mod chaos;
mod foreign;
mod latency;
mod poison;
mod projectors;
mod race;
mod rebuild;
mod system;
mod tokens;
