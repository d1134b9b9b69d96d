//! `mssql://user:password@host:port/database?key=value&…`

use super::{Encrypt, OptionsError, Parts, Trust, port, schema};

const KNOWN: &str = "encrypt, trust, schema";

/// Reads what stands after the scheme.
pub(super) fn read(rest: &str) -> Result<Parts, OptionsError> {
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (login, place) = base.rsplit_once('@').unwrap_or(("", base));
    let (address, database) = place.split_once('/').unwrap_or((place, ""));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let mut parts = Parts {
        user: Some(decode(user, "user")?),
        password: Some(decode(password, "password")?),
        database: Some(decode(database, "database")?),
        ..Parts::default()
    };
    let (host, number) = split_address(address);
    parts.host = Some(decode(host, "host")?);
    parts.port = number.map(port).transpose()?;
    for (pair, nth) in query.split('&').filter(|pair| !pair.is_empty()).zip(1..) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "encrypt" => parts.encrypt = Some(encrypt(value)?),
            "trust" => parts.trust = Some(trust(&decode(value, "trust")?)?),
            "schema" => parts.schema = Some(schema(value)?),
            _ => return Err(OptionsError::Unknown { nth, known: KNOWN }),
        }
    }
    Ok(parts)
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
fn split_address(address: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = address.strip_prefix('[').and_then(|a| a.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match address.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    }
}

fn encrypt(value: &str) -> Result<Encrypt, OptionsError> {
    match value {
        "on" => Ok(Encrypt::All),
        "login" => Ok(Encrypt::Login),
        "off" => Ok(Encrypt::Nothing),
        _ => Err(OptionsError::Invalid {
            key: "encrypt",
            expected: "on, login or off",
        }),
    }
}

fn trust(value: &str) -> Result<Trust, OptionsError> {
    match value {
        "system" => Ok(Trust::System),
        "any" => Ok(Trust::Anyone),
        "" => Err(OptionsError::Invalid {
            key: "trust",
            expected: "system, any or a file",
        }),
        file => Ok(Trust::Roots(file.into())),
    }
}

fn decode(text: &str, key: &'static str) -> Result<String, OptionsError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let decoded = if byte == b'%' {
            let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
            match (digit(rest.next()), digit(rest.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
                _ => None,
            }
        } else {
            Some(byte)
        };
        bytes.push(decoded.ok_or(OptionsError::Invalid {
            key,
            expected: "percent-encoded",
        })?);
    }
    String::from_utf8(bytes).map_err(|_| OptionsError::Invalid {
        key,
        expected: "percent-encoded UTF-8",
    })
}
