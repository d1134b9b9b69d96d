//! The social read model: rows made from events, and the queries on them.
