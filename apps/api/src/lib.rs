//! The HTTP edge of the social services: routes, parsing, authentication, problems.
//!
//! [`Api`] turns requests into commands and queries and their outcomes into
//! answers. It is generic over whoever handles the commands and answers the
//! queries, and knows no store.

mod answers;
mod api;
mod app;
mod auth;
mod clock;
mod commands;
mod edge;
mod finishing;
mod identity;
mod jwt;
mod late;
mod looking;
mod never;
mod problems;
mod queries;
mod records;
mod routes;

pub use api::Api;
pub use app::{App, mediator};
pub use auth::Authentication;
pub use clock::{SystemClock, SystemRandom, TokioTimer};
pub use commands::{AnyCommand, Refusal, SocialCommands};
pub use edge::CommandEdge;
pub use jwt::{InvalidKey, InvalidToken, TokenVerifier};
pub use late::Late;
pub use looking::Looking;
pub use never::Never;
pub use queries::QueryEdge;
pub use records::Reply;
