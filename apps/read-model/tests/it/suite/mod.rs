//! What every store of the read model must answer. Each function is one promise, and opens stores of its own.

pub(crate) mod lookups;
pub(crate) mod parked;
pub(crate) mod recounted;
pub(crate) mod repeats;
pub(crate) mod tokens;
pub(crate) mod walks;

/// The suite on the store of a [`Harness`](crate::harness::Harness).
///
/// `social_queries_suite!(Store)`, or `social_queries_suite!(Store, ignore = "needs X")` for tests that stay
/// visible where they cannot run.
macro_rules! social_queries_suite {
    ($harness:ty) => { social_queries_suite!(@ $harness, []); };
    ($harness:ty, ignore = $why:literal) => { social_queries_suite!(@ $harness, [#[ignore = $why]]); };
    (@ $harness:ty, $ignore:tt) => {
        social_queries_suite!(@each $harness, $ignore,
            recounted::{every_answer_equals_a_recount_in_any_slicing}
            recounted::{every_answer_equals_a_recount_over_partitions}
            repeats::{a_slice_that_comes_again_counts_only_what_is_new}
            walks::{walks_neither_skip_nor_repeat_while_posts_arrive}
            walks::{a_foreign_cursor_is_refused}
            lookups::{a_deleted_post_is_gone_with_all_under_it}
            lookups::{a_handle_answers_for_its_present_holder_in_any_case}
            lookups::{statistics_are_summed_over_partitions}
            tokens::{tokens_are_held_against_the_checkpoint}
            tokens::{each_partition_has_its_own_checkpoint}
            tokens::{a_bad_cursor_is_told_before_a_token_that_is_not_reflected}
            parked::{events_out_of_nowhere_are_poison}
            parked::{a_parked_commit_is_not_reflected_until_released}
            parked::{a_parked_stream_holds_no_other_back}
        );
    };
    (@each $harness:ty, $ignore:tt, $($module:ident::{$name:ident})*) => {
        $(social_queries_suite!(@one $harness, $ignore, $module, $name);)*
    };
    (@one $harness:ty, [$($ignore:tt)*], $module:ident, $name:ident) => {
        #[test]
        $($ignore)*
        fn $name() {
            crate::suite::$module::$name::<$harness>();
        }
    };
}
