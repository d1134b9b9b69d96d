//! The settings that services share.

use std::net::SocketAddr;
use std::str::FromStr;

use http_kit::{Secret, Settings};
use social_api::{Authentication, InvalidKey, TokenVerifier};

const LISTEN: &str = "SOCIAL_LISTEN";
const AUTH: &str = "SOCIAL_AUTH";
const JWT_KEY: &str = "SOCIAL_JWT_KEY";
const JWT_PUBLIC_KEY: &str = "SOCIAL_JWT_PUBLIC_KEY";

/// `off` or `jwt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Auth {
    Off,
    Jwt,
}

impl FromStr for Auth {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "off" => Ok(Self::Off),
            "jwt" => Ok(Self::Jwt),
            _ => Err(()),
        }
    }
}

/// Where to listen: `SOCIAL_LISTEN`, or `port` on loopback. `None` where a problem was noted.
pub fn listen<L: Fn(&str) -> Option<String>>(
    settings: &mut Settings<L>,
    port: u16,
) -> Option<SocketAddr> {
    settings.read(LISTEN, Some(SocketAddr::from(([127, 0, 0, 1], port))))
}

/// Where a service that takes commands listens, and how it knows who asks.
///
/// Without authentication it listens on loopback only. `None` where a problem was noted.
pub fn listen_authenticated<L: Fn(&str) -> Option<String>>(
    settings: &mut Settings<L>,
    port: u16,
) -> Option<(SocketAddr, Authentication)> {
    let listen = listen(settings, port);
    let auth = settings.read(AUTH, Some(Auth::Off));
    let verifier = verifier(settings, auth == Some(Auth::Jwt));
    if let (Some(listen), Some(Auth::Off)) = (listen, auth)
        && !listen.ip().to_canonical().is_loopback()
    {
        let message = "must be a loopback address while SOCIAL_AUTH is off";
        settings.problem(LISTEN, message);
    }
    let authentication = match (auth?, verifier) {
        (Auth::Off, _) => Authentication::Off,
        (Auth::Jwt, verifier) => Authentication::Jwt(Box::new(verifier?)),
    };
    Some((listen?, authentication))
}

/// The address of an engine, a secret since it may hold a password. `None` where a problem was noted.
pub fn engine<L: Fn(&str) -> Option<String>>(
    settings: &mut Settings<L>,
    key: &str,
) -> Option<Secret> {
    settings.read(key, None)
}

/// What `parse` makes of an engine's address; where it makes nothing of it, `mistake` is told, since an error of the
/// parser might repeat the value. `None` where a problem was noted.
pub fn engine_as<L: Fn(&str) -> Option<String>, T, E>(
    settings: &mut Settings<L>,
    key: &str,
    mistake: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let found = optional_engine_as(settings, key, mistake, parse)?;
    if found.is_none() {
        settings.problem(key, "missing");
    }
    found
}

/// As [`engine_as`], for an engine that may be done without: then the inner `None`.
pub fn optional_engine_as<L: Fn(&str) -> Option<String>, T, E>(
    settings: &mut Settings<L>,
    key: &str,
    mistake: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<Option<T>> {
    let Some(address) = settings.optional::<Secret>(key)? else {
        return Some(None);
    };
    let Ok(parsed) = parse(address.expose()) else {
        settings.problem(key, mistake);
        return None;
    };
    Some(Some(parsed))
}

/// Reads the keys whether they are used or not, so that their flags are known either way.
fn verifier<L: Fn(&str) -> Option<String>>(
    settings: &mut Settings<L>,
    wanted: bool,
) -> Option<TokenVerifier> {
    let secret = settings.optional::<Secret>(JWT_KEY).flatten();
    let public = settings.optional::<Secret>(JWT_PUBLIC_KEY).flatten();
    let issuer = settings.optional::<String>("SOCIAL_JWT_ISSUER").flatten();
    let audience = settings.optional::<String>("SOCIAL_JWT_AUDIENCE").flatten();
    if !wanted {
        return None;
    }
    let (key, verifier): (&str, Result<TokenVerifier, InvalidKey>) = match (secret, public) {
        (Some(secret), None) => (JWT_KEY, TokenVerifier::secret(secret.expose().as_bytes())),
        (None, Some(pem)) => (JWT_PUBLIC_KEY, TokenVerifier::public_key(pem.expose())),
        (None, None) => {
            settings.problem(JWT_KEY, "missing, and so is SOCIAL_JWT_PUBLIC_KEY");
            return None;
        }
        (Some(_), Some(_)) => {
            settings.problem(JWT_KEY, "given together with SOCIAL_JWT_PUBLIC_KEY");
            return None;
        }
    };
    let mut verifier = match verifier {
        Ok(verifier) => verifier,
        Err(error) => {
            settings.problem(key, error.to_string());
            return None;
        }
    };
    if let Some(issuer) = issuer {
        verifier = verifier.with_issuer(&issuer);
    }
    if let Some(audience) = audience {
        verifier = verifier.with_audience(&audience);
    }
    Some(verifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        environment: &'static [(&'static str, &'static str)],
    ) -> Result<(SocketAddr, Authentication), String> {
        let lookup = |key: &str| {
            let found = environment.iter().find(|(known, _)| *known == key);
            found.map(|(_, value)| (*value).to_owned())
        };
        let mut settings = Settings::new("SOCIAL", lookup, []);
        let found = listen_authenticated(&mut settings, 8080);
        match settings.finish() {
            Ok(()) => Ok(found.expect("without a problem there is a value")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let (listen, authentication) = read(&[]).unwrap();
        assert_eq!(listen.to_string(), "127.0.0.1:8080");
        assert!(matches!(authentication, Authentication::Off));
    }

    #[test]
    fn without_authentication_only_loopback_is_listened_on() {
        for loopback in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            let environment = Box::leak(Box::new([(LISTEN, loopback)]));
            assert!(read(environment).is_ok(), "{loopback}");
        }
        let problem = read(&[(LISTEN, "0.0.0.0:1")]).unwrap_err();
        assert!(problem.starts_with("SOCIAL_LISTEN: "), "{problem}");
        let jwt = &[
            (LISTEN, "0.0.0.0:1"),
            (AUTH, "jwt"),
            (JWT_KEY, "0123456789abcdef0123456789abcdef"),
        ];
        assert!(read(jwt).is_ok());
    }

    #[test]
    fn an_engine_s_address_is_missing_or_mistaken_and_never_told() {
        let lookup = |key: &str| (key != "B").then(|| "hunter2".to_owned());
        let mut settings = Settings::new("SOCIAL", lookup, []);
        let length = |text: &str| Ok::<_, ()>(text.len());
        let refuse = |_: &str| Err::<(), ()>(());
        assert_eq!(engine_as(&mut settings, "A", "no", length), Some(7));
        assert_eq!(engine_as(&mut settings, "B", "no", length), None);
        assert_eq!(engine_as(&mut settings, "C", "no engine", refuse), None);
        let absent = optional_engine_as(&mut settings, "B", "no", length);
        assert_eq!(absent, Some(None));
        let told = settings.finish().unwrap_err().to_string();
        assert_eq!(told, "B: missing\nC: no engine");
    }

    #[test]
    fn every_mistake_is_told_and_no_value() {
        let problems =
            read(&[(LISTEN, "hunter2"), (AUTH, "jwt"), (JWT_KEY, "hunter2")]).unwrap_err();
        let keys: Vec<_> = problems
            .lines()
            .filter_map(|l| l.split(':').next())
            .collect();
        assert_eq!(keys, [LISTEN, JWT_KEY]);
        assert!(!problems.contains("hunter2"));
        assert!(read(&[(AUTH, "jwt")]).unwrap_err().starts_with(JWT_KEY));
        assert!(read(&[(AUTH, "none")]).is_err());
    }
}
