//! One command in memory, by length and by writers: ours, cqrs-es and eventcore in one run.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml --bench command > /dev/null`
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use benches::cqrs_es::CqrsEs;
use benches::measure::{by_length, by_writers, group};
use benches::notebook::Ours;
use criterion::{Criterion, criterion_group, criterion_main};
use peers::EventCore;

fn command(c: &mut Criterion) {
    let mut group = group(c, "command");
    by_length::<Ours>(&mut group);
    by_length::<CqrsEs>(&mut group);
    by_length::<EventCore>(&mut group);
    group.finish();
}

fn writers(c: &mut Criterion) {
    let mut group = group(c, "writers");
    eprintln!("| | on | writers | acknowledged | stored |");
    eprintln!("|---|---|---|---|---|");
    by_writers::<Ours>(&mut group);
    by_writers::<CqrsEs>(&mut group);
    by_writers::<EventCore>(&mut group);
    group.finish();
}

criterion_group!(benches, command, writers);
criterion_main!(benches);
