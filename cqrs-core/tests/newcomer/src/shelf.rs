//! A projection: who has which book.

use std::collections::BTreeMap;

use cqrs_core::{BoxError, Codec, MemoryProjection};

use crate::BookEvent;

/// Books that are out, by stream, with their readers.
pub type Shelf = BTreeMap<String, String>;

/// The read model, empty.
pub fn shelf() -> MemoryProjection<Shelf> {
    let codec = Codec::<BookEvent>::new();
    let types = ["book-lent", "book-returned"];
    MemoryProjection::new("shelf", types, Shelf::new(), move |shelf, event| {
        let book = event.commit.stream.to_string();
        match codec.decode(event.data)? {
            BookEvent::Lent(lent) => shelf.insert(book, lent.reader),
            BookEvent::Returned(_) => shelf.remove(&book),
        };
        Ok::<(), BoxError>(())
    })
}
