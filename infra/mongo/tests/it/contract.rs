//! The contracts that every store keeps.

use crate::kit::open;

mod one_partition {
    use super::open;

    cqrs_core::event_log_contract!(open(1).await, ignore = "needs MONGODB_URI");
    cqrs_core::snapshot_store_contract!(open(1).await, ignore = "needs MONGODB_URI");
    cqrs_core::checkpoint_store_contract!(open(1).await, ignore = "needs MONGODB_URI");
    cqrs_core::relay_marks_contract!(open(1).await, ignore = "needs MONGODB_URI");
}

mod four_partitions {
    use super::open;

    cqrs_core::event_log_contract!(open(4).await, ignore = "needs MONGODB_URI");
}
