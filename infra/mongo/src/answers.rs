//! Which answers of MongoDB settle an outcome.

use mongodb::error::{ErrorKind, WriteFailure};

use crate::error::StoreFailure;

impl From<mongodb::error::Error> for StoreFailure {
    fn from(source: mongodb::error::Error) -> Self {
        Self::new(source)
    }
}

/// The server's code for a key that is there already.
const DUPLICATE_KEY: i32 = 11_000;

/// The index of the member of an ordered insert that met a duplicate key, where that settles the outcome.
///
/// With a write concern error beside it nothing is settled: what stood before it may yet be rolled back, and so may
/// the document that it met.
pub(crate) fn lost_at(error: &mongodb::error::Error) -> Option<usize> {
    let ErrorKind::InsertMany(failure) = &*error.kind else {
        return None;
    };
    match failure.write_errors.as_deref() {
        Some([only]) if failure.write_concern_error.is_none() && only.code == DUPLICATE_KEY => {
            Some(only.index)
        }
        _ => None,
    }
}

/// Whether the insert of one document met a duplicate key.
pub(crate) fn is_duplicate(error: &mongodb::error::Error) -> bool {
    matches!(
        &*error.kind,
        ErrorKind::Write(WriteFailure::WriteError(failure)) if failure.code == DUPLICATE_KEY
    )
}

/// Whether a command as a whole met a duplicate key.
pub(crate) fn is_duplicate_command(error: &mongodb::error::Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(failure) if failure.code == DUPLICATE_KEY)
}

/// Whether the server understood and refused, rather than not answering.
pub(crate) fn is_refusal(error: &mongodb::error::Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(_))
}
