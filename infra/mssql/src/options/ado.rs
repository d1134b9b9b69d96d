//! `Server=host,port;Database=…;User Id=…;Password=…`

use std::time::Duration;

use super::{Encrypt, OptionsError, Parts, Trust, port};

const KNOWN: &str = "Server, Database, User Id, Password, Encrypt, TrustServerCertificate, \
     TrustServerCertificateCA, Connect Timeout, Command Timeout";

pub(super) fn read(text: &str) -> Result<Parts, OptionsError> {
    let mut parts = Parts::default();
    for ((key, value), nth) in pairs(text)?.into_iter().zip(1..) {
        match key.as_str() {
            "server" | "data source" | "address" | "addr" | "network address" => {
                server(&value, &mut parts)?;
            }
            "database" | "initial catalog" => parts.database = Some(value),
            "user id" | "uid" | "user" | "username" => parts.user = Some(value),
            "password" | "pwd" => parts.password = Some(value),
            "encrypt" => parts.encrypt = Some(encrypt(&value)?),
            "trustservercertificate" | "trust server certificate" => {
                if yes(&value, "TrustServerCertificate")? {
                    trust(&mut parts, Trust::Anyone)?;
                }
            }
            "trustservercertificateca" => trust(&mut parts, Trust::Roots(value.into()))?,
            "connect timeout" | "connection timeout" | "timeout" => {
                parts.connect_timeout = Some(seconds(&value, "Connect Timeout")?);
            }
            "command timeout" => parts.call_timeout = Some(seconds(&value, "Command Timeout")?),
            // What every such string has, and what makes no difference here.
            "application name"
            | "persist security info"
            | "multipleactiveresultsets"
            | "pooling" => {}
            _ => return Err(OptionsError::Unknown { nth, known: KNOWN }),
        }
    }
    Ok(parts)
}

/// Keys in lower case, values without their quotes: `'`, `"`, doubled within, or `{…}`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, OptionsError> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or(OptionsError::Unreadable)?;
        let after = after.trim_start();
        let (value, next) = match after.chars().next() {
            Some(quote @ ('\'' | '"')) => quoted(&after[1..], quote)?,
            Some('{') => {
                let inner = after[1..].split_once('}');
                let (value, next) = inner.ok_or(OptionsError::Unreadable)?;
                (value.to_owned(), next)
            }
            _ => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim_end().to_owned(), &after[end..])
            }
        };
        pairs.push((key.trim().to_ascii_lowercase(), value));
        let next = next.trim_start();
        if !next.is_empty() && !next.starts_with(';') {
            return Err(OptionsError::Unreadable);
        }
        rest = next.trim_start_matches([';', ' ']);
    }
    Ok(pairs)
}

fn quoted(text: &str, quote: char) -> Result<(String, &str), OptionsError> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            value.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            value.push(quote);
        } else {
            return Ok((value, &text[at + 1..]));
        }
    }
    Err(OptionsError::Unreadable)
}

/// `host`, `host,port`, with or without `tcp:`; `.` and `(local)` are this machine.
fn server(value: &str, parts: &mut Parts) -> Result<(), OptionsError> {
    let value = value.strip_prefix("tcp:").unwrap_or(value);
    let (host, number) = match value.split_once(',') {
        Some((host, number)) => (host.trim(), Some(number.trim())),
        None => (value, None),
    };
    if host.contains('\\') {
        return Err(OptionsError::Invalid {
            key: "Server",
            expected: "a host, or a host and a port; named instances are not looked up",
        });
    }
    let local = matches!(host, "." | "(local)");
    parts.host = Some(if local { "localhost" } else { host }.to_owned());
    parts.port = number.map(port).transpose()?;
    Ok(())
}

fn encrypt(value: &str) -> Result<Encrypt, OptionsError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "mandatory" => Ok(Encrypt::All),
        "false" | "no" | "optional" => Ok(Encrypt::Login),
        "danger_plaintext" => Ok(Encrypt::Nothing),
        _ => Err(OptionsError::Invalid {
            key: "Encrypt",
            expected: "true, false or DANGER_PLAINTEXT",
        }),
    }
}

fn trust(parts: &mut Parts, trust: Trust) -> Result<(), OptionsError> {
    match parts.trust.replace(trust) {
        None => Ok(()),
        Some(_) => Err(OptionsError::Invalid {
            key: "TrustServerCertificate",
            expected: "absent where TrustServerCertificateCA is given",
        }),
    }
}

fn yes(value: &str, key: &'static str) -> Result<bool, OptionsError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" => Ok(true),
        "false" | "no" => Ok(false),
        _ => Err(OptionsError::Invalid {
            key,
            expected: "true or false",
        }),
    }
}

fn seconds(value: &str, key: &'static str) -> Result<Duration, OptionsError> {
    let seconds = value.parse().ok().filter(|seconds| *seconds != 0);
    seconds
        .map(Duration::from_secs)
        .ok_or(OptionsError::Invalid {
            key,
            expected: "a number of seconds from 1",
        })
}
