//! Sees what other processes append, while somebody waits for it.
//!
//! A change stream where the server has them, and looking again: after 5 to 250 ms where there is no change stream,
//! every second beside one. All of it only wakes readers: what they are given is read from the log.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ChangeStreamEvent;
use mongodb::error::Error;
use tokio::time::Instant;

use crate::driver::Driver;
use crate::engine::Engine;
use crate::error::is_refusal;
use crate::tail::Tail;

const POLL_MIN: Duration = Duration::from_millis(5);
const POLL_MAX: Duration = Duration::from_millis(250);
/// How long the server may hold a question for changes; the log's head is read as often besides.
const AWAIT: Duration = Duration::from_secs(1);
/// How long a change stream stays open that nobody waits for, and how long a broken one stays closed.
const LINGER: Duration = Duration::from_secs(10);

/// Looks at one partition's head while somebody waits, until its tail is closed.
pub(crate) async fn look(driver: Driver, tail: Arc<Tail>) {
    let mut pause = POLL_MIN;
    while tail.wanted().await {
        tail.pause(if tail.is_streaming() { AWAIT } else { pause })
            .await;
        let before = tail.head();
        read_head(&driver, &tail).await;
        pause = match tail.head() > before {
            true => POLL_MIN,
            false => (pause * 2).min(POLL_MAX),
        };
    }
}

async fn read_head(driver: &Driver, tail: &Tail) {
    match driver.head().await {
        Ok(head) => tail.reached(head),
        Err(failure) => tail.failed(failure),
    }
}

/// Follows a change stream while somebody waits, where the server has them, until the tail is closed.
pub(crate) async fn stream(driver: Driver, tail: Arc<Tail>) {
    while tail.wanted().await {
        let ended = follow(&driver, &tail).await;
        tail.set_streaming(false);
        match ended {
            Ok(()) => {}
            Err(error) if is_refusal(&error) => {
                let collection = driver.log.name();
                tracing::info!(%error, collection, "no change streams; looking instead");
                return;
            }
            Err(error) => {
                tracing::debug!(%error, collection = driver.log.name(), "the change stream broke");
                tail.pause(LINGER).await;
            }
        }
    }
}

/// Runs in a task of its own, so that the driver's futures are never dropped half-way.
async fn follow(driver: &Driver, tail: &Tail) -> Result<(), Error> {
    let mut changes: ChangeStream<ChangeStreamEvent<RawDocumentBuf>> = driver
        .log
        .watch()
        .pipeline([doc! { "$project": { "fullDocument": 0 } } as Document])
        .max_await_time(AWAIT)
        .await?;
    // What came before it was opened is not told by it.
    read_head(driver, tail).await;
    tail.set_streaming(true);
    let mut wanted = Instant::now();
    while !tail.is_closed() && wanted.elapsed() < LINGER {
        if tail.is_watched() {
            wanted = Instant::now();
        }
        let change = changes.next_if_any().await?;
        let position = change.and_then(|change| change.document_key?.get_i64("_id").ok());
        if let Some(position) = position.and_then(|position| u64::try_from(position).ok()) {
            tail.reached(cqrs_core::Position::new(position));
        }
    }
    Ok(())
}
