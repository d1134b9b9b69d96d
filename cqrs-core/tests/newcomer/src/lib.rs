//! A library's shelf: books are lent and come back.

mod audit;
mod book;
mod shelf;

pub use audit::{Audit, Entry};
pub use book::{Book, BookEvent, Lend, Lent, NotThere, Returned, TakeBack};
pub use shelf::{Shelf, shelf};
