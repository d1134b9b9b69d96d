//! The social read model in PostgreSQL: tables, what events do to them, and the queries on them.
//!
//! A slice of events is folded in three steps: [`load`] fetches every row that its events can
//! touch, together; [`fold`] changes them in memory; [`write`] writes each changed row once.

mod fold;
mod load;
mod model;
mod posts;
mod queries;
mod read;
mod rows;
mod write;

pub use queries::PgQueries;
