//! `kafka://user:password@host:port,host:port?key=value&…`

use std::io;

use super::{KafkaConfig, Sasl, SaslMechanism, Secret, Tls};

const KNOWN: &str = "encrypt, trust, certificate, key, mechanism";

/// Why an address is not taken. Never shows it: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KafkaUrlError {
    /// It is neither `host:port,…` nor a `kafka://` URL.
    #[error("neither `host:port,…` nor a `kafka://` URL")]
    NotAUrl,
    /// A part of it is not what it must be.
    #[error("`{key}` must be {expected}")]
    Invalid {
        /// Which part.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// There is no such option.
    #[error("option {nth} is none of {known}")]
    Unknown {
        /// Which one, from 1.
        nth: usize,
        /// Those that there are.
        known: &'static str,
    },
    /// A file that it names cannot be read.
    #[error("could not read the file of `{key}`")]
    File {
        /// The option that names it.
        key: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl KafkaConfig {
    /// Reads `host:port,…`, or a URL that says more, for the client `client_id`:
    /// `kafka://user:password@host:port,host:port?key=value&…`, percent-encoded.
    ///
    /// | key | value |
    /// |---|---|
    /// | `encrypt` | `on` or `off` (default): TLS |
    /// | `trust` | the file of the authorities to trust, PEM; the system's where it is not there. Implies `encrypt=on` |
    /// | `certificate`, `key` | the files of this client's certificate and key, PEM. Imply `encrypt=on` |
    /// | `mechanism` | how user and password are shown: `SCRAM-SHA-512` (default), `SCRAM-SHA-256`, or `PLAIN`, which needs TLS |
    ///
    /// # Errors
    ///
    /// [`KafkaUrlError`].
    ///
    /// # Example
    ///
    /// ```
    /// use cqrs_kafka::KafkaConfig;
    ///
    /// let config = KafkaConfig::parse("kafka://ada:secret@a:9093,b:9093?encrypt=on", "relay")?;
    /// assert_eq!(config.brokers, "a:9093,b:9093");
    /// assert!(config.tls.is_some() && config.sasl.is_some());
    /// # Ok::<(), cqrs_kafka::KafkaUrlError>(())
    /// ```
    pub fn parse(text: &str, client_id: impl Into<String>) -> Result<Self, KafkaUrlError> {
        let Some((scheme, rest)) = text.split_once("://") else {
            // A login that lost its scheme would end in a log line, as the address of a broker.
            if text.is_empty() || text.contains(['@', '/', '?']) {
                return Err(KafkaUrlError::NotAUrl);
            }
            return Ok(Self::new(text, client_id));
        };
        if scheme != "kafka" {
            return Err(KafkaUrlError::NotAUrl);
        }
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let base = base.strip_suffix('/').unwrap_or(base);
        let (login, brokers) = base.rsplit_once('@').unwrap_or(("", base));
        if brokers.is_empty() || brokers.contains('/') {
            return Err(invalid("host", "host:port, separated by commas"));
        }
        let options = Options::read(query)?;
        let tls = options.tls()?;
        let sasl = options.sasl(login)?;
        if let Some(sasl) = &sasl
            && sasl.mechanism == SaslMechanism::Plain
            && tls.is_none()
        {
            return Err(invalid("mechanism", "another than PLAIN without TLS"));
        }
        Ok(Self {
            tls,
            sasl,
            ..Self::new(brokers, client_id)
        })
    }
}

/// The options as they are given.
#[derive(Default)]
struct Options {
    encrypt: Option<bool>,
    trust: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    mechanism: Option<SaslMechanism>,
}

impl Options {
    fn read(query: &str) -> Result<Self, KafkaUrlError> {
        let mut options = Self::default();
        for (pair, nth) in query.split('&').filter(|pair| !pair.is_empty()).zip(1..) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "encrypt" => {
                    options.encrypt = Some(match value {
                        "on" => true,
                        "off" => false,
                        _ => return Err(invalid("encrypt", "on or off")),
                    });
                }
                "trust" => options.trust = Some(decode(value, "trust")?),
                "certificate" => options.certificate = Some(decode(value, "certificate")?),
                "key" => options.key = Some(decode(value, "key")?),
                "mechanism" => options.mechanism = Some(mechanism(value)?),
                _ => return Err(KafkaUrlError::Unknown { nth, known: KNOWN }),
            }
        }
        Ok(options)
    }

    fn tls(&self) -> Result<Option<Tls>, KafkaUrlError> {
        let implied = self.trust.is_some() || self.certificate.is_some() || self.key.is_some();
        match self.encrypt {
            Some(false) if implied => {
                return Err(invalid("encrypt", "on where there are certificates"));
            }
            Some(false) => return Ok(None),
            None if !implied => return Ok(None),
            Some(true) | None => {}
        }
        let ca = self.trust.as_deref().map(|file| read(file, "trust"));
        let identity = match (&self.certificate, &self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let certificate = read(certificate, "certificate")?;
                Some((certificate, Secret::new(read(key, "key")?)))
            }
            _ => return Err(invalid("certificate", "given together with `key`")),
        };
        Ok(Some(Tls {
            ca: ca.transpose()?,
            identity,
        }))
    }

    fn sasl(&self, login: &str) -> Result<Option<Sasl>, KafkaUrlError> {
        if login.is_empty() {
            return match self.mechanism {
                None => Ok(None),
                Some(_) => Err(invalid("user", "given where there is a `mechanism`")),
            };
        }
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        Ok(Some(Sasl {
            mechanism: self.mechanism.unwrap_or(SaslMechanism::ScramSha512),
            user: decode(user, "user")?,
            password: Secret::new(decode(password, "password")?),
        }))
    }
}

fn invalid(key: &'static str, expected: &'static str) -> KafkaUrlError {
    KafkaUrlError::Invalid { key, expected }
}

fn mechanism(name: &str) -> Result<SaslMechanism, KafkaUrlError> {
    match name {
        "PLAIN" => Ok(SaslMechanism::Plain),
        "SCRAM-SHA-256" => Ok(SaslMechanism::ScramSha256),
        "SCRAM-SHA-512" => Ok(SaslMechanism::ScramSha512),
        _ => Err(invalid(
            "mechanism",
            "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
        )),
    }
}

fn read(file: &str, key: &'static str) -> Result<String, KafkaUrlError> {
    std::fs::read_to_string(file).map_err(|source| KafkaUrlError::File { key, source })
}

fn decode(text: &str, key: &'static str) -> Result<String, KafkaUrlError> {
    let wrong = || invalid(key, "percent-encoded UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
        let (high, low) = digit().zip(digit()).ok_or_else(wrong)?;
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<KafkaConfig, String> {
        KafkaConfig::parse(url, "test").map_err(|error| error.to_string())
    }

    #[test]
    fn brokers_alone_are_spoken_to_in_plain_text() {
        for url in ["a:1,b:2", "kafka://a:1,b:2", "kafka://a:1,b:2/?encrypt=off"] {
            let config = read(url).unwrap();
            assert_eq!(config.brokers, "a:1,b:2");
            assert!(config.tls.is_none() && config.sasl.is_none(), "{url}");
        }
    }

    #[test]
    fn a_login_is_decoded_and_never_shown() {
        let config = read("kafka://a%40da:hid%2Fden@a:1?encrypt=on").unwrap();
        let client = config.client();
        assert_eq!(client.get("sasl.username"), Some("a@da"));
        assert_eq!(client.get("sasl.password"), Some("hid/den"));
        assert_eq!(client.get("sasl.mechanism"), Some("SCRAM-SHA-512"));
        assert_eq!(client.get("security.protocol"), Some("sasl_ssl"));
        assert!(!format!("{config:?}").contains("hid"));
        let plain = read("kafka://a:b@a:1?encrypt=on&mechanism=PLAIN").unwrap();
        assert_eq!(plain.client().get("sasl.mechanism"), Some("PLAIN"));
    }

    #[test]
    fn files_are_read_and_imply_tls() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let config = read(&format!(
            "kafka://a:1?trust={file}&certificate={file}&key={file}"
        ));
        let tls = config.unwrap().tls.unwrap();
        assert!(tls.ca.unwrap().contains("cqrs-kafka"));
        assert!(tls.identity.unwrap().0.contains("cqrs-kafka"));
    }

    #[test]
    fn every_mistake_is_named_without_the_value() {
        for (url, told) in [
            ("", "neither `host:port,…` nor a `kafka://` URL"),
            (
                "ada:hidden@a:1",
                "neither `host:port,…` nor a `kafka://` URL",
            ),
            (
                "https://hidden",
                "neither `host:port,…` nor a `kafka://` URL",
            ),
            (
                "kafka://ada:hidden@",
                "`host` must be host:port, separated by commas",
            ),
            (
                "kafka://a:1/hidden",
                "`host` must be host:port, separated by commas",
            ),
            ("kafka://a:1?encrypt=hidden", "`encrypt` must be on or off"),
            (
                "kafka://a:1?encrypt=off&trust=hidden",
                "`encrypt` must be on where there are certificates",
            ),
            (
                "kafka://a:1?trust=no/hidden",
                "could not read the file of `trust`",
            ),
            (
                "kafka://a:1?key=hidden",
                "`certificate` must be given together with `key`",
            ),
            (
                "kafka://u%4:hidden@a:1",
                "`user` must be percent-encoded UTF-8",
            ),
            (
                "kafka://u:hidden@a:1?mechanism=PLAIN",
                "`mechanism` must be another than PLAIN without TLS",
            ),
            (
                "kafka://a:1?mechanism=PLAIN",
                "`user` must be given where there is a `mechanism`",
            ),
            (
                "kafka://a:1?mechanism=hidden",
                "`mechanism` must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512",
            ),
            (
                "kafka://a:1?encrypt=on&hidden=1",
                "option 2 is none of encrypt, trust, certificate, key, mechanism",
            ),
        ] {
            assert_eq!(read(url).map(drop), Err(told.to_owned()), "{url}");
        }
    }
}
