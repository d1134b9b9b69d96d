//! JSON web tokens: verified with exactly the algorithm that the key is for.

use std::fmt;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

/// How far clocks may disagree about `exp` and `nbf`, in seconds.
const LEEWAY_SECONDS: u64 = 5;
/// The shortest HS256 secret, in bytes: as long as the digest.
const SHORTEST_SECRET: usize = 32;

/// Why a key cannot verify tokens. Never says what the key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The HS256 secret is shorter than its digest.
    #[error("must be at least 32 bytes")]
    TooShort,
    /// It is no PEM of a public key that tokens can be verified with.
    #[error("must be a public key in PEM: Ed25519, RSA or P-256")]
    Unsupported,
}

/// Why a token was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// It is not valid yet.
    #[error("the token is not valid yet")]
    Early,
    /// Everything else: shape, signature, algorithm, issuer, audience, `crit`.
    #[error("the token is not valid")]
    Invalid,
}

/// Verifies tokens with one key, for one algorithm.
#[derive(Clone)]
pub struct TokenVerifier {
    key: DecodingKey,
    validation: Validation,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl TokenVerifier {
    /// HS256 with `secret`, taken as it stands.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::TooShort`].
    pub fn secret(secret: &[u8]) -> Result<Self, InvalidKey> {
        if secret.len() < SHORTEST_SECRET {
            return Err(InvalidKey::TooShort);
        }
        Ok(Self::new(
            DecodingKey::from_secret(secret),
            Algorithm::HS256,
        ))
    }

    /// `EdDSA`, RS256 or ES256: whichever the public key in `pem` is for.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::Unsupported`], also for a private key.
    pub fn public_key(pem: &str) -> Result<Self, InvalidKey> {
        // The library takes a private RSA key for a public one.
        if pem.contains("PRIVATE KEY") {
            return Err(InvalidKey::Unsupported);
        }
        let pem = pem.as_bytes();
        if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            return Ok(Self::new(key, Algorithm::EdDSA));
        }
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            return Ok(Self::new(key, Algorithm::RS256));
        }
        match DecodingKey::from_ec_pem(pem) {
            // An uncompressed point on P-256; other curves are other algorithms.
            Ok(key) if key.try_get_as_bytes().is_ok_and(|point| point.len() == 65) => {
                Ok(Self::new(key, Algorithm::ES256))
            }
            _ => Err(InvalidKey::Unsupported),
        }
    }

    fn new(key: DecodingKey, algorithm: Algorithm) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        // Until an audience is configured, whatever the token names is fine.
        validation.validate_aud = false;
        Self { key, validation }
    }

    /// The same, accepting only tokens of `issuer`.
    #[must_use]
    pub fn with_issuer(mut self, issuer: &str) -> Self {
        self.validation.set_issuer(&[issuer]);
        self.validation
            .required_spec_claims
            .insert("iss".to_owned());
        self
    }

    /// The same, accepting only tokens made for `audience`.
    #[must_use]
    pub fn with_audience(mut self, audience: &str) -> Self {
        self.validation.validate_aud = true;
        self.validation.set_audience(&[audience]);
        self.validation
            .required_spec_claims
            .insert("aud".to_owned());
        self
    }

    /// The subject of `token`, if the token holds.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`].
    pub fn subject(&self, token: &str) -> Result<String, InvalidToken> {
        let verified = decode::<Claims>(token, &self.key, &self.validation).map_err(|error| {
            match error.kind() {
                ErrorKind::ExpiredSignature => InvalidToken::Expired,
                ErrorKind::ImmatureSignature => InvalidToken::Early,
                _ => InvalidToken::Invalid,
            }
        })?;
        // RFC 7515 §4.1.11: extensions that are critical and not understood; we understand none.
        if verified.header.crit.is_some() {
            return Err(InvalidToken::Invalid);
        }
        Ok(verified.claims.sub)
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier")
            .field("key", &"[redacted]")
            .field("algorithms", &self.validation.algorithms)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
        -----END PUBLIC KEY-----\n";

    fn verifier() -> TokenVerifier {
        TokenVerifier::secret(SECRET).unwrap()
    }

    fn signed(header: &Header, claims: &Value) -> String {
        encode(header, claims, &EncodingKey::from_secret(SECRET)).unwrap()
    }

    fn hs256(claims: &Value) -> String {
        signed(&Header::new(Algorithm::HS256), claims)
    }

    fn in_seconds(seconds: i64) -> u64 {
        get_current_timestamp().saturating_add_signed(seconds)
    }

    #[test]
    fn a_good_token_names_its_subject() {
        let token = hs256(&json!({"sub": "ada", "exp": in_seconds(60), "aud": "anything"}));
        assert_eq!(verifier().subject(&token), Ok("ada".to_owned()));
    }

    #[test]
    fn times_are_kept_to_within_the_leeway() {
        let at = |exp, nbf| {
            let claims = json!({"sub": "ada", "exp": in_seconds(exp), "nbf": in_seconds(nbf)});
            verifier().subject(&hs256(&claims))
        };
        assert_eq!(at(-2, -60), Ok("ada".to_owned()));
        assert_eq!(at(-60, -60), Err(InvalidToken::Expired));
        assert_eq!(at(60, 60), Err(InvalidToken::Early));
    }

    #[test]
    fn what_is_missing_or_of_a_wrong_type_is_refused() {
        for claims in [
            json!({"sub": "ada"}),
            json!({"sub": "ada", "exp": "soon"}),
            json!({"sub": 7, "exp": in_seconds(60)}),
            json!({"exp": in_seconds(60)}),
            json!({"sub": "ada", "exp": in_seconds(60), "nbf": "x"}),
        ] {
            assert_eq!(
                verifier().subject(&hs256(&claims)),
                Err(InvalidToken::Invalid),
                "{claims}"
            );
        }
        assert_eq!(verifier().subject("a.b"), Err(InvalidToken::Invalid));
    }

    #[test]
    fn other_algorithms_and_critical_extensions_are_refused() {
        let claims = json!({"sub": "ada", "exp": in_seconds(60)});
        let mut critical = Header::new(Algorithm::HS256);
        critical.crit = Some(vec!["exp".to_owned()]);
        for header in [Header::new(Algorithm::HS512), critical] {
            let token = signed(&header, &claims);
            assert_eq!(verifier().subject(&token), Err(InvalidToken::Invalid));
        }
        // A public key is no secret: a token signed with its text must not pass.
        let forged = encode(
            &Header::new(Algorithm::HS256),
            &claims,
            &EncodingKey::from_secret(ED_PUBLIC.as_bytes()),
        )
        .unwrap();
        let public = TokenVerifier::public_key(ED_PUBLIC).unwrap();
        assert_eq!(public.subject(&forged), Err(InvalidToken::Invalid));
    }

    #[test]
    fn issuer_and_audience_are_demanded_once_configured() {
        let strict = verifier().with_issuer("us").with_audience("social");
        let subject = |iss: Value, aud: Value| {
            let claims = json!({"sub": "ada", "exp": in_seconds(60), "iss": iss, "aud": aud});
            strict.subject(&hs256(&claims))
        };
        assert!(subject(json!("us"), json!(["x", "social"])).is_ok());
        assert!(subject(json!("them"), json!("social")).is_err());
        assert!(subject(json!("us"), json!("x")).is_err());
        assert!(subject(Value::Null, json!("social")).is_err());
        assert!(subject(json!("us"), Value::Null).is_err());
    }

    #[test]
    fn keys_that_cannot_serve_are_refused() {
        assert_eq!(
            TokenVerifier::secret(&SECRET[1..]).err(),
            Some(InvalidKey::TooShort)
        );
        for pem in ["", "nonsense", "-----BEGIN PRIVATE KEY-----"] {
            assert_eq!(
                TokenVerifier::public_key(pem).err(),
                Some(InvalidKey::Unsupported)
            );
        }
    }
}
