//! The events of a batch as its model takes them: decoded by whoever brings the batch, while the writer thread applies the
//! first of them.
//!
//! What the writer has not got when the decoder is gone, it decodes itself: it waits for nobody who does not decode.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;
use std::sync::mpsc::{Receiver, Sender, channel};

use cqrs_core::{Batch, BoxError, EventRef, RecordedEvent};

use crate::model::{ApplyFailure, ReadModel};

/// How many events are handed over at once.
const HANDED: usize = 256;

pub(crate) const PANICKED: &str = "the read model panicked";

type Piece<E> = Vec<Result<E, BoxError>>;

/// Decodes the events of a batch that are to be applied.
pub(crate) struct Decoder<'b, M: ReadModel> {
    model: &'b M,
    batch: &'b Batch<'b>,
    left: slice::Chunks<'b, EventRef>,
    to: Sender<Piece<M::Event>>,
}

/// What a [`Decoder`] makes, in order.
pub(crate) struct Decoded<E> {
    from: Option<Receiver<Piece<E>>>,
}

impl<'b, M: ReadModel> Decoder<'b, M> {
    pub(crate) fn of(model: &'b M, batch: &'b Batch<'b>) -> (Self, Decoded<M::Event>) {
        let (to, from) = channel();
        let decoder = Self {
            model,
            batch,
            left: batch.apply.chunks(HANDED),
            to,
        };
        (decoder, Decoded { from: Some(from) })
    }

    /// Decodes what is left, as long as somebody wants it.
    pub(crate) fn run(&mut self) {
        for places in self.left.by_ref() {
            let decoded = places.iter().map(|place| {
                let commit = self.batch.commits.get(place.commit);
                let event = commit.and_then(|commit| commit.recorded_events().nth(place.event));
                // The job has refused such a batch by then.
                let event = event.ok_or("the batch names an event that it does not hold")?;
                decode(self.model, &event)
            });
            if self.to.send(decoded.collect()).is_err() {
                return;
            }
        }
    }
}

impl<E> Decoded<E> {
    /// Nobody decodes them beforehand.
    pub(crate) fn none() -> Self {
        Self { from: None }
    }

    /// All of `events`, each as it is ready.
    pub(crate) fn all<M: ReadModel<Event = E>>(
        self,
        model: &M,
        events: &[RecordedEvent<'_>],
    ) -> impl Iterator<Item = Result<E, ApplyFailure>> {
        let mut piece = Piece::new().into_iter();
        events.iter().enumerate().map(move |(index, event)| {
            if piece.len() == 0
                && let Some(next) = self.from.as_ref().and_then(|from| from.recv().ok())
            {
                piece = next.into_iter();
            }
            let decoded = piece.next().unwrap_or_else(|| decode(model, event));
            decoded.map_err(|source| ApplyFailure { index, source })
        })
    }
}

/// The event as `model` takes it; its panic counts as the event's failure.
pub(crate) fn decode<M: ReadModel>(
    model: &M,
    event: &RecordedEvent<'_>,
) -> Result<M::Event, BoxError> {
    let decoded = catch_unwind(AssertUnwindSafe(|| model.decode(event)));
    decoded.unwrap_or_else(|_| Err(PANICKED.into()))
}
