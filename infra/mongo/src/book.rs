//! Books: numbered documents that are only ever inserted, 1, 2, 3 …, of which the last one counts.
//!
//! Whoever inserts the next number has moved the book on; whoever loses that insert stands somewhere else than it
//! believed. Old documents are removed far behind the last one.
//!
//! Who has just moved a book on knows where it stands, and does not ask. Where another was there meanwhile, the insert is lost.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use cqrs_core::Partition;
use mongodb::bson::{Document, RawDocumentBuf, doc};

use crate::answers;
use crate::driver::{Failed, call};
use crate::error::StoreFailure;
use crate::record::{self, int};
use crate::store::MongoStore;

/// Numbers that are kept.
const KEPT: u64 = 10_000;
/// Old ones are removed as seldom as this.
const TIDY_EVERY: u64 = 500;
/// So many moves as are kept take longer than this, by far: who took no longer cannot have met a removed number.
const QUICK: Duration = Duration::from_secs(1);

/// A book's collection, and what its numbers begin with there.
type Key = (&'static str, String);

/// Where this process has last moved each book to.
#[derive(Default)]
pub(crate) struct Moved(Mutex<HashMap<Key, Last>>);

impl Moved {
    fn take(&self, book: &Key) -> Option<Last> {
        let mut moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moved.remove(book)
    }

    fn put(&self, book: Key, last: Last) {
        let mut moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        moved.insert(book, last);
    }
}

/// The book of one name about one partition.
pub(crate) struct Book<'a> {
    store: &'a MongoStore,
    collection: &'static str,
    prefix: String,
}

/// Where a book stands, and when that was asked.
pub(crate) struct Last {
    /// 0 where nothing was ever inserted.
    pub(crate) number: u64,
    pub(crate) doc: Option<RawDocumentBuf>,
    asked: Instant,
}

impl<'a> Book<'a> {
    pub(crate) fn new(
        store: &'a MongoStore,
        collection: &'static str,
        name: &str,
        partition: Partition,
    ) -> Self {
        // The length in front keeps one name from looking like another's with more behind it.
        let prefix = format!("{}/{name}/{partition}/", name.len());
        Self {
            store,
            collection,
            prefix,
        }
    }

    /// The last entry, where this process has inserted it a moment ago and `fits`; else as the server has it.
    pub(crate) async fn last_if(
        &self,
        fits: impl FnOnce(&Last) -> bool,
    ) -> Result<Last, StoreFailure> {
        let moved = self.store.moved().take(&self.name());
        match moved.filter(|last| last.asked.elapsed() <= QUICK && fits(last)) {
            Some(last) => Ok(last),
            None => self.last().await,
        }
    }

    /// The last entry.
    pub(crate) async fn last(&self) -> Result<Last, StoreFailure> {
        let asked = Instant::now();
        let book = self.store.collection(self.collection);
        let mine = doc! { "_id": { "$gte": self.key(0), "$lte": self.key(u64::MAX) } };
        let find = async move { book.find_one(mine).sort(doc! { "_id": -1 }).await };
        let doc = call(self.store.call_timeout(), find).await?;
        let number = match &doc {
            None => 0,
            Some(doc) => record::nat(doc, "number").map_err(|reason| {
                StoreFailure::new(format!("`{}` has a damaged entry: {reason}", self.prefix))
            })?,
        };
        Ok(Last { number, doc, asked })
    }

    /// Inserts the entry after `last`; `false` where that number is taken.
    pub(crate) async fn insert_after(
        &self,
        last: &Last,
        mut entry: Document,
    ) -> Result<bool, StoreFailure> {
        let number = last.number + 1;
        entry.insert("_id", self.key(number));
        entry.insert("number", int(number));
        let entry = RawDocumentBuf::try_from(entry).map_err(StoreFailure::new)?;
        let moved = Last {
            number,
            doc: Some(entry.clone()),
            asked: Instant::now(),
        };
        let book = self.store.collection(self.collection);
        let insert = async move { book.insert_one(entry).await };
        match call(self.store.call_timeout(), insert).await {
            Ok(_) => {}
            Err(Failed::Driver(error)) if answers::is_duplicate(&error) => return Ok(false),
            Err(other) => return Err(other.into()),
        }
        if last.asked.elapsed() > QUICK && self.last().await?.number != number {
            return Ok(false);
        }
        if number.is_multiple_of(TIDY_EVERY) && number > KEPT {
            self.tidy(number - KEPT).await?;
        }
        self.store.moved().put(self.name(), moved);
        Ok(true)
    }

    async fn tidy(&self, up_to: u64) -> Result<(), StoreFailure> {
        let book = self.store.collection(self.collection);
        let old = doc! { "_id": { "$gte": self.key(0), "$lt": self.key(up_to) } };
        let delete = async move { book.delete_many(old).await };
        call(self.store.call_timeout(), delete).await?;
        Ok(())
    }

    fn name(&self) -> Key {
        (self.collection, self.prefix.clone())
    }

    /// Ordered like the numbers: as text, with as many digits as there ever are.
    fn key(&self, number: u64) -> String {
        format!("{}{number:020}", self.prefix)
    }
}
