//! Random histories against the plain recount.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::block_on;
use crate::harness::{Harness, World};
use crate::history::{self, Op};
use crate::recount::{dump, recount};

/// Checks `property` on histories and ways to cut them.
fn check<H: Harness>(property: impl Fn(&[Op], &[usize])) {
    let config = Config {
        source_file: Some(file!()),
        ..Config::with_cases(H::CASES)
    };
    let histories = prop::collection::vec(history::op(), 1..120);
    let cuts = prop::collection::vec(1_usize..20, 1..8);
    TestRunner::new(config)
        .run(&(histories, cuts), |(ops, cuts)| {
            property(&ops, &cuts);
            Ok(())
        })
        .unwrap();
}

pub(crate) fn every_answer_equals_a_recount_in_any_slicing<H: Harness>() {
    check::<H>(|ops, cuts| {
        block_on(async {
            let sliced = World::<H>::open().await;
            let whole = World::<H>::open().await;
            let commits = sliced.commits(ops).await;
            let mut rest = commits.as_slice();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (slice, more) = rest.split_at((*cut).min(rest.len()));
                sliced.apply(slice).await;
                rest = more;
            }
            whole.apply(&commits).await;
            let expected = recount(ops);
            assert_eq!(dump(&sliced).await, expected);
            assert_eq!(dump(&whole).await, expected);
        });
    });
}

pub(crate) fn every_answer_equals_a_recount_over_partitions<H: Harness>() {
    check::<H>(|ops, _| {
        block_on(async {
            let interleaved = World::<H>::with_partitions(3).await;
            let backwards = World::<H>::with_partitions(3).await;
            let mut commits = interleaved.commits(ops).await;
            interleaved.apply(&commits).await;
            // Partition after partition, the last one first: no order holds across them.
            commits.sort_by_key(|commit| std::cmp::Reverse(commit.at.partition));
            backwards.apply(&commits).await;
            let expected = recount(ops);
            assert_eq!(dump(&interleaved).await, expected);
            assert_eq!(dump(&backwards).await, expected);
        });
    });
}
