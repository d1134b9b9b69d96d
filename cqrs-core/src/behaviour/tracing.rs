//! A span around each message.

use ::tracing::{Instrument, debug_span, field};

use crate::envelope::Envelope;
use crate::handler::{Behaviour, Handler};
use crate::message::{DispatchResult, Message};
use crate::telemetry;

/// Puts a `debug` span around each message, with its name, its ids and how it ended.
///
/// The names of span and fields are those of [`telemetry`]. It logs nothing:
/// an error is logged once, where it stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tracing;

impl<M: Message> Behaviour<M> for Tracing {
    async fn around<N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
    ) -> DispatchResult<M> {
        let span = debug_span!(
            telemetry::DISPATCH,
            { telemetry::MESSAGE } = M::NAME,
            { telemetry::COMMAND_ID } = %envelope.command_id,
            { telemetry::CORRELATION_ID } = %envelope.correlation_id,
            { telemetry::CAUSATION_ID } = %envelope.causation_id,
            { telemetry::OUTCOME } = field::Empty,
        );
        let result = next
            .handle(message, envelope)
            .instrument(span.clone())
            .await;
        let outcome = result.as_ref().map_or_else(|e| e.kind(), |_| "replied");
        span.record(telemetry::OUTCOME, outcome);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};

    use ::tracing::field::{Field, Visit};
    use ::tracing::span::{Attributes, Id, Record};
    use ::tracing::{Event, Metadata, Subscriber, subscriber};

    use super::*;
    use crate::behaviour::fixture::{Fixed, Ring, envelope};
    use crate::mediator::Mediator;
    use crate::message::DispatchError;

    #[derive(Clone, Default)]
    struct Fields(Arc<Mutex<Vec<(&'static str, String)>>>);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            let entry = (field.name(), format!("{value:?}"));
            self.0.lock().unwrap().push(entry);
        }
    }

    impl Subscriber for Fields {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.name() == telemetry::DISPATCH
        }
        fn new_span(&self, span: &Attributes<'_>) -> Id {
            span.record(&mut self.clone());
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, values: &Record<'_>) {
            values.record(&mut self.clone());
        }
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[tokio::test]
    async fn the_span_carries_name_ids_and_outcome() {
        let fields = Fields::default();
        let _guard = subscriber::set_default(fields.clone());
        let envelope = envelope();
        let result = Mediator::new(Fixed::new([Err(DispatchError::Overloaded)]))
            .with(Tracing)
            .send(Ring(1), &envelope)
            .await;
        assert!(matches!(result, Err(DispatchError::Overloaded)));
        let id = envelope.command_id.to_string();
        let expected = [
            ("message", "\"Ring\"".to_owned()),
            ("command_id", id.clone()),
            ("correlation_id", id.clone()),
            ("causation_id", id),
            ("outcome", "\"overloaded\"".to_owned()),
        ];
        assert_eq!(*fields.0.lock().unwrap(), expected);
    }
}
