//! Envelopes, ids and folding for tests.

use cqrs_core::{Actor, Aggregate, CommandId, Envelope, Timestamp};
use social_domain::{CommentId, CommentText, PostId, PostMessage};
use uuid::Uuid;

pub(crate) const POST: PostId = PostId::new(Uuid::from_u128(1));

/// The envelope of `actor`'s command number `command`.
pub(crate) fn envelope(actor: &str, command: u128) -> Envelope {
    Envelope::new(
        CommandId::new(Uuid::from_u128(command)),
        Actor::parse(actor).unwrap(),
        Timestamp::from_millis(0),
    )
}

pub(crate) fn by(actor: &str) -> Envelope {
    envelope(actor, 7)
}

pub(crate) fn comment(n: u128) -> CommentId {
    CommentId::new(Uuid::from_u128(n))
}

pub(crate) fn message(text: &str) -> PostMessage {
    PostMessage::parse(text).unwrap()
}

pub(crate) fn text(text: &str) -> CommentText {
    CommentText::parse(text).unwrap()
}

/// The state after `events`.
pub(crate) fn fold<A: Aggregate>(events: &[A::Event]) -> A {
    events.iter().fold(A::default(), A::evolve)
}
