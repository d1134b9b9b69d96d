//! Domain events: what happened, in the past tense.

/// The events of one aggregate, with their stable stored names.
///
/// Write it with [`events!`](crate::events), which keeps the names beside the
/// variants, or by hand.
pub trait Event: Sized + Send + Sync + 'static {
    /// Every stored name that this code writes, with its current schema version.
    const TYPES: &'static [(&'static str, u32)];

    /// The stored name and schema version of this event; one of [`TYPES`](Self::TYPES).
    fn event_type(&self) -> (&'static str, u32);

    /// Writes the payload in its current shape at the end of `json`.
    ///
    /// # Errors
    ///
    /// Whatever `Serialize` says.
    fn write_json(&self, json: &mut Vec<u8>) -> Result<(), serde_json::Error>;

    /// Reads a payload of the current shape of `name`, which is one of [`TYPES`](Self::TYPES).
    ///
    /// # Errors
    ///
    /// Whatever `Deserialize` says.
    fn from_json(name: &str, payload: &[u8]) -> Result<Self, serde_json::Error>;
}

/// Declares the event enum of an aggregate, with the stored name and schema version of each variant.
///
/// Each variant holds a struct of the same name, which must be `Serialize` and
/// `DeserializeOwned` (and what the enum derives). The stored name is for ever;
/// the Rust name may change. A changed shape is a new schema version and an
/// [upcaster](crate::Upcasters).
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// pub struct Opened { pub owner: String }
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
/// pub struct Closed {}
///
/// cqrs_core::events! {
///     /// What happens to an account.
///     #[derive(Debug, Clone, PartialEq)]
///     pub enum AccountEvent {
///         Opened = "account-opened" v2,
///         Closed = "account-closed" v1,
///     }
/// }
///
/// use cqrs_core::Event;
/// let event = AccountEvent::from(Opened { owner: "ada".into() });
/// assert_eq!(event.event_type(), ("account-opened", 2));
/// ```
#[macro_export]
macro_rules! events {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $stored:literal $version:ident ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis enum $name {
            $(
                $(#[$variant_meta])*
                #[doc = concat!("Stored as `", $stored, "` ", stringify!($version), ".")]
                $variant($variant),
            )+
        }

        impl $crate::Event for $name {
            const TYPES: &'static [(&'static str, u32)] =
                &[$(($stored, $crate::schema_version(stringify!($version)))),+];

            fn event_type(&self) -> (&'static str, u32) {
                match self {
                    $(Self::$variant(_) => {
                        ($stored, const { $crate::schema_version(stringify!($version)) })
                    })+
                }
            }

            fn write_json(
                &self,
                json: &mut ::std::vec::Vec<u8>,
            ) -> Result<(), $crate::serde_json::Error> {
                match self {
                    $(Self::$variant(event) => $crate::write_json(json, event),)+
                }
            }

            fn from_json(name: &str, payload: &[u8]) -> Result<Self, $crate::serde_json::Error> {
                match name {
                    $($stored => $crate::serde_json::from_slice(payload).map(Self::$variant),)+
                    _ => Err($crate::unknown_event(name)),
                }
            }
        }

        $(
            impl From<$variant> for $name {
                fn from(event: $variant) -> Self {
                    Self::$variant(event)
                }
            }
        )+
    };
}

/// Reads `v12` as 12, at compile time.
#[doc(hidden)]
#[must_use]
pub const fn schema_version(text: &str) -> u32 {
    let bytes = text.as_bytes();
    assert!(
        bytes.len() > 1 && bytes[0] == b'v',
        "a schema version is written v1, v2, …"
    );
    let mut version = 0;
    let mut at = 1;
    while at < bytes.len() {
        assert!(
            bytes[at].is_ascii_digit(),
            "a schema version is written v1, v2, …"
        );
        version = version * 10 + (bytes[at] - b'0') as u32;
        at += 1;
    }
    assert!(version > 0, "schema versions begin at v1");
    version
}

/// The error for a name outside of [`Event::TYPES`].
#[doc(hidden)]
#[must_use]
pub fn unknown_event(name: &str) -> serde_json::Error {
    serde::de::Error::custom(format_args!("unknown event type `{name}`"))
}
