//! The social read model in SQLite: tables, what events do to them, and the queries on them.

mod apply;
mod model;
mod often;
mod posts;
mod queries;
mod read;
mod slice;

pub use queries::SqliteQueries;
