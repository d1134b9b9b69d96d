//! The behaviours that come with the library.
//!
//! From the outside in, as a rule: [`Tracing`], [`Validation`], [`Idempotency`], [`ConflictRetry`].

mod conflict_retry;
#[cfg(test)]
pub(crate) mod fixture;
mod idempotency;
mod tracing;
mod validation;

pub use conflict_retry::ConflictRetry;
pub use idempotency::Idempotency;
pub use tracing::Tracing;
pub use validation::{Invalid, Validate, Validation};
