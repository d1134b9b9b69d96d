//! Between domain events and what is stored of them.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;

use crate::event::Event;
use crate::log::EventData;
use crate::upcast::{UpcastError, Upcasters};

/// The stable name of a stored shape, and its schema version, counted from 1. Never a Rust path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventType {
    name: Cow<'static, str>,
    version: u32,
}

impl EventType {
    /// Version `version` of the shape `name`.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, version: u32) -> Self {
        Self {
            name: name.into(),
            version,
        }
    }

    /// The stable name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema version.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} v{}", self.name, self.version)
    }
}

/// How a payload is written. Stored by name with each, so that others can join later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// JSON, UTF-8.
    Json,
}

impl Encoding {
    /// The stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
        }
    }

    /// Reads a stored name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        (name == "json").then_some(Self::Json)
    }
}

/// Why an event could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not encode a `{event_type}` event")]
pub struct EncodeError {
    /// Which.
    pub event_type: EventType,
    /// Why.
    pub source: serde_json::Error,
}

/// Why a stored event could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// This code knows no such event.
    #[error("unknown event type `{0}`")]
    UnknownType(EventType),
    /// It was written by newer code.
    #[error("event type `{stored}` is newer than the known version {known}")]
    TooNew {
        /// What is stored.
        stored: EventType,
        /// The newest version known.
        known: u32,
    },
    /// It could not be brought to the current shape.
    #[error(transparent)]
    Upcast(#[from] UpcastError),
    /// The payload does not have the shape it claims.
    #[error("payload of `{event_type}` is not of its shape")]
    Payload {
        /// What is stored.
        event_type: EventType,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// How many bytes a thread keeps to encode into; beyond that they are freed.
const MAX_SCRATCH: usize = 64 << 10;

thread_local! {
    /// What is encoded is copied from here, in one allocation of its size.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Writes events in their current shape and reads every shape that ever was.
pub struct Codec<E> {
    upcasters: Upcasters,
    events: PhantomData<fn() -> E>,
}

impl<E: Event> Codec<E> {
    /// A codec for events that have only ever had one shape.
    #[must_use]
    pub fn new() -> Self {
        Self::with_upcasters(Upcasters::new())
    }

    /// A codec that brings old shapes up to date.
    #[must_use]
    pub fn with_upcasters(upcasters: Upcasters) -> Self {
        Self {
            upcasters,
            events: PhantomData,
        }
    }

    /// Writes `event` in its current shape.
    ///
    /// # Errors
    ///
    /// [`EncodeError`]: the event's own `Serialize` failed.
    pub fn encode(&self, event: &E) -> Result<EventData, EncodeError> {
        let (name, version) = event.event_type();
        let event_type = EventType::new(name, version);
        // Taken, so that an event which encodes another one as it is encoded finds a new one.
        let mut scratch = SCRATCH.take();
        scratch.clear();
        let encoded = match event.write_json(&mut scratch) {
            Ok(()) => Ok(EventData {
                event_type,
                encoding: Encoding::Json,
                payload: Bytes::copy_from_slice(&scratch),
            }),
            Err(source) => Err(EncodeError { event_type, source }),
        };
        if scratch.capacity() <= MAX_SCRATCH {
            SCRATCH.set(scratch);
        }
        encoded
    }

    /// Reads a stored event, whatever its age.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] names the type, and what is wrong.
    pub fn decode(&self, data: &EventData) -> Result<E, DecodeError> {
        let stored = &data.event_type;
        let known = E::TYPES
            .iter()
            .find(|(name, _)| *name == stored.name())
            .map(|(_, version)| *version)
            .ok_or_else(|| DecodeError::UnknownType(stored.clone()))?;
        if stored.version() > known {
            return Err(DecodeError::TooNew {
                stored: stored.clone(),
                known,
            });
        }
        let bad_payload = |source| DecodeError::Payload {
            event_type: stored.clone(),
            source,
        };
        let decoded = if stored.version() == known {
            E::from_json(stored.name(), &data.payload)
        } else {
            let json = serde_json::from_slice(&data.payload).map_err(bad_payload)?;
            let current = self.upcasters.upcast(stored, known, json)?;
            let bytes = serde_json::to_vec(&current).map_err(bad_payload)?;
            E::from_json(stored.name(), &bytes)
        };
        decoded.map_err(bad_payload)
    }
}

impl<E: Event> Default for Codec<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Codec<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Codec")
            .field("upcasters", &self.upcasters)
            .finish()
    }
}
