//! The reference implementation keeps what it is the reference for.

mod one_partition {
    cqrs_core::event_log_contract!(cqrs_core::MemoryStore::new(1));
    cqrs_core::ledger_contract!(cqrs_core::MemoryStore::new(1));
    cqrs_core::snapshot_store_contract!(cqrs_core::MemoryStore::new(1));
    cqrs_core::checkpoint_store_contract!(cqrs_core::MemoryStore::new(1));
    cqrs_core::relay_marks_contract!(cqrs_core::MemoryRelayMarks::new());
}

mod four_partitions {
    cqrs_core::event_log_contract!(cqrs_core::MemoryStore::new(4));
}
