//! Every path of the contract.

use http_kit::Router;
use hyper::Method;

use crate::commands::CommandKind;

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// A command by its own path.
    Command(CommandKind),
    /// Any command, as a message.
    Message,
    /// A query.
    Query(QueryRoute),
    /// Whether the process answers at all.
    Livez,
    /// Whether it should get requests.
    Readyz,
    /// What it counted.
    Metrics,
}

/// Which query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryRoute {
    Post,
    Posts,
    Comments,
    Comment,
    Likes,
    Author,
}

/// The paths of a service that serves commands, queries, or both, with those that every service has.
pub(crate) fn router(commands: bool, queries: bool) -> Router<Route> {
    let mut router = Router::new()
        .route(Method::GET, "/livez", Route::Livez)
        .route(Method::GET, "/readyz", Route::Readyz)
        .route(Method::GET, "/metrics", Route::Metrics);
    if queries {
        router = with_queries(router);
    }
    if commands {
        router = with_commands(router);
    }
    router
}

fn with_queries(router: Router<Route>) -> Router<Route> {
    [
        ("/v1/posts", QueryRoute::Posts),
        ("/v1/posts/{id}", QueryRoute::Post),
        ("/v1/posts/{id}/comments", QueryRoute::Comments),
        ("/v1/posts/{id}/comments/{cid}", QueryRoute::Comment),
        ("/v1/posts/{id}/likes", QueryRoute::Likes),
        ("/v1/authors/{actor}", QueryRoute::Author),
    ]
    .into_iter()
    .fold(router, |router, (path, query)| {
        router.route(Method::GET, path, Route::Query(query))
    })
}

fn with_commands(router: Router<Route>) -> Router<Route> {
    use CommandKind as C;
    let comment = "/v1/posts/{id}/comments/{cid}";
    let comment_like = "/v1/posts/{id}/comments/{cid}/like";
    [
        (Method::POST, "/v1/posts", C::CreatePost),
        (Method::PUT, "/v1/posts/{id}/message", C::EditPost),
        (Method::DELETE, "/v1/posts/{id}", C::DeletePost),
        (Method::PUT, "/v1/posts/{id}/like", C::LikePost),
        (Method::DELETE, "/v1/posts/{id}/like", C::UnlikePost),
        (Method::POST, "/v1/posts/{id}/comments", C::AddComment),
        (Method::PUT, comment, C::EditComment),
        (Method::DELETE, comment, C::RemoveComment),
        (Method::PUT, comment_like, C::LikeComment),
        (Method::DELETE, comment_like, C::UnlikeComment),
        (Method::PUT, "/v1/authors/me", C::RegisterAuthor),
    ]
    .into_iter()
    .fold(router, |router, (method, path, command)| {
        router.route(method, path, Route::Command(command))
    })
    .route(Method::POST, "/v1/commands", Route::Message)
}

impl CommandKind {
    /// Whether the request has a body that must be there.
    pub(crate) fn has_body(self) -> bool {
        matches!(
            self,
            Self::CreatePost
                | Self::EditPost
                | Self::AddComment
                | Self::EditComment
                | Self::RegisterAuthor
        )
    }
}
