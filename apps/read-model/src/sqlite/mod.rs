//! The social read model in SQLite: tables, what events do to them, and the queries on them.

mod apply;
mod authors;
mod bulk;
mod model;
mod often;
mod posts;
mod queries;
mod read;
mod slice;
mod write;

pub use queries::SqliteQueries;
