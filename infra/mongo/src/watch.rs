//! A change stream, where the server has them: it wakes readers as [`look`](crate::look) does, sooner.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::ChangeStreamEvent;
use mongodb::error::Error;
use tokio::time::Instant;

use crate::answers::is_refusal;
use crate::driver::Driver;
use crate::look::{AWAIT, read_head};
use crate::tail::Tail;

/// How long a change stream stays open that nobody waits for, and how long a broken one stays closed.
const LINGER: Duration = Duration::from_secs(10);

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
                tail.pause(&driver, LINGER).await;
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
