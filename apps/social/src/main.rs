//! Everything in one process on the embedded default.
fn main() {}
