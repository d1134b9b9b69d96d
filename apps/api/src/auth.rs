//! Who is asking.

use http_kit::Problem;
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use social_domain::ActorId;

use crate::jwt::TokenVerifier;

/// How the actor of a write is told.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// By the header `X-Actor`, which is believed. For loopback only.
    Off,
    /// By the subject of a bearer token.
    Jwt(Box<TokenVerifier>),
}

impl Authentication {
    /// The actor of a write.
    ///
    /// # Errors
    ///
    /// `unauthenticated` where nobody is named, or not credibly; `invalid-value` for an
    /// `X-Actor` that is none.
    pub fn actor(&self, headers: &HeaderMap) -> Result<ActorId, Problem> {
        match self {
            Self::Off => by_header(headers),
            Self::Jwt(verifier) => by_token(headers, verifier),
        }
    }
}

fn by_header(headers: &HeaderMap) -> Result<ActorId, Problem> {
    let mut values = headers.get_all("x-actor").iter();
    let value = values
        .next()
        .ok_or_else(|| unauthenticated("the header X-Actor is missing"))?;
    let refused = |reason: String| Problem::invalid_value("X-Actor", reason);
    if values.next().is_some() {
        return Err(refused("must stand once".to_owned()));
    }
    let text = value
        .to_str()
        .map_err(|_| refused("must be ASCII".to_owned()))?;
    ActorId::parse(text).map_err(|error| refused(error.to_string()))
}

fn by_token(headers: &HeaderMap, verifier: &TokenVerifier) -> Result<ActorId, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(
            unauthenticated("one Authorization header is needed").www_authenticate("Bearer")
        );
    };
    let token = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim_matches(' '));
    let Some(token) = token else {
        return Err(unauthenticated("a bearer token is needed").www_authenticate("Bearer"));
    };
    let refused =
        |detail: String| unauthenticated(detail).www_authenticate("Bearer error=\"invalid_token\"");
    let subject = verifier
        .subject(token)
        .map_err(|error| refused(error.to_string()))?;
    ActorId::parse(&subject).map_err(|error| refused(format!("the subject {error}")))
}

fn unauthenticated(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new("unauthenticated", 401, "Nobody is credibly named as asking").detail(detail)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn status(authentication: &Authentication, headers: &[(&'static str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        match authentication.actor(&map) {
            Ok(_) => 200,
            Err(problem) => problem.status().as_u16(),
        }
    }

    #[test]
    fn without_authentication_the_header_is_believed() {
        let off = Authentication::Off;
        assert_eq!(status(&off, &[("x-actor", "ada")]), 200);
        assert_eq!(status(&off, &[]), 401);
        for bad in ["", "Ada", "me", "..", "a b", "ä"] {
            assert_eq!(status(&off, &[("x-actor", bad)]), 400, "{bad}");
        }
        assert_eq!(status(&off, &[("x-actor", "a"), ("x-actor", "b")]), 400);
    }

    #[test]
    fn with_tokens_nothing_else_is_believed() {
        let verifier = TokenVerifier::secret(&[7; 32]).unwrap();
        let jwt = Authentication::Jwt(Box::new(verifier));
        for headers in [
            vec![],
            vec![("x-actor", "ada")],
            vec![("authorization", "Basic YTpi")],
            vec![("authorization", "Bearer")],
            vec![("authorization", "bearer nonsense")],
        ] {
            assert_eq!(status(&jwt, &headers), 401, "{headers:?}");
        }
    }
}
