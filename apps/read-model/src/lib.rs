//! The social read model: rows made from events, and the queries on them.
//!
//! [`SocialQueries`] is what a service asks; the views are what it answers, member by member as on
//! the wire. Neither knows the store: every store behind the trait answers alike. Each store is a feature; without one
//! there are only the questions.

#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod cursor;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod model;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod paging;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
#[cfg(feature = "sqlite")]
mod sqlite;
mod views;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use model::SocialReadModel;
#[cfg(feature = "postgres")]
pub use postgres::PgQueries;
pub use query::{
    AuthorKey, Missing, PageRequest, PostFilter, QueryError, SocialQueries, Sort, Tokens,
};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteQueries;
pub use views::{AuthorView, CommentView, LikeView, Page, PostView, UtcMillis};
