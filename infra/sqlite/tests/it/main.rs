//! The store as its callers see it: the contracts, and what only a file can do.

mod appends;
mod files;
mod kit;
mod ledger;
mod projections;
