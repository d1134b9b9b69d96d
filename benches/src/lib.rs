//! Benchmarks, grouped by question, beside the bare limit.
