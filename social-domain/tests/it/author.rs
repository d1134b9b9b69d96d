//! Every rule of an author.

use cqrs_core::{
    Aggregate, Decide, Decided, Event, LogPosition, Message, Outcome, Partition, Position,
    Reservations, ReservedValue, Snapshotted, StreamName, Version,
};
use proptest::prelude::*;
use social_domain::{
    Author, AuthorEvent, AuthorRegistered, DisplayName, DisplayNameChanged, Handle, HandleChanged,
    RegisterAuthor, author_id,
};

use crate::support::{by, fold};

fn register(handle: &str, display_name: &str) -> RegisterAuthor {
    RegisterAuthor {
        handle: Handle::parse(handle).unwrap(),
        display_name: DisplayName::parse(display_name).unwrap(),
    }
}

fn decide(author: &Author, handle: &str, display_name: &str) -> (Vec<AuthorEvent>, Reservations) {
    let command = register(handle, display_name);
    let Ok(events) = author.decide(&command, &by("ada"));
    let reservations = author.reservations(&events);
    (events, reservations)
}

fn ada() -> Author {
    let registered = AuthorRegistered {
        handle: "Ada_99".into(),
        display_name: "Ada".into(),
    };
    fold(&[registered.into()])
}

fn handle(key: &str) -> ReservedValue {
    ReservedValue::new("handle", key)
}

#[test]
fn the_first_profile_registers_and_reserves_the_handle_in_lower_case() {
    let (events, reservations) = decide(&Author::default(), "Ada_99", "Ada");
    let registered = AuthorRegistered {
        handle: "Ada_99".into(),
        display_name: "Ada".into(),
    };
    assert_eq!(events, [registered.into()]);
    assert_eq!(reservations.reserve, [handle("ada_99")]);
    assert_eq!(reservations.release, []);
}

#[test]
fn the_same_profile_is_nothing_to_do() {
    let (events, reservations) = decide(&ada(), "Ada_99", "Ada");
    assert_eq!(events, []);
    assert!(reservations.is_empty());
}

#[test]
fn another_handle_takes_the_new_one_and_lets_the_old_one_go() {
    let (events, reservations) = decide(&ada(), "Countess", "Ada");
    let changed = HandleChanged {
        previous: "Ada_99".into(),
        handle: "Countess".into(),
    };
    assert_eq!(events, [changed.into()]);
    assert_eq!(reservations.reserve, [handle("countess")]);
    assert_eq!(reservations.release, [handle("ada_99")]);
}

#[test]
fn another_case_is_a_change_that_reserves_nothing() {
    let (events, reservations) = decide(&ada(), "ADA_99", "Ada");
    let changed = HandleChanged {
        previous: "Ada_99".into(),
        handle: "ADA_99".into(),
    };
    assert_eq!(events, [changed.into()]);
    assert!(reservations.is_empty());
}

#[test]
fn another_display_name_leaves_the_handle_alone() {
    let (events, reservations) = decide(&ada(), "Ada_99", "Ada L.");
    let changed = DisplayNameChanged {
        display_name: "Ada L.".into(),
    };
    assert_eq!(events, [changed.into()]);
    assert!(reservations.is_empty());
}

#[test]
fn both_at_once_are_two_events() {
    let (events, reservations) = decide(&ada(), "countess", "Ada L.");
    let types: Vec<_> = events.iter().map(|event| event.event_type().0).collect();
    assert_eq!(types, ["handle-changed", "display-name-changed"]);
    assert_eq!(reservations.reserve, [handle("countess")]);
    assert_eq!(reservations.release, [handle("ada_99")]);
}

#[test]
fn the_stream_is_the_actors_and_the_answers_id_is_made_from_the_actor() {
    let (command, envelope) = (register("Ada_99", "Ada"), by("ada"));
    let target = Author::target(&command, &envelope);
    let stream = StreamName::new(Author::CATEGORY, &target).unwrap();
    assert_eq!(stream.as_str(), "author-ada");
    let decided = Decided {
        outcome: Outcome::Committed,
        stream: &stream,
        version: Version::new(1),
        at: LogPosition::new(Partition::new(0), Position::new(9)),
        header: &(&envelope).into(),
        events: &[],
    };
    let receipt = Author::reply(&command, &decided);
    assert_eq!(
        (receipt.id, receipt.version),
        (author_id("ada"), Version::new(1))
    );
    assert_eq!(RegisterAuthor::NAME, "RegisterAuthor");
}

proptest! {
    /// Whatever is asked for, the author has it afterwards, owns exactly its key, and asking again is nothing to do.
    #[test]
    fn an_author_has_what_was_asked_for_last_and_owns_one_handle(
        profiles in prop::collection::vec(("[abAB]{3}", "[xy]{1,2}"), 1..12),
        cut in 0_usize..24,
    ) {
        let (mut author, mut history) = (Author::default(), Vec::new());
        let mut owned = Vec::<ReservedValue>::new();
        for (wanted, name) in &profiles {
            let (events, reservations) = decide(&author, wanted, name);
            for released in &reservations.release {
                prop_assert!(owned.contains(released));
            }
            owned.retain(|value| !reservations.release.contains(value));
            owned.extend(reservations.reserve);
            author = events.iter().fold(author, Author::evolve);
            history.extend(events);
            prop_assert_eq!(&owned, &[handle(&wanted.to_ascii_lowercase())]);
            prop_assert_eq!(decide(&author, wanted, name), (vec![], Reservations::none()));
        }
        let (head, tail) = history.split_at(cut.min(history.len()));
        let json = serde_json::to_vec(&fold::<Author>(head).to_wire()).unwrap();
        let half = Author::from_wire(serde_json::from_slice(&json).unwrap()).unwrap();
        let resumed = tail.iter().fold(half, Author::evolve);
        prop_assert_eq!(resumed.weight(), author.weight());
        prop_assert_eq!(resumed, author);
    }
}
