//! The suites as macros, one for each trait or set of traits: a test for each promise.

/// Declares a test for each function of a suite. Not for direct use.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_tests {
    ($suite:ident, $open:expr, $ignore:tt, $($name:ident)+) => {
        $($crate::contract_test!($suite, $open, $ignore, $name);)+
    };
}

/// Declares one of them. Not for direct use.
#[doc(hidden)]
#[macro_export]
macro_rules! contract_test {
    ($suite:ident, $open:expr, [$($ignore:tt)*], $name:ident) => {
        #[::tokio::test]
        $($ignore)*
        async fn $name() {
            $crate::testing::contract::$suite::$name($open).await;
        }
    };
}

/// Runs the suites of [`EventLog`](crate::EventLog) on the store that an expression gives.
///
/// `event_log_contract!(open().await)`, or `event_log_contract!(open().await, ignore = "needs X")` for tests
/// that stay visible where they cannot run. The expression is evaluated for each test, in an async function.
#[macro_export]
macro_rules! event_log_contract {
    ($open:expr) => { $crate::event_log_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::event_log_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(log, $open, $ignore,
            refuses_an_empty_commit
            refuses_a_commit_with_too_many_events
            counts_versions_and_positions_densely
            appends_all_events_of_a_commit_together
            rejects_a_stale_expected_version
            any_takes_whatever_is_there
            no_stream_takes_only_an_empty_one
            a_version_inside_a_commit_is_a_conflict
            versions_past_ten_and_a_hundred_are_compared_as_numbers
            after_tells_commits_at_one_version_apart
            a_lost_predecessor_takes_its_successor_with_it
            a_repeated_command_gets_the_first_answer
            a_command_id_with_another_request_is_refused
            calls_take_their_places_unpolled
            a_dropped_call_leaves_the_log_usable
            confirms_a_head_and_nothing_else
            confirms_behind_what_was_called_before
            reads_a_stream_in_whole_commits
            reads_a_stream_from_the_end_of_a_commit_only
            reads_a_partition_in_whole_commits
            knows_what_a_slice_left_out
            refuses_a_partition_that_it_has_not
            finds_a_commit_by_its_command
            gives_back_what_was_appended
            wakes_whoever_waits
            a_subscription_sees_each_commit_once_and_in_order
            of_rivals_exactly_one_wins_each_version
        );
    };
}

/// Runs the suite of [`Ledger`](crate::Ledger) on a store that is its log too.
#[macro_export]
macro_rules! ledger_contract {
    ($open:expr) => { $crate::ledger_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::ledger_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(ledger, $open, $ignore,
            grants_a_new_command_once
            lets_go_what_is_dropped_or_let_go
            answers_again_what_was_answered
            refuses_another_request_under_the_id
            knows_that_an_earlier_attempt_landed
        );
        $crate::contract_tests!(reservations, $open, $ignore,
            a_value_has_one_owner
            a_refused_reservation_leaves_nothing_behind
            a_released_value_is_free
            a_value_given_up_and_taken_again_stays_with_its_stream
            nobody_releases_what_another_owns
        );
    };
}

/// Runs the suites of [`IntentStore`](crate::IntentStore).
///
/// `intent_store_contract!(open().await)`, where the expression gives an empty store without checkpoint rows.
#[macro_export]
macro_rules! intent_store_contract {
    ($open:expr) => { $crate::intent_store_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::intent_store_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(claims, $open, $ignore,
            grants_a_new_command_once
            grants_one_of_those_who_claim_at_once
            grants_nothing_without_its_footing
            takes_over_what_nobody_holds
            one_of_many_takes_over
            renews_what_is_held
            stores_the_first_answer
            answers_what_nobody_claimed
            a_held_row_that_is_gone_is_a_loss
            lets_go
        );
        $crate::contract_tests!(values, $open, $ignore,
            opens_an_intent_that_nobody_claimed
            opens_an_intent_for_the_attempt_that_holds_the_claim
            an_open_intent_stands_in_the_way
            a_confirmed_value_is_taken
            a_dropped_intent_frees_its_values
            finds_intents_whose_lease_is_over
            of_rivals_one_holds_a_value
            keeps_values_and_commits_as_they_are
        );
        $crate::contract_tests!(fold, $open, $ignore,
            finishes_what_landed
            lets_values_go_that_the_commit_lacks
            a_claim_is_not_finished_with_reservations
            a_released_value_is_free
            a_late_finish_frees_nothing_newer
            the_checkpoint_moves_only_from_where_it_stands
            folds_rows_whatever_they_are
            makes_a_lost_ledger_whole_in_any_order
            a_restored_intent_is_contested
        );
    };
}

/// Runs the crash suite of a ledger and a log in two stores, joined by a [`Coordinator`](crate::Coordinator).
///
/// `two_stores_contract!(open().await)`, where the expression gives a [`TwoStores`](crate::testing::contract::TwoStores),
/// empty.
#[macro_export]
macro_rules! two_stores_contract {
    ($open:expr) => { $crate::two_stores_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::two_stores_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(stops, $open, $ignore,
            stopped_at_a_keyed_reservation
            stopped_at_an_unkeyed_reservation
            stopped_at_a_refusal
            stopped_at_a_taken_value
            stopped_at_a_keyed_command
            stopped_at_a_command_of_the_log_alone
            stopped_at_a_creation_without_an_id
        );
        $crate::contract_tests!(takeovers, $open, $ignore,
            a_slow_insert_lands_after_the_take_over
            a_slow_insert_does_not_undo_a_refusal
            a_creation_whose_fate_is_unknown_creates_once
            an_answer_outlives_what_it_was_decided_on
            who_stood_still_repeats_the_answer_of_who_took_over
            stopped_while_it_answers_for_another
        );
        $crate::contract_tests!(races, $open, $ignore,
            a_finish_is_delayed_past_later_changes
            one_key_many_times_at_once
            racing_for_names
            a_lost_ledger_is_made_whole_from_the_log
            a_command_pays_for_what_it_uses
            a_wrapped_log_is_claimed_for_first
        );
        $crate::contract_tests!(crowds, $open, $ignore,
            stopped_processes_race_for_names
        );
    };
}

/// Runs the crash suite of a store that is log and ledger in one.
///
/// `one_store_contract!(open())`, where the expression gives a [`OneStore`](crate::testing::contract::alone::OneStore).
#[macro_export]
macro_rules! one_store_contract {
    ($open:expr) => { $crate::one_store_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::one_store_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(alone, $open, $ignore,
            stopped_at_a_keyed_reservation
            stopped_at_an_unkeyed_reservation
            stopped_at_a_refusal
            stopped_at_a_taken_value
            stopped_at_a_keyed_command
            stopped_at_an_unkeyed_command
            stopped_at_a_creation_without_an_id
        );
    };
}

/// Runs the suite of [`SnapshotStore`](crate::SnapshotStore).
#[macro_export]
macro_rules! snapshot_store_contract {
    ($open:expr) => { $crate::snapshot_store_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::snapshot_store_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(snapshot, $open, $ignore,
            has_none_at_first
            keeps_the_newest
            another_schema_replaces
            keeps_a_large_one
        );
    };
}

/// Runs the suite of [`CheckpointStore`](crate::CheckpointStore).
#[macro_export]
macro_rules! checkpoint_store_contract {
    ($open:expr) => { $crate::checkpoint_store_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::checkpoint_store_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(checkpoint, $open, $ignore,
            stands_at_the_start
            moves_only_from_where_it_stands
            keeps_consumers_and_partitions_apart
        );
    };
}

/// Runs the suite of [`RelayMarks`](crate::RelayMarks).
#[macro_export]
macro_rules! relay_marks_contract {
    ($open:expr) => { $crate::relay_marks_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::relay_marks_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(relay_marks, $open, $ignore,
            has_no_mark_at_first
            gives_back_the_latest_as_it_was_inserted
            the_number_decides_and_not_the_position
            a_taken_number_is_refused
            of_rivals_exactly_one_inserts_a_number
            keeps_relays_and_partitions_apart
        );
    };
}

/// Runs the suite of [`PublishEvents`](crate::PublishEvents) and [`ConsumeEvents`](crate::ConsumeEvents).
///
/// `bus_contract!(open().await)`, where the expression gives [`Brokers`](crate::testing::contract::Brokers), empty.
#[macro_export]
macro_rules! bus_contract {
    ($open:expr) => { $crate::bus_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::bus_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(bus, $open, $ignore,
            gives_back_what_was_published
            a_publish_answers_where_it_ended
            knows_what_it_holds
            a_slice_published_again_is_there_again
            what_was_dropped_on_its_way_is_published_again
            publishers_at_once_lose_nothing
            begins_behind_nothing_that_was_asked_for
            gives_no_more_than_was_asked_for
            waits_for_more
            a_dropped_read_loses_nothing
            gives_nothing_before_its_cursor_is_moved
            cursors_are_apart
        );
    };
}

/// Runs the suite of [`Assigned`](crate::Assigned): of consumers that share a bus.
///
/// `bus_groups_contract!(open().await)`, where the expression gives what [`bus_contract!`](crate::bus_contract) takes.
#[macro_export]
macro_rules! bus_groups_contract {
    ($open:expr) => { $crate::bus_groups_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::bus_groups_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(groups, $open, $ignore,
            tells_of_each_change_until_it_is_seen
            members_share_the_partitions
            one_who_leaves_gives_the_others_what_it_had
            one_who_is_gone_gives_the_others_what_it_had
            what_is_not_ones_own_is_waited_for
            groups_share_nothing
            what_was_noted_skips_nothing
        );
    };
}

/// Runs the suite of [`Projection`](crate::Projection) and [`ParkedStreams`](crate::ParkedStreams) on the
/// [`NotebookStore`](crate::testing::contract::NotebookStore) that an expression gives.
///
/// # Example
///
/// The reference, with the model that every adapter writes once more in its own terms:
///
/// ```
/// use cqrs_core::testing::contract::{Note, Notebook, NotebookStore};
/// use cqrs_core::{MemoryProjection, MemoryStore};
///
/// struct InMemory {
///     log: MemoryStore,
///     notebook: Notebook,
///     projection: MemoryProjection<Vec<Note>>,
/// }
///
/// fn open() -> InMemory {
///     let (notebook, log) = (Notebook::default(), MemoryStore::new(4));
///     let model = notebook.clone();
///     let types = [Notebook::EVENT];
///     let projection = MemoryProjection::new(Notebook::NAME, types, vec![], move |notes, event| {
///         notes.push(model.note(event)?);
///         Ok(())
///     });
///     InMemory { log, notebook, projection }
/// }
///
/// impl NotebookStore for InMemory {
///     type Log = MemoryStore;
///     type Projection = MemoryProjection<Vec<Note>>;
///
///     fn log(&self) -> &MemoryStore { &self.log }
///     fn projection(&self) -> &Self::Projection { &self.projection }
///     fn notebook(&self) -> &Notebook { &self.notebook }
///     async fn notes(&self) -> Vec<Note> { self.projection.read(Vec::clone) }
/// }
///
/// mod contract {
///     cqrs_core::projection_contract!(super::open());
/// }
/// ```
#[macro_export]
macro_rules! projection_contract {
    ($open:expr) => { $crate::projection_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::projection_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(projection, $open, $ignore,
            begins_empty_at_the_start
            moves_rows_and_checkpoint_together
            applies_what_it_is_given_and_moves_as_far_as_it_is_told
            a_stale_batch_writes_nothing
            a_repeated_batch_is_harmless
            of_rivals_exactly_one_writes
            a_dropped_call_writes_all_or_nothing
            a_poisonous_event_is_named_and_undoes_its_batch
            keeps_partitions_apart
        );
        $crate::contract_tests!(parking, $open, $ignore,
            parks_a_stream_from_an_event_on
            parks_nothing_with_a_poisonous_batch
            later_events_queue_behind
            parks_several_streams
            releases_in_order_and_once
            a_release_that_meets_poison_changes_nothing
            a_released_stream_goes_on
            releasing_what_is_not_parked_changes_nothing
            a_batch_that_is_wrong_about_parked_streams_is_stale
        );
    };
}

/// Runs the suite of whoever keeps the versions of a read model for a [`Replay`](crate::Replay).
///
/// `replay_contract!(open().await)`, where the expression gives a
/// [`NotebookVersions`](crate::testing::contract::NotebookVersions).
#[macro_export]
macro_rules! replay_contract {
    ($open:expr) => { $crate::replay_contract!(@ $open, []); };
    ($open:expr, ignore = $why:literal) => { $crate::replay_contract!(@ $open, [#[ignore = $why]]); };
    (@ $open:expr, $ignore:tt) => {
        $crate::contract_tests!(replays, $open, $ignore,
            takes_the_place_and_gives_it_back
            nobody_goes_back_in_time
            a_promotion_holds_the_live_version_still
            a_killed_rebuild_is_gone_on_with
            a_shutdown_interrupts
            a_cancel_leaves_the_live_version
            a_running_rebuild_is_cancelled
            what_is_live_is_not_retired
            a_dropped_change_changes_nothing
            one_replays_at_a_time
            parked_streams_need_force
        );
    };
}
