use std::collections::BTreeMap;
use std::fmt;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// The bytes, or what was wrong.
fn ours<T: Serialize + ?Sized>(value: &T) -> std::result::Result<String, String> {
    let mut json = b"before".to_vec();
    write_json(&mut json, value).map_err(|error| error.to_string())?;
    let json = String::from_utf8(json).expect("UTF-8");
    Ok(json.strip_prefix("before").expect("at the end").to_owned())
}

fn theirs<T: Serialize + ?Sized>(value: &T) -> std::result::Result<String, String> {
    serde_json::to_string(value).map_err(|error| error.to_string())
}

/// Everything that serde can be told, as a value.
#[derive(Debug, Clone)]
enum Told {
    Bool(bool),
    I64(i64),
    U64(u64),
    I128(i128),
    F32(f32),
    F64(f64),
    Char(char),
    Text(String),
    Bytes(Vec<u8>),
    Displayed(String),
    Unit,
    Option(Option<Box<Told>>),
    UnitVariant,
    Newtype(Box<Told>),
    NewtypeVariant(Box<Told>),
    List(Vec<Told>),
    TupleStruct(Vec<Told>),
    TupleVariant(Vec<Told>),
    Map(Vec<(Told, Told)>),
    Struct(Vec<Told>),
    StructVariant(Vec<Told>),
}

/// Texts that must be written as they are.
struct Pieces<'t>(&'t str);

impl fmt::Display for Pieces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|piece| write!(f, "{piece}"))
    }
}

impl Serialize for Told {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        use ser::*;
        match self {
            Self::Bool(value) => to.serialize_bool(*value),
            Self::I64(value) => match i8::try_from(*value) {
                Ok(small) => to.serialize_i8(small),
                Err(_) => to.serialize_i64(*value),
            },
            Self::U64(value) => match u8::try_from(*value) {
                Ok(small) => to.serialize_u8(small),
                Err(_) => to.serialize_u64(*value),
            },
            Self::I128(value) => to.serialize_i128(*value),
            Self::F32(value) => to.serialize_f32(*value),
            Self::F64(value) => to.serialize_f64(*value),
            Self::Char(value) => to.serialize_char(*value),
            Self::Text(value) => to.serialize_str(value),
            Self::Bytes(value) => to.serialize_bytes(value),
            Self::Displayed(value) => to.collect_str(&Pieces(value)),
            Self::Unit => to.serialize_unit_struct("Told"),
            Self::Option(None) => to.serialize_none(),
            Self::Option(Some(value)) => to.serialize_some(value),
            Self::UnitVariant => to.serialize_unit_variant("Told", 1, "a \"variant\""),
            Self::Newtype(value) => to.serialize_newtype_struct("Told", value),
            Self::NewtypeVariant(value) => {
                to.serialize_newtype_variant("Told", 1, "variant", value)
            }
            Self::List(values) => {
                let mut list = to.serialize_seq(Some(values.len()))?;
                values
                    .iter()
                    .try_for_each(|value| list.serialize_element(value))?;
                list.end()
            }
            Self::TupleStruct(values) => {
                let mut list = to.serialize_tuple_struct("Told", values.len())?;
                values
                    .iter()
                    .try_for_each(|value| list.serialize_field(value))?;
                list.end()
            }
            Self::TupleVariant(values) => {
                let mut list = to.serialize_tuple_variant("Told", 1, "variant", values.len())?;
                values
                    .iter()
                    .try_for_each(|value| list.serialize_field(value))?;
                list.end()
            }
            Self::Map(entries) => {
                let mut map = to.serialize_map(None)?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::Struct(values) => {
                let mut fields = to.serialize_struct("Told", values.len())?;
                values
                    .iter()
                    .try_for_each(|value| fields.serialize_field("a field\n", value))?;
                fields.end()
            }
            Self::StructVariant(values) => {
                let mut fields = to.serialize_struct_variant("Told", 1, "variant", values.len())?;
                values
                    .iter()
                    .try_for_each(|value| fields.serialize_field("field", value))?;
                fields.end()
            }
        }
    }
}

/// Long ones of few different characters, so that what must be escaped stands at every place of a block.
fn text() -> impl Strategy<Value = String> {
    let often = prop::sample::select(vec![
        'a', 'z', ' ', '"', '\\', '\n', '\0', '\u{1f}', '\u{7f}', 'é', '😀',
    ]);
    let often = prop::collection::vec(prop_oneof![8 => Just('x'), 1 => often], 0..80);
    prop_oneof![any::<String>(), often.prop_map(String::from_iter)]
}

fn told() -> impl Strategy<Value = Told> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Told::Bool),
        any::<i64>().prop_map(Told::I64),
        any::<u64>().prop_map(Told::U64),
        any::<i128>().prop_map(Told::I128),
        any::<u32>().prop_map(|bits| Told::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Told::F64(f64::from_bits(bits))),
        any::<char>().prop_map(Told::Char),
        text().prop_map(Told::Text),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Told::Bytes),
        text().prop_map(Told::Displayed),
        Just(Told::Unit),
        Just(Told::Option(None)),
        Just(Told::UnitVariant),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let one = inner.clone().prop_map(Box::new);
        let some = prop::collection::vec(inner.clone(), 0..4);
        let keys = prop_oneof![3 => text().prop_map(Told::Text), 1 => inner.clone()];
        prop_oneof![
            one.clone().prop_map(|value| Told::Option(Some(value))),
            one.clone().prop_map(Told::Newtype),
            one.prop_map(Told::NewtypeVariant),
            some.clone().prop_map(Told::List),
            some.clone().prop_map(Told::TupleStruct),
            some.clone().prop_map(Told::TupleVariant),
            some.clone().prop_map(Told::Struct),
            some.prop_map(Told::StructVariant),
            prop::collection::vec((keys, inner), 0..4).prop_map(Told::Map),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_written_and_refused_is_what_serde_json_writes_and_refuses(value in told()) {
        prop_assert_eq!(ours(&value), theirs(&value));
    }

    #[test]
    fn a_text_is_written_as_serde_json_does(text in text()) {
        prop_assert_eq!(ours(&text), theirs(&text));
    }
}

#[test]
fn each_byte_is_escaped_at_each_place_of_a_block() {
    for byte in 0..128_u8 {
        for place in 0..2 * BLOCK + 1 {
            let mut text = "x".repeat(2 * BLOCK + 1);
            text.replace_range(place..place + 1, char::from(byte).encode_utf8(&mut [0; 4]));
            assert_eq!(ours(&text), theirs(&text));
            text.truncate(place + 1);
            assert_eq!(ours(&text), theirs(&text));
        }
    }
}

#[test]
fn what_serde_json_has_private_names_for_is_left_to_it() {
    #[derive(Serialize)]
    struct Holds {
        raw: Box<RawValue>,
        number: serde_json::Number,
        value: serde_json::Value,
        #[serde(flatten)]
        rest: BTreeMap<u8, f64>,
    }
    let raw = RawValue::from_string(r#"{ "as":  "it is" }"#.to_owned()).expect("JSON");
    let holds = Holds {
        raw,
        number: serde_json::Number::from_f64(1e300).expect("finite"),
        value: serde_json::json!({"a": [1, null, "\u{1}"]}),
        rest: BTreeMap::from([(1, 0.1), (2, f64::NAN)]),
    };
    let json = ours(&holds);
    assert_eq!(json, theirs(&holds));
    assert!(json.expect("written").contains(r#"{ "as":  "it is" }"#));
}

#[test]
fn keys_that_are_no_texts_are_refused_as_by_serde_json() {
    let lists = BTreeMap::from([(vec![1], 1)]);
    assert_eq!(ours(&lists), theirs(&lists));
    assert!(ours(&lists).is_err());
}
