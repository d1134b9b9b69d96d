//! The configuration: flags and environment, read once, all mistakes told at once.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use http_kit::{ConfigError, Secret, Settings};
use social_api::{Authentication, InvalidKey, TokenVerifier};

const JWT_KEY: &str = "SOCIAL_JWT_KEY";
const JWT_PUBLIC_KEY: &str = "SOCIAL_JWT_PUBLIC_KEY";

/// What the server is told.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where it listens; port 0 picks a free one.
    pub(crate) listen: SocketAddr,
    /// The directory of the store.
    pub(crate) data: PathBuf,
    /// Who is asking.
    pub(crate) authentication: Authentication,
}

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

impl Config {
    /// Reads everything that serving needs.
    ///
    /// # Errors
    ///
    /// Every mistake, by key.
    pub(crate) fn read<L: Fn(&str) -> Option<String>>(
        mut settings: Settings<L>,
    ) -> Result<Self, ConfigError> {
        let listen = settings.read(
            "SOCIAL_LISTEN",
            Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
        );
        let data = data(&mut settings);
        let auth = settings.read("SOCIAL_AUTH", Some(Auth::Off));
        let verifier = verifier(&mut settings, auth == Some(Auth::Jwt));
        if let (Some(listen), Some(Auth::Off)) = (listen, auth)
            && !listen.ip().to_canonical().is_loopback()
        {
            let message = "must be a loopback address while SOCIAL_AUTH is off";
            settings.problem("SOCIAL_LISTEN", message);
        }
        settings.finish()?;
        let authentication = verifier.map_or(Authentication::Off, |verifier| {
            Authentication::Jwt(Box::new(verifier))
        });
        match (listen, data) {
            (Some(listen), Some(data)) => Ok(Self {
                listen,
                data,
                authentication,
            }),
            // Each absence was noted as a problem, which ended this above.
            _ => unreachable!("a setting is missing without a problem"),
        }
    }
}

/// Reads the data directory, all that the offline commands need.
///
/// # Errors
///
/// Every mistake, by key.
pub(crate) fn data_only<L: Fn(&str) -> Option<String>>(
    mut settings: Settings<L>,
) -> Result<PathBuf, ConfigError> {
    let data = data(&mut settings);
    settings.finish()?;
    Ok(data.unwrap_or_default())
}

fn data<L: Fn(&str) -> Option<String>>(settings: &mut Settings<L>) -> Option<PathBuf> {
    settings.read("SOCIAL_DATA", Some(PathBuf::from("./social-data")))
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

    fn read(environment: &'static [(&'static str, &'static str)]) -> Result<Config, String> {
        let lookup = |key: &str| {
            let found = environment.iter().find(|(known, _)| *known == key);
            found.map(|(_, value)| (*value).to_owned())
        };
        let settings = Settings::new("SOCIAL", lookup, []);
        Config::read(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = read(&[]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.data, PathBuf::from("./social-data"));
        assert!(matches!(config.authentication, Authentication::Off));
    }

    #[test]
    fn without_authentication_only_loopback_is_listened_on() {
        for loopback in [
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            let environment = Box::leak(Box::new([("SOCIAL_LISTEN", loopback)]));
            assert!(read(environment).is_ok(), "{loopback}");
        }
        let problem = read(&[("SOCIAL_LISTEN", "0.0.0.0:1")]).unwrap_err();
        assert!(problem.starts_with("SOCIAL_LISTEN: "), "{problem}");
        let jwt = &[
            ("SOCIAL_LISTEN", "0.0.0.0:1"),
            ("SOCIAL_AUTH", "jwt"),
            (JWT_KEY, "0123456789abcdef0123456789abcdef"),
        ];
        assert!(read(jwt).is_ok());
    }

    #[test]
    fn every_mistake_is_told_and_no_value() {
        let problems = read(&[
            ("SOCIAL_LISTEN", "hunter2"),
            ("SOCIAL_AUTH", "jwt"),
            (JWT_KEY, "hunter2"),
        ])
        .unwrap_err();
        let keys: Vec<_> = problems
            .lines()
            .filter_map(|l| l.split(':').next())
            .collect();
        assert_eq!(keys, ["SOCIAL_LISTEN", JWT_KEY]);
        assert!(!problems.contains("hunter2"));
        let missing = read(&[("SOCIAL_AUTH", "jwt")]).unwrap_err();
        assert!(missing.starts_with(JWT_KEY));
        assert!(read(&[("SOCIAL_AUTH", "none")]).is_err());
    }
}
