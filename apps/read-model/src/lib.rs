//! The social read model: rows made from events, and the queries on them.
//!
//! [`SocialQueries`] is what a service asks; the views are what it answers, member by member as on
//! the wire. Neither knows the store: every store behind the trait answers alike.

mod cursor;
mod model;
mod paging;
mod postgres;
mod query;
mod sqlite;
mod views;

pub use model::SocialReadModel;
pub use postgres::PgQueries;
pub use query::{
    AuthorKey, Missing, PageRequest, PostFilter, QueryError, SocialQueries, Sort, Tokens,
};
pub use sqlite::SqliteQueries;
pub use views::{AuthorView, CommentView, LikeView, Page, PostView, UtcMillis};
