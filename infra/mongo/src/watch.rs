//! A change stream, where the server has them: it wakes readers as [`look`](crate::look) does, sooner.
//!
//! One for all partitions of a store: every stream that is open costs the server a look at each change, whomever that concerns.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::Position;
use futures_util::FutureExt;
use futures_util::future::{join_all, select_all};
use mongodb::Database;
use mongodb::bson::{Document, doc};
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

/// A partition and those who wait there.
pub(crate) type Watched = (Driver, Arc<Tail>);

/// Follows a change stream while somebody waits, where the server has them, until the tails are closed.
pub(crate) async fn stream(database: Database, logs: Vec<Watched>) {
    while wanted(&logs).await {
        let ended = follow(&database, &logs).await;
        logs.iter().for_each(|(_, tail)| tail.set_streaming(false));
        match ended {
            Ok(()) => {}
            Err(error) if is_refusal(&error) => {
                let database = database.name();
                tracing::info!(%error, database, "no change streams; looking instead");
                return;
            }
            Err(error) => {
                tracing::debug!(%error, database = database.name(), "the change stream broke");
                if let Some((driver, tail)) = logs.first() {
                    tail.pause(driver, LINGER).await;
                }
            }
        }
    }
}

/// Waits until somebody waits anywhere; `false` once all is closed.
async fn wanted(logs: &[Watched]) -> bool {
    let wanted = logs.iter().map(|(_, tail)| {
        let wanted = async move {
            if tail.wanted().await {
                return true;
            }
            pending().await
        };
        wanted.boxed()
    });
    let closed = join_all(logs.iter().map(|(_, tail)| tail.closed()));
    tokio::select! {
        biased;
        _ = closed => false,
        (wanted, ..) = select_all(wanted) => wanted,
    }
}

/// Runs in a task of its own, so that the driver's futures are never dropped half-way.
async fn follow(database: &Database, logs: &[Watched]) -> Result<(), Error> {
    let by_name: HashMap<&str, &Tail> = logs
        .iter()
        .map(|(driver, tail)| (driver.log.name(), &**tail))
        .collect();
    let names: Vec<&str> = by_name.keys().copied().collect();
    let pipeline: [Document; 2] = [
        doc! { "$match": { "operationType": "insert", "ns.coll": { "$in": names } } },
        doc! { "$project": { "fullDocument": 0 } },
    ];
    let mut changes: ChangeStream<ChangeStreamEvent<Document>> = database
        .watch()
        .pipeline(pipeline)
        .max_await_time(AWAIT)
        .await?;
    // What came before it was opened is not told by it.
    join_all(logs.iter().map(|(driver, tail)| read_head(driver, tail))).await;
    logs.iter().for_each(|(_, tail)| tail.set_streaming(true));
    let mut wanted = Instant::now();
    while !logs.iter().all(|(_, tail)| tail.is_closed()) && wanted.elapsed() < LINGER {
        if logs.iter().any(|(_, tail)| tail.is_watched()) {
            wanted = Instant::now();
        }
        let Some(change) = changes.next_if_any().await? else {
            continue;
        };
        let named = change.ns.and_then(|ns| ns.coll);
        let tail = named.and_then(|name| by_name.get(name.as_str()).copied());
        let key = change.document_key.as_ref();
        let position = key.and_then(|key| u64::try_from(key.get_i64("_id").ok()?).ok());
        if let (Some(tail), Some(position)) = (tail, position) {
            tail.reached(Position::new(position));
        }
    }
    Ok(())
}
