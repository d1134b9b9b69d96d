//! The newcomer's tests, with the library's testing kit.

use cqrs_core::testing::{InstantTimer, envelope, given};
use cqrs_core::{
    Codec, Executor, ExecutorOptions, Mediator, MemoryStore, ProjectionRunner, RunnerOptions,
};
use newcomer::{Audit, Book, Lend, Lent, NotThere, Returned, TakeBack, shelf};

fn lent_to(reader: &str) -> Lent {
    let reader = reader.to_owned();
    Lent { reader }
}

#[test]
fn a_book_is_lent_to_one_reader_at_a_time() {
    given::<Book>([])
        .when(Lend(1), &envelope("ada"))
        .then([lent_to("ada").into()]);
    given::<Book>([lent_to("ada").into()])
        .when(Lend(1), &envelope("bob"))
        .then_error(NotThere {
            reader: "ada".to_owned(),
        });
    given::<Book>([lent_to("ada").into()])
        .when(Lend(1), &envelope("ada"))
        .then_nothing();
}

#[test]
fn a_book_that_is_there_cannot_come_back() {
    given::<Book>([lent_to("ada").into(), Returned {}.into()])
        .when(TakeBack(1), &envelope("ada"))
        .then_nothing();
}

#[tokio::test]
async fn the_shelf_and_the_audit_see_what_happened() {
    let log = MemoryStore::new(1);
    let audit = Audit::default();
    let books: Executor<Book, _> =
        Executor::new(log.clone(), Codec::new(), ExecutorOptions::default());
    let library = Mediator::new(books).with(audit.clone());

    library.send(Lend(1), &envelope("ada")).await.unwrap();
    library.send(Lend(2), &envelope("bob")).await.unwrap();
    library.send(Lend(1), &envelope("bob")).await.unwrap_err();
    library.send(TakeBack(2), &envelope("bob")).await.unwrap();

    let done: Vec<bool> = audit.entries().iter().map(|entry| entry.done).collect();
    assert_eq!(done, [true, true, false, true]);

    let runner =
        ProjectionRunner::new(log.clone(), shelf(), InstantTimer, RunnerOptions::default());
    runner.catch_up(std::future::pending()).await.unwrap();
    runner.projection().read(|shelf| {
        assert_eq!(shelf.get("book-1").map(String::as_str), Some("ada"));
        assert_eq!(shelf.len(), 1);
    });
}
