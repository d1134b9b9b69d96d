//! Read models in versioned PostgreSQL schemas.
//!
//! A [`PgReadModel`] says what its tables are and what events do to them. [`PgModels`] keeps
//! its versions, each in a schema of its own with its own checkpoints, and knows which one is
//! live. A [`PgProjection`] feeds one version: rows, checkpoint and parked events change in one
//! transaction. A [`PgReader`] reads the live one: pointer, checkpoints and rows in one snapshot.
//!
//! A [`PgReplay`] (`cqrs_core`'s `Replay`, over these) makes the next version from the log, verifies it, puts it in the live one's place, and back.
//! [`PgIntents`] is the ledger beside a log of another store, in a schema of its own.
//!
//! Nothing connects before it is used, and whatever is away is an error that says so: a service
//! starts without the server and goes on when it comes.

mod error;
mod ledger;
mod model;
mod models;
mod name;
mod options;
mod projection;
mod read;
mod replay;
mod rows;
mod tls;
mod transaction;
mod writer;

// What a replay is made of beside the engine.
pub use cqrs_core::{Difference, ModelState, Promotion, ReplayPhase, ReplayProgress, ReplayState};
pub use error::{ApplyFailure, ModelError, is_outdated};
pub use ledger::PgIntents;
pub use model::{Column, PgReadModel, SqlType, Table};
pub use models::{ModelVersion, PgModels};
pub use name::{InvalidSchemaName, SchemaName};
pub use options::{OptionsError, PgOptions, PgPool};
pub use projection::PgProjection;
pub use read::{PgRead, PgReader, ReadModelError};
pub use replay::{
    PgChange, PgGates, PgPromotion, PgReplay, PgReplayLock, PgSnapshot, PgVersions, ReplayError,
    Verified,
};
pub use rows::Rows;
pub use writer::Writer;
