use std::sync::{Arc, Mutex};

use uuid::Uuid;

use super::*;
use crate::behaviour::fixture::envelope;
use crate::codec::{Encoding, EventType};
use crate::envelope::Envelope;
use crate::handler::{Behaviour, Handler};
use crate::log::{CommitHeader, EventData, RecordedCommit};
use crate::message::{Command, DispatchError, DispatchResult, Message, Query};
use crate::position::{LogPosition, Partition, Position};
use crate::{BoxError, CommandId, Reservations, StreamName, Version};

macro_rules! message {
    ($name:ident $kind:ident) => {
        #[derive(Debug)]
        struct $name;
        impl Message for $name {
            const NAME: &'static str = stringify!($name);
            type Reply = String;
            type Error = std::convert::Infallible;
        }
        impl $kind for $name {}
    };
}

message!(Open Command);
message!(Close Command);
message!(Look Query);

struct Doors;
struct Windows;

impl Handler<Open> for Doors {
    async fn handle(&self, _: Open, _: &Envelope) -> DispatchResult<Open> {
        Ok("open".to_owned())
    }
}

impl Handler<Close> for Doors {
    async fn handle(&self, _: Close, _: &Envelope) -> DispatchResult<Close> {
        Ok("closed".to_owned())
    }
}

impl Handler<Look> for Windows {
    async fn handle(&self, _: Look, envelope: &Envelope) -> DispatchResult<Look> {
        Ok(format!("{} looks", envelope.actor))
    }
}

struct House<D, W> {
    doors: D,
    windows: W,
}

crate::handlers! {
    impl[D, W] House<D, W>
    where [
        D: Handler<Open> + Handler<Close>,
        W: Handler<Look>,
    ] {
        doors: [Open, Close,],
        windows: [Look],
    }
}

fn house() -> House<Doors, Arc<Windows>> {
    House {
        doors: Doors,
        windows: Arc::new(Windows),
    }
}

/// Writes down when messages pass.
#[derive(Clone)]
struct Gate(&'static str, Arc<Mutex<Vec<String>>>);

impl<M: Message> Behaviour<M> for Gate {
    async fn around<N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
    ) -> DispatchResult<M> {
        self.1
            .lock()
            .unwrap()
            .push(format!("{} in {}", M::NAME, self.0));
        let result = next.handle(message, envelope).await;
        self.1
            .lock()
            .unwrap()
            .push(format!("{} out {}", M::NAME, self.0));
        result
    }
}

const PASSAGE: [&str; 4] = [
    "Open in outer",
    "Open in inner",
    "Open out inner",
    "Open out outer",
];

#[tokio::test]
async fn messages_reach_the_field_that_handles_them() {
    let mediator = Mediator::new(house());
    let envelope = envelope();
    assert_eq!(mediator.send(Open, &envelope).await.unwrap(), "open");
    assert_eq!(mediator.send(Close, &envelope).await.unwrap(), "closed");
    assert_eq!(mediator.ask(Look, &envelope).await.unwrap(), "ada looks");
}

#[tokio::test]
async fn the_last_behaviour_added_is_the_outermost_on_both_faces() {
    let seen = Arc::default();
    let (inner, outer) = (
        Gate("inner", Arc::clone(&seen)),
        Gate("outer", Arc::clone(&seen)),
    );
    let typed = Mediator::new(Doors).with(inner.clone()).with(outer.clone());
    typed.send(Open, &envelope()).await.unwrap();
    assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), PASSAGE);

    let registered = Registry::new()
        .with(inner)
        .with(outer)
        .command::<Open, _>(Doors)
        .build()
        .unwrap();
    registered.send(Open, &envelope()).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), PASSAGE);
}

#[tokio::test]
async fn a_handler_keeps_the_behaviours_it_was_registered_with() {
    let seen = Arc::default();
    let dispatcher = Registry::new()
        .query::<Look, _>(Windows)
        .with(Gate("gate", Arc::clone(&seen)))
        .command::<Open, _>(Doors)
        .build()
        .unwrap();
    assert_eq!(
        dispatcher.ask(Look, &envelope()).await.unwrap(),
        "ada looks"
    );
    assert_eq!(dispatcher.send(Open, &envelope()).await.unwrap(), "open");
    assert_eq!(
        *seen.lock().unwrap(),
        ["Open in gate".to_owned(), "Open out gate".to_owned()]
    );
}

#[test]
fn all_that_is_missing_or_double_is_named_at_once() {
    let errors = Registry::new()
        .command::<Open, _>(Doors)
        .command::<Open, _>(Doors)
        .requires::<Open>()
        .requires::<Look>()
        .requires::<Close>()
        .build()
        .unwrap_err();
    assert_eq!(
        errors.to_string(),
        "no handler for `Close`, `Look`; more than one handler for `Open`"
    );
}

#[tokio::test]
async fn a_message_that_nobody_registered_is_a_typed_error() {
    let dispatcher = Registry::new().command::<Open, _>(Doors).build().unwrap();
    let refused = dispatcher.ask(Look, &envelope()).await;
    assert!(matches!(
        refused,
        Err(DispatchError::NoHandler { name: "Look" })
    ));
    assert_eq!(format!("{dispatcher:?}"), r#"Dispatcher({"Open"})"#);
}

#[tokio::test]
async fn both_faces_fit_where_a_handler_does() {
    let registry = Registry::new()
        .command::<Open, _>(Arc::new(Doors))
        .requires::<Open>();
    let mediator = Mediator::new(registry.build().unwrap());
    assert_eq!(mediator.send(Open, &envelope()).await.unwrap(), "open");
}

#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Vec<StreamName>>>);

impl Subscriber for Ear {
    async fn hear(&self, commit: &RecordedCommit) -> Result<(), BoxError> {
        self.0.lock().unwrap().push(commit.stream.clone());
        Ok(())
    }
}

struct Deaf;

impl Subscriber for Deaf {
    async fn hear(&self, _: &RecordedCommit) -> Result<(), BoxError> {
        Err("deaf".into())
    }
}

struct Jumpy;

impl Subscriber for Jumpy {
    async fn hear(&self, commit: &RecordedCommit) -> Result<(), BoxError> {
        panic!("startled by {}", commit.stream);
    }
}

/// Panics before there is a future to poll.
struct Hasty;

impl Subscriber for Hasty {
    #[allow(clippy::manual_async_fn, reason = "the panic stands before the future")]
    fn hear(&self, _: &RecordedCommit) -> impl Future<Output = Result<(), BoxError>> + Send {
        assert_eq!(1 + 1, 3, "cannot wait");
        async { Ok(()) }
    }
}

fn commit() -> RecordedCommit {
    RecordedCommit {
        at: LogPosition::new(Partition::new(0), Position::new(1)),
        stream: StreamName::parse("door-1").unwrap(),
        version: Version::new(1),
        header: CommitHeader {
            command_id: CommandId::new(Uuid::from_u128(1)),
            ..CommitHeader::from(&envelope())
        },
        events: vec![EventData {
            event_type: EventType::new("opened", 1),
            encoding: Encoding::Json,
            payload: "{}".into(),
        }],
        reservations: Reservations::none(),
    }
}

#[tokio::test]
async fn a_subscriber_that_fails_or_panics_harms_nobody_else() {
    let (first, last) = (Ear::default(), Ear::default());
    let publisher = Publisher::new()
        .subscribe("first", first.clone())
        .subscribe("deaf", Deaf)
        .subscribe("jumpy", Jumpy)
        .subscribe("hasty", Hasty)
        .subscribe("last", last.clone());
    let commit = commit();
    for round in 1..=2 {
        let published = publisher.publish(&commit).await;
        assert_eq!(published.told, 5);
        let names: Vec<_> = published.failures.iter().map(|f| f.subscriber).collect();
        assert_eq!(names, ["deaf", "jumpy", "hasty"]);
        assert!(
            matches!(&published.failures[0].reason, Unheard::Failed(e) if e.to_string() == "deaf")
        );
        assert!(
            matches!(&published.failures[1].reason, Unheard::Panicked(text) if text == "startled by door-1")
        );
        assert!(
            matches!(&published.failures[2].reason, Unheard::Panicked(text) if text.contains("cannot wait"))
        );
        assert_eq!(first.0.lock().unwrap().len(), round);
        assert_eq!(last.0.lock().unwrap().len(), round);
    }
}

#[tokio::test]
async fn without_subscribers_there_is_nobody_to_tell() {
    let published = Publisher::new().publish(&commit()).await;
    assert_eq!((published.told, published.failures.len()), (0, 0));
}
