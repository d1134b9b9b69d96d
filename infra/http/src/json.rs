use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::Problem;

/// Why bytes are not the JSON that is accepted here, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonError {
    message: String,
    line: usize,
    column: usize,
}

impl JsonError {
    /// Line of the fault, from 1; 0 when unknown.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Column of the fault in bytes, from 1; 0 at the end of a line.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl From<JsonError> for Problem {
    fn from(error: JsonError) -> Self {
        Problem::malformed_json(error.message)
    }
}

/// Parses one JSON text, strictly.
///
/// # Errors
///
/// Refuses, beside wrong syntax: a repeated member at any depth, invalid
/// UTF-8, a byte-order mark, unpaired surrogates, numbers out of range,
/// anything after the value, and nesting deeper than 127.
pub fn parse_json(bytes: &[u8]) -> Result<Value, JsonError> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        let message = "byte-order mark at line 1 column 1".to_owned();
        return Err(JsonError {
            message,
            line: 1,
            column: 1,
        });
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Strict
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| JsonError {
            message: error.to_string(),
            line: error.line(),
            column: error.column(),
        })
}

/// Writes a value with sorted members and no blanks.
///
/// Two texts that parse to the same value give the same bytes, whatever the
/// order of their members, their blanks and their escapes: the input of a
/// hash over the meaning of a request.
pub fn canonical_bytes(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(object) => {
            // The map's own order depends on a feature of serde_json.
            let mut members: Vec<_> = object.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_scalar(&Value::String(name.clone()), out);
                out.push(b':');
                write_canonical(member, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        scalar => write_scalar(scalar, out),
    }
}

fn write_scalar(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Builds a [`Value`] and refuses repeated members, which serde_json lets the
/// last one win.
#[derive(Clone, Copy)]
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom("repeated member"));
            }
            let value = members.next_value_seed(self)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_strict_json_is_refused() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for text in [
            &b""[..],
            b"{",
            b"{} x",
            b"{}{}",
            b"{'a':1}",
            br#"{"a":1,"a":1}"#,
            br#"{"x":[{"a":1,"\u0061":2}]}"#,
            b"\xef\xbb\xbf{}",
            b"{\"a\":\"\xff\"}",
            br#""\ud800""#,
            b"1e999",
            b"NaN",
            b"[1,]",
            b"01",
            b"\"a\nb\"",
            deep.as_bytes(),
        ] {
            let error = parse_json(text).unwrap_err();
            assert_eq!(Problem::from(error).slug(), "malformed-json");
        }
    }

    #[test]
    fn a_fault_says_where_it_is() {
        let error = parse_json(b"{\n  \"a\": 1,\n  \"a\": 2\n}").unwrap_err();
        assert_eq!(error.line(), 3);
        assert!(error.to_string().contains("repeated member"), "{error}");
    }

    #[test]
    fn texts_of_one_meaning_have_one_canonical_form() {
        let one = parse_json(br#"{"b":[1,{"y":null,"x":"\u00e9"}],"a":true}"#).unwrap();
        let two =
            parse_json("{ \"a\" : true, \"b\":[1, {\"x\":\"é\",\"y\":null}] }".as_bytes()).unwrap();
        assert_eq!(canonical_bytes(&one), canonical_bytes(&two));
        let text = r#"{"a":true,"b":[1,{"x":"é","y":null}]}"#;
        assert_eq!(canonical_bytes(&one), text.as_bytes());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_json(&bytes);
        }

        #[test]
        fn bytes_like_json_that_parse_agree_with_serde(text in r#"[\[\]{}:,"a0-9. \\une-]{0,40}"#) {
            if let Ok(value) = parse_json(text.as_bytes()) {
                prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &value);
                prop_assert_eq!(parse_json(&canonical_bytes(&value)).unwrap(), value);
            }
        }
    }
}
