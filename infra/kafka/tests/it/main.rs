//! The bus on Kafka: on librdkafka's mock cluster, where errors can be injected, and on real brokers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bus;
mod contract;
mod foreign;
mod group;
mod requests;
mod support;
#[cfg(feature = "ssl")]
mod tls;
mod topic;
