//! How to reach the brokers.

mod url;

use std::fmt;

use rdkafka::ClientConfig;

pub use url::KafkaUrlError;

/// Where the brokers are and how to be let in. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// What the brokers' logs call this client.
    pub client_id: String,
    /// Encryption; `None` is plain text.
    pub tls: Option<Tls>,
    /// Authentication by name and password.
    pub sasl: Option<Sasl>,
}

/// Encrypts the connections. Needs the feature `ssl`.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// The authorities to trust, PEM; the system's where there is none.
    pub ca: Option<String>,
    /// This client's certificate and key, both PEM.
    pub identity: Option<(String, Secret)>,
}

/// Authenticates by name and password.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// How.
    pub mechanism: SaslMechanism,
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How the password is shown to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// As it is: only beside [`Tls`].
    Plain,
    /// By SHA-256 challenge. Needs the feature `ssl`.
    ScramSha256,
    /// By SHA-512 challenge. Needs the feature `ssl`.
    ScramSha512,
}

/// A text that is never printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text` out of sight.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl KafkaConfig {
    /// Plain text to `brokers`, as the client `client_id`.
    #[must_use]
    pub fn new(brokers: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            client_id: client_id.into(),
            tls: None,
            sasl: None,
        }
    }

    pub(crate) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", &self.client_id)
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.ms", "50")
            .set("reconnect.backoff.max.ms", "2000")
            // A topic is made by `ensure_topic` alone.
            .set("allow.auto.create.topics", "false");
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        if let Some(tls) = &self.tls {
            match &tls.ca {
                Some(ca) => config.set("ssl.ca.pem", ca),
                // The OpenSSL that is built in knows no place of this system's.
                None => config.set("ssl.ca.location", "probe"),
            };
            if let Some((certificate, key)) = &tls.identity {
                config.set("ssl.certificate.pem", certificate);
                config.set("ssl.key.pem", &key.0);
            }
        }
        if let Some(sasl) = &self.sasl {
            let mechanism = match sasl.mechanism {
                SaslMechanism::Plain => "PLAIN",
                SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
                SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            };
            config
                .set("sasl.mechanism", mechanism)
                .set("sasl.username", &sasl.user)
                .set("sasl.password", &sasl.password.0);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secured() -> KafkaConfig {
        KafkaConfig {
            tls: Some(Tls {
                ca: Some("authority".into()),
                identity: Some(("certificate".into(), Secret::new("hidden-key"))),
            }),
            sasl: Some(Sasl {
                mechanism: SaslMechanism::ScramSha512,
                user: "ada".into(),
                password: Secret::new("hidden-password"),
            }),
            ..KafkaConfig::new("a:1,b:2", "test")
        }
    }

    #[test]
    fn no_secret_is_printed() {
        let text = format!("{:?}", secured());
        assert!(text.contains("certificate") && text.contains("ada"));
        assert!(!text.contains("hidden"), "{text}");
    }

    #[test]
    fn every_setting_reaches_the_client() {
        let client = secured().client();
        for (key, value) in [
            ("bootstrap.servers", "a:1,b:2"),
            ("client.id", "test"),
            ("security.protocol", "sasl_ssl"),
            ("ssl.ca.pem", "authority"),
            ("ssl.certificate.pem", "certificate"),
            ("ssl.key.pem", "hidden-key"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "ada"),
            ("sasl.password", "hidden-password"),
        ] {
            assert_eq!(client.get(key), Some(value), "{key}");
        }
        let of_the_system = KafkaConfig {
            tls: Some(Tls::default()),
            ..KafkaConfig::new("a:1", "test")
        };
        let of_the_system = of_the_system.client();
        assert_eq!(of_the_system.get("ssl.ca.location"), Some("probe"));
        assert_eq!(of_the_system.get("ssl.ca.pem"), None);
        let plain = KafkaConfig::new("a:1", "test").client();
        assert_eq!(plain.get("security.protocol"), Some("plaintext"));
    }
}
