//! What travels with a message: who, when, under which id, and because of what.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::log::EventId;
use crate::stream::StreamName;
use crate::time::{Clock, Random, Timestamp};
use crate::version::Precondition;

/// The id of a command: every attempt of one command carries the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(Uuid);

impl CommandId {
    /// The command known by `uuid`.
    #[must_use]
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// A new id, UUIDv7: ordered by time, unique by randomness.
    #[must_use]
    pub fn fresh(clock: &impl Clock, random: &impl Random) -> Self {
        let millis = u64::try_from(clock.now().as_millis()).unwrap_or(0);
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&random.next_u64().to_be_bytes());
        bytes[8..].copy_from_slice(&random.next_u64().to_be_bytes()[..2]);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
    }

    /// The id of `actor`'s command under the idempotency `key`: UUIDv5 of (actor, NUL, key).
    ///
    /// `namespace` is random, kept in the store and never shown, so that nobody
    /// can find the key of a command from its id.
    #[must_use]
    pub fn keyed(namespace: Uuid, actor: &Actor, key: &str) -> Self {
        let name = [actor.as_str().as_bytes(), b"\0", key.as_bytes()].concat();
        Self(Uuid::new_v5(&namespace, &name))
    }

    /// The id of the command that `reactor` sends because of `event`; `nth` tells several apart.
    #[must_use]
    pub fn reaction(event: EventId, reactor: &str, nth: u32) -> Self {
        let name = format!("{event}\0{reactor}\0{nth}");
        Self(Uuid::new_v5(&REACTIONS, name.as_bytes()))
    }

    /// An id derived from this command for something that it creates: the same in every attempt.
    ///
    /// UUIDv5 of the command's id; where that is a UUIDv7, a UUIDv8 of its 48 bits of time and 74 bits of that
    /// hash. So what is created together stands together in every index.
    #[must_use]
    pub fn derive(self, what: &str) -> Uuid {
        let hash = Uuid::new_v5(&self.0, what.as_bytes());
        if self.0.get_version_num() != 7 {
            return hash;
        }
        let mut bytes = hash.into_bytes();
        bytes[..6].copy_from_slice(&self.0.as_bytes()[..6]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// The bare UUID.
    #[must_use]
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

/// The namespace of reactors' command ids. Frozen: a change repeats every reaction.
const REACTIONS: Uuid = Uuid::from_u128(0x7d1a_6c0e_54b2_4f0b_9a35_2f6d_8c1e_b7a4);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whoever a command is done for: 1 to 255 bytes, opaque to the library. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(Arc<str>);

/// A text that is no [`Actor`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an actor is 1 to 255 bytes without NUL, not {0}")]
pub struct InvalidActor(usize);

impl Actor {
    /// Takes `text` as an actor.
    ///
    /// # Errors
    ///
    /// [`InvalidActor`] unless it is 1 to 255 bytes without NUL.
    pub fn parse(text: &str) -> Result<Self, InvalidActor> {
        if (1..=255).contains(&text.len()) && !text.contains('\0') {
            Ok(Self(text.into()))
        } else {
            Err(InvalidActor(text.len()))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client asked for, hashed; tells a repeated request from another one under the same id.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestHash([u8; 32]);

impl RequestHash {
    /// Of every derived command, whose id alone tells it from others. Frozen: it is stored.
    const DERIVED: Self = Self([0; 32]);

    /// Wraps a digest of the request's meaning.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for RequestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestHash(")?;
        self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))?;
        f.write_str("…)")
    }
}

/// How a command's id came to be, and so whether the command may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// Minted for this one attempt; nobody can ask again under it.
    Fresh,
    /// Derived from what caused it (a reactor's event): the same on redelivery, and the id alone says what is asked.
    ///
    /// Its events land once in any case. That it is refused once and for all, so that what the reactor does about
    /// the refusal cannot come to stand beside its effect, takes [`Idempotency`](crate::Idempotency) around the handler.
    Derived,
    /// Named by the client, who may ask again: a repeat gets the first answer.
    Keyed(RequestHash),
}

impl Identity {
    /// Whether the same id may arrive more than once.
    #[must_use]
    pub fn may_repeat(self) -> bool {
        self != Self::Fresh
    }

    /// The hash that repeats are compared by; `None` where there are none.
    #[must_use]
    pub const fn request(self) -> Option<RequestHash> {
        match self {
            Self::Keyed(request) => Some(request),
            Self::Derived => Some(RequestHash::DERIVED),
            Self::Fresh => None,
        }
    }
}

/// W3C trace context, carried unread from the request into the stored events.
///
/// # Reference
///
/// <https://www.w3.org/TR/trace-context/>
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    traceparent: Arc<str>,
    tracestate: Option<Arc<str>>,
}

impl TraceContext {
    /// Reads the two headers; `None` unless `traceparent` is well-formed (then `tracestate` is dropped too).
    #[must_use]
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let lower_hex = |part: &str, len| {
            part.len() == len && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        let parts: Vec<&str> = traceparent.split('-').collect();
        let [version, trace, parent, flags] = parts[..] else {
            return None;
        };
        let well_formed = lower_hex(version, 2)
            && version != "ff"
            && lower_hex(trace, 32)
            && trace.bytes().any(|b| b != b'0')
            && lower_hex(parent, 16)
            && parent.bytes().any(|b| b != b'0')
            && lower_hex(flags, 2);
        let tracestate = tracestate
            .filter(|state| state.len() <= 512 && state.bytes().all(|b| (0x20..=0x7e).contains(&b)))
            .map(Arc::from);
        well_formed.then(|| Self {
            traceparent: traceparent.into(),
            tracestate,
        })
    }

    /// The `traceparent` header.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The `tracestate` header.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }
}

/// A fact about an answer that is said beside it, because the answer itself must not differ by it.
///
/// Set by whoever answers, read by whoever asked; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Mark(Option<Arc<AtomicBool>>);

/// Tells whoever sent a command that the answer is one which was given before.
pub type ReplayMark = Mark;

/// Tells whoever sent a command that its events stand in the log.
pub type LandedMark = Mark;

/// The stream that a command is decided on: set by whoever decides, read by whoever asked; clones share it.
#[derive(Debug, Clone, Default)]
pub struct TargetMark(Option<Arc<OnceLock<StreamName>>>);

impl TargetMark {
    /// A mark that can be read afterwards; the default one only forgets.
    #[must_use]
    pub fn watched() -> Self {
        Self(Some(Arc::default()))
    }

    /// States the stream. The first one counts: a command has one.
    pub fn set(&self, stream: &StreamName) {
        if let Some(mark) = &self.0 {
            mark.get_or_init(|| stream.clone());
        }
    }

    /// The stream, where one was stated.
    #[must_use]
    pub fn get(&self) -> Option<StreamName> {
        self.0.as_ref()?.get().cloned()
    }
}

impl Mark {
    /// A mark that can be read afterwards; the default one only forgets.
    #[must_use]
    pub fn watched() -> Self {
        Self(Some(Arc::default()))
    }

    /// States the fact.
    pub fn set(&self) {
        if let Some(mark) = &self.0 {
            mark.store(true, Ordering::Release);
        }
    }

    /// Whether it was stated.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|mark| mark.load(Ordering::Acquire))
    }
}

/// What travels with a message.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The command's id (a query's own id, where it is a query).
    pub command_id: CommandId,
    /// Whether that id may come again.
    pub identity: Identity,
    /// Whoever asks.
    pub actor: Actor,
    /// When the command was first received.
    pub time: Timestamp,
    /// The whole conversation's id: that of the command which began it.
    pub correlation_id: Uuid,
    /// The direct cause's id: where a reactor sends it, that of the command whose event it reacts to, else its own.
    pub causation_id: Uuid,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
    /// What the client demands of the stream's version.
    pub precondition: Option<Precondition>,
    /// 1 where no earlier attempt can have landed; from 2 on the log is asked before anything is decided.
    pub attempt: u32,
    /// Set where the answer is one that was given before.
    pub replayed: ReplayMark,
    /// Set where the command's events stand in the log, so that the answer can be made again from there.
    pub landed: LandedMark,
    /// Set to the stream that the command is decided on, also where it comes to no events.
    pub target: TargetMark,
}

impl Envelope {
    /// The envelope of a command that begins a conversation under an id of its own.
    #[must_use]
    pub fn new(command_id: CommandId, actor: Actor, time: Timestamp) -> Self {
        Self {
            command_id,
            identity: Identity::Fresh,
            actor,
            time,
            correlation_id: command_id.as_uuid(),
            causation_id: command_id.as_uuid(),
            trace: None,
            precondition: None,
            attempt: 1,
            replayed: ReplayMark::default(),
            landed: LandedMark::default(),
            target: TargetMark::default(),
        }
    }

    /// The same, with an id that may come again.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// The same, demanding `precondition` of the stream.
    #[must_use]
    pub fn with_precondition(mut self, precondition: Precondition) -> Self {
        self.precondition = Some(precondition);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: what exists must be found again by who asks again.
    #[test]
    fn a_derived_id_follows_from_the_command_s_alone() {
        let derived = |id, what| CommandId::new(Uuid::from_u128(id)).derive(what).to_string();
        let keyed = 0xd9aa_92cc_3bbc_5a73_9f4c_2f0b_1c5a_7d11;
        assert_eq!(
            derived(keyed, "post"),
            "7a615c6d-9889-5beb-9535-549dbd46794c"
        );
        assert_eq!(
            derived(keyed, "comment"),
            "234dfd75-d6e1-53f4-8b6d-7e1713d5c9c9"
        );
        let fresh = 0x0193_5d6b_2c40_7abc_8def_0123_4567_89ab;
        assert_eq!(
            derived(fresh, "post"),
            "01935d6b-2c40-88c0-9972-12fe9d7caee7"
        );
        assert_eq!(
            derived(fresh, "comment"),
            "01935d6b-2c40-87ac-8f0c-c1e96812294a"
        );
    }

    #[test]
    fn what_fresh_commands_create_stands_in_the_order_of_their_times() {
        struct At(i64);
        impl Clock for At {
            fn now(&self) -> Timestamp {
                Timestamp::from_millis(self.0)
            }
        }
        struct Always(u64);
        impl Random for Always {
            fn next_u64(&self) -> u64 {
                self.0
            }
        }
        let first = 1_764_000_000_000;
        let ids: Vec<_> = (first..first + 1_000)
            .map(|at| CommandId::fresh(&At(at), &Always(!0)).derive("post"))
            .collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
        let at_once = CommandId::fresh(&At(first), &Always(1)).derive("post");
        assert_ne!(
            at_once, ids[0],
            "randomness tells commands of one moment apart"
        );
        assert!(at_once < ids[1]);
    }
}
