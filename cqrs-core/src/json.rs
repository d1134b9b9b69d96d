//! JSON for stored events: the bytes that `serde_json` writes, sooner.
//!
//! `serde_json` looks at each byte of a text by itself, in a table, for what must be escaped; of an event with a few hundred
//! bytes of text that was nine tenths of encoding it. Here a text is looked at in blocks, which the compiler
//! turns into vector instructions, and copied in one go up to what must be escaped. So little of `serde_json` can be
//! replaced from outside that objects and lists are written here too. All the rest is left to it: numbers, keys of maps, and
//! what it has private names for (`RawValue`).
//!
//! # Invariant
//!
//! What is written is, byte for byte, what `serde_json::to_writer` writes, and what is refused is refused by it: stored events are compared and
//! hashed. `json_tests` and the golden files hold that.

use serde::Serialize;
use serde::ser::{self, Serializer};

type Result<T = ()> = std::result::Result<T, serde_json::Error>;

/// Writes `value` at the end of `json`, as `serde_json::to_writer` does.
///
/// # Errors
///
/// What `serde_json` says: the value's own `Serialize` failed, or a map has keys that are no texts. Then part of
/// it may have been written.
#[doc(hidden)]
pub fn write_json<T: Serialize + ?Sized>(json: &mut Vec<u8>, value: &T) -> Result {
    value.serialize(Json { json })
}

/// How many bytes of a text are looked at together.
const BLOCK: usize = 16;

fn write_text(json: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    json.reserve(rest.len() + 2);
    json.push(b'"');
    loop {
        let (plain, from) = rest.split_at(plain_len(rest));
        json.extend_from_slice(plain);
        let Some((byte, after)) = from.split_first() else {
            break;
        };
        write_escaped(json, *byte);
        rest = after;
    }
    json.push(b'"');
}

/// How many bytes there are before the first one that must be escaped.
fn plain_len(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let any = |block: &&[u8; BLOCK]| {
        !block
            .iter()
            .fold(false, |any, byte| any | is_special(*byte))
    };
    let plain = BLOCK * blocks.iter().take_while(any).count();
    let rest = bytes[plain..].iter();
    plain + rest.take_while(|byte| !is_special(**byte)).count()
}

fn is_special(byte: u8) -> bool {
    (byte < b' ') | (byte == b'"') | (byte == b'\\')
}

fn write_escaped(json: &mut Vec<u8>, byte: u8) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        _ => {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            return json.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        }
    };
    json.extend_from_slice(&[b'\\', short]);
}

/// One value, to be written at the end.
struct Json<'j> {
    json: &'j mut Vec<u8>,
}

impl<'j> Json<'j> {
    /// As `serde_json` writes it.
    fn plain<T: Serialize>(self, value: T) -> Result {
        serde_json::to_writer(self.json, &value)
    }

    /// The beginning of an object with one key, the variant's.
    fn variant(self, variant: &str) -> Self {
        self.json.push(b'{');
        write_text(self.json, variant);
        self.json.push(b':');
        self
    }

    fn compound(self, begin: u8, end: &'static str) -> Compound<'j> {
        self.json.push(begin);
        Compound {
            json: self.json,
            first: true,
            end,
            private: None,
        }
    }
}

macro_rules! plain {
    ($($method:ident: $type:ty),+ $(,)?) => {
        $(fn $method(self, value: $type) -> Result {
            self.plain(value)
        })+
    };
}

impl<'j> Serializer for Json<'j> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Compound<'j>;
    type SerializeTuple = Compound<'j>;
    type SerializeTupleStruct = Compound<'j>;
    type SerializeTupleVariant = Compound<'j>;
    type SerializeMap = Compound<'j>;
    type SerializeStruct = Compound<'j>;
    type SerializeStructVariant = Compound<'j>;

    plain! {
        serialize_bool: bool,
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_u128: u128,
        serialize_f32: f32, serialize_f64: f64,
        serialize_char: char,
    }

    fn serialize_str(self, text: &str) -> Result {
        write_text(self.json, text);
        Ok(())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result {
        serde_json::Serializer::new(self.json).serialize_bytes(bytes)
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, text: &T) -> Result {
        serde_json::Serializer::new(self.json).collect_str(text)
    }

    fn serialize_none(self) -> Result {
        self.plain(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.plain(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result {
        self.plain(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        let Json { json } = self.variant(variant);
        value.serialize(Json { json: &mut *json })?;
        json.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'j>> {
        Ok(self.compound(b'[', "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Compound<'j>> {
        Ok(self.compound(b'[', "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'j>> {
        Ok(self.compound(b'[', "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'j>> {
        Ok(self.variant(variant).compound(b'[', "]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'j>> {
        Ok(self.compound(b'{', "}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Compound<'j>> {
        if name.starts_with("$serde_json::private") {
            return Ok(Compound {
                json: self.json,
                first: true,
                end: "",
                private: Some(name),
            });
        }
        Ok(self.compound(b'{', "}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'j>> {
        Ok(self.variant(variant).compound(b'{', "}}"))
    }
}

/// A list or an object under way.
struct Compound<'j> {
    json: &'j mut Vec<u8>,
    first: bool,
    end: &'static str,
    /// The name of a struct that only `serde_json` knows what to do about.
    private: Option<&'static str>,
}

impl Compound<'_> {
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.separate();
        self.value(value)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result {
        if let Some(name) = self.private {
            return serde_json::to_writer(&mut *self.json, &Private { name, key, value });
        }
        self.separate();
        write_text(self.json, key);
        self.json.push(b':');
        self.value(value)
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        value.serialize(Json { json: self.json })
    }

    fn separate(&mut self) {
        if !std::mem::replace(&mut self.first, false) {
            self.json.push(b',');
        }
    }

    fn close(self) -> Result {
        self.json.extend_from_slice(self.end.as_bytes());
        Ok(())
    }
}

/// A struct with one field, whose name means something to `serde_json`.
struct Private<'v, T: ?Sized> {
    name: &'static str,
    key: &'static str,
    value: &'v T,
}

impl<T: Serialize + ?Sized> Serialize for Private<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct(self.name, 1)?;
        ser::SerializeStruct::serialize_field(&mut fields, self.key, self.value)?;
        ser::SerializeStruct::end(fields)
    }
}

impl ser::SerializeMap for Compound<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    /// As the only key of an object of its own, `{key:null}`, for it is `serde_json` that knows what can be one.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result {
        self.separate();
        // Its brace comes to stand where there is one, or the comma, already.
        let separator = self.json.pop();
        let at = self.json.len();
        let mut serde_json = serde_json::Serializer::new(&mut *self.json);
        let mut object = serde_json.serialize_map(Some(1))?;
        object.serialize_entry(key, &())?;
        object.end()?;
        self.json.truncate(self.json.len() - "null}".len());
        if let (Some(byte), Some(separator)) = (self.json.get_mut(at), separator) {
            *byte = separator;
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result {
        self.value(value)
    }

    fn end(self) -> Result {
        self.close()
    }
}

macro_rules! compound {
    ($($of:ident: $method:ident($($key:ident: $type:ty)?) by $by:ident),+ $(,)?) => {
        $(impl ser::$of for Compound<'_> {
            type Ok = ();
            type Error = serde_json::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, $($key: $type,)? value: &T) -> Result {
                self.$by($($key,)? value)
            }

            fn end(self) -> Result {
                self.close()
            }
        })+
    };
}

compound! {
    SerializeSeq: serialize_element() by element,
    SerializeTuple: serialize_element() by element,
    SerializeTupleStruct: serialize_field() by element,
    SerializeTupleVariant: serialize_field() by element,
    SerializeStruct: serialize_field(key: &'static str) by field,
    SerializeStructVariant: serialize_field(key: &'static str) by field,
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
