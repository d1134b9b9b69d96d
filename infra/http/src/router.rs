use std::borrow::Cow;

use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, StatusCode};

use crate::{Problem, Response, percent, response};

/// Finds the route of a request by path, then by method.
///
/// Generic over what a route is: with an enum, the application matches on it
/// and the compiler sees to it that every route is handled. `GET` routes answer
/// `HEAD` too, every path answers `OPTIONS`, and a trailing slash makes
/// another path.
///
/// # Example
///
/// ```
/// use http_kit::{Resolved, Router};
/// use hyper::Method;
///
/// #[derive(Clone, Copy, PartialEq, Debug)]
/// enum Route { GetPost }
///
/// let router = Router::new().route(Method::GET, "/v1/posts/{id}", Route::GetPost);
/// let matched = router.resolve(&Method::HEAD, "/v1/posts/7").found().unwrap();
/// assert_eq!((*matched.route, matched.params.get("id")), (Route::GetPost, "7"));
/// ```
#[derive(Debug, Clone)]
pub struct Router<H> {
    paths: matchit::Router<usize>,
    entries: Vec<Entry<H>>,
}

#[derive(Debug, Clone)]
struct Entry<H> {
    pattern: &'static str,
    routes: Vec<(Method, H)>,
    allow: HeaderValue,
}

/// What [`Router::resolve`] found.
#[derive(Debug)]
pub enum Resolved<'r, H> {
    /// A route, with the parameters of its path.
    Found(Matched<'r, H>),
    /// An `OPTIONS` request; the methods of the path.
    Options(HeaderValue),
    /// The path exists, but not with this method; those that it has.
    MethodNotAllowed(HeaderValue),
    /// A route, but the named parameter of its path is not percent-encoded UTF-8.
    MalformedParam {
        /// The route as it was registered: who may use it may be asked first.
        route: &'r H,
        /// The name of the parameter.
        name: String,
    },
    /// No route has this path.
    NotFound,
}

/// A route that was found.
#[derive(Debug)]
pub struct Matched<'r, H> {
    /// The route as it was registered.
    pub route: &'r H,
    /// The pattern of its path: a label for metrics and spans.
    pub pattern: &'static str,
    /// The parameters of the path, decoded.
    pub params: Params<'r>,
}

/// The parameters of a path, decoded.
#[derive(Debug, Default)]
pub struct Params<'p>(Vec<(String, Cow<'p, str>)>);

impl Params<'_> {
    /// The value of a parameter; empty when the pattern has none of that name.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }
}

impl<H> Router<H> {
    /// A router without routes.
    pub fn new() -> Self {
        Self {
            paths: matchit::Router::new(),
            entries: Vec::new(),
        }
    }

    /// Adds a route; `{name}` in the pattern stands for one segment.
    ///
    /// # Panics
    ///
    /// When the pattern is malformed, contradicts another one, or already has
    /// the method: the table of routes is part of the program.
    #[must_use]
    pub fn route(mut self, method: Method, pattern: &'static str, route: H) -> Self {
        let known = self
            .entries
            .iter()
            .position(|entry| entry.pattern == pattern);
        let index = known.unwrap_or_else(|| {
            let index = self.entries.len();
            if let Err(error) = self.paths.insert(pattern, index) {
                panic!("route `{pattern}` cannot be added: {error}");
            }
            let allow = HeaderValue::from_static("OPTIONS");
            self.entries.push(Entry {
                pattern,
                routes: Vec::new(),
                allow,
            });
            index
        });
        let entry = &mut self.entries[index];
        let taken = entry.routes.iter().any(|(other, _)| *other == method);
        assert!(!taken, "route `{method} {pattern}` was added twice");
        entry.routes.push((method, route));
        entry.allow = entry.allowed();
        self
    }

    /// Finds the route of a request; `path` is without the query string.
    pub fn resolve<'r>(&'r self, method: &Method, path: &'r str) -> Resolved<'r, H> {
        let Ok(matched) = self.paths.at(path) else {
            return Resolved::NotFound;
        };
        let entry = &self.entries[*matched.value];
        let Some(route) = entry.find(method) else {
            return match *method {
                Method::OPTIONS => Resolved::Options(entry.allow.clone()),
                _ => Resolved::MethodNotAllowed(entry.allow.clone()),
            };
        };
        let mut params = Vec::with_capacity(matched.params.len());
        for (name, raw) in matched.params.iter() {
            // Decoded after matching: an encoded slash does not make a segment.
            match percent::decode(raw, false) {
                Some(value) => params.push((name.to_owned(), value)),
                None => {
                    let name = name.to_owned();
                    return Resolved::MalformedParam { route, name };
                }
            }
        }
        Resolved::Found(Matched {
            route,
            pattern: entry.pattern,
            params: Params(params),
        })
    }
}

impl<H> Default for Router<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> Entry<H> {
    fn find(&self, method: &Method) -> Option<&H> {
        // The server leaves the body out of an answer to `HEAD`.
        let method = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        self.routes
            .iter()
            .find(|(known, _)| known == method)
            .map(|(_, route)| route)
    }

    fn allowed(&self) -> HeaderValue {
        let mut names = Vec::new();
        for (method, _) in &self.routes {
            names.push(method.as_str());
            if *method == Method::GET {
                names.push("HEAD");
            }
        }
        names.push("OPTIONS");
        // Names of methods are tokens, and so is a list of them.
        HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
    }
}

impl<'r, H> Resolved<'r, H> {
    /// The route, or the answer that needs none: 204 to `OPTIONS`, 404, 405,
    /// or 400 `malformed-id` for a parameter that cannot be decoded.
    ///
    /// # Errors
    ///
    /// That answer.
    // The answer is returned once per request, by value, to be sent.
    #[allow(clippy::result_large_err)]
    pub fn found(self) -> Result<Matched<'r, H>, Response> {
        match self {
            Self::Found(matched) => Ok(matched),
            Self::Options(allow) => {
                let mut response = response::empty(StatusCode::NO_CONTENT);
                response.headers_mut().insert(ALLOW, allow);
                Err(response)
            }
            Self::MethodNotAllowed(allow) => {
                let allow = allow.to_str().unwrap_or_default();
                Err(Problem::method_not_allowed(allow).into_response())
            }
            Self::MalformedParam { name, .. } => Err(Problem::malformed_id(name).into_response()),
            Self::NotFound => Err(Problem::unknown_route().into_response()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router<u8> {
        Router::new()
            .route(Method::GET, "/v1/posts/{id}", 1)
            .route(Method::DELETE, "/v1/posts/{id}", 2)
            .route(Method::POST, "/v1/posts", 3)
            .route(Method::PUT, "/v1/posts/{id}/comments/{cid}", 4)
            .route(Method::PUT, "/v1/authors/me", 5)
            .route(Method::GET, "/v1/authors/{actor}", 6)
    }

    #[test]
    fn a_route_is_found_by_path_and_method() {
        let router = router();
        let found = |method: Method, path| {
            router
                .resolve(&method, path)
                .found()
                .map(|m| *m.route)
                .map_err(|r| r.status().as_u16())
        };
        assert_eq!(found(Method::GET, "/v1/posts/7"), Ok(1));
        assert_eq!(found(Method::HEAD, "/v1/posts/7"), Ok(1));
        assert_eq!(found(Method::DELETE, "/v1/posts/7"), Ok(2));
        assert_eq!(found(Method::GET, "/v1/authors/alice"), Ok(6));
        assert_eq!(found(Method::OPTIONS, "/v1/posts"), Err(204));
        assert_eq!(found(Method::HEAD, "/v1/posts"), Err(405));
        assert_eq!(found(Method::GET, "/v1/authors/me"), Err(405));
        for path in [
            "/",
            "",
            "*",
            "/v1/posts/",
            "/v1/posts/7/",
            "/v1//posts",
            "/v1/posts//comments/1",
        ] {
            assert_eq!(found(Method::POST, path), Err(404), "{path}");
        }
        assert_eq!(found(Method::GET, "/v1/posts/%zz"), Err(400));
    }

    #[test]
    fn parameters_are_decoded_after_matching() {
        let router = router();
        let matched = router
            .resolve(&Method::PUT, "/v1/posts/a%2Fb/comments/%C3%A9+")
            .found()
            .unwrap();
        assert_eq!(matched.params.get("id"), "a/b");
        assert_eq!(matched.params.get("cid"), "é+");
        assert_eq!(matched.params.get("other"), "");
    }

    #[test]
    fn allow_lists_the_methods_of_the_path() {
        let router = router();
        let response = router
            .resolve(&Method::PATCH, "/v1/posts/7")
            .found()
            .unwrap_err();
        assert_eq!(response.headers()[ALLOW], "GET, HEAD, DELETE, OPTIONS");
    }
}
