//! What becomes of the events of a slice.

use std::collections::BTreeSet;

use crate::log::RecordedCommit;
use crate::mutants::mutant;
use crate::projection::EventRef;
use crate::stream::StreamName;

/// A slice's events, sorted by what becomes of them.
pub(super) struct Sorted {
    pub(super) apply: Vec<EventRef>,
    pub(super) park: Vec<(EventRef, Option<String>)>,
}

impl Sorted {
    pub(super) fn new(
        slice: &[RecordedCommit],
        parked: &BTreeSet<StreamName>,
        handles: impl Fn(&str) -> bool,
    ) -> Self {
        let (mut apply, mut park) = (Vec::new(), Vec::new());
        for (commit, recorded) in slice.iter().enumerate() {
            let queued = parked.contains(&recorded.stream);
            for (event, data) in recorded.events.iter().enumerate() {
                let place = EventRef { commit, event };
                if !handles(data.event_type.name()) {
                } else if queued {
                    park.push((place, None));
                } else {
                    apply.push(place);
                }
            }
        }
        Self { apply, park }
    }

    /// Parks the events of `stream` from `index` on, instead of applying them.
    pub(super) fn park_from(
        &mut self,
        index: usize,
        stream: &StreamName,
        slice: &[RecordedCommit],
        reason: String,
    ) {
        let mut reason = Some(reason);
        let tail = self.apply.split_off(index);
        for event in tail {
            let first = reason.is_some();
            let whole = first || !mutant("park the event and not its stream");
            if slice[event.commit].stream == *stream && whole {
                self.park.push((event, reason.take()));
            } else {
                self.apply.push(event);
            }
        }
        self.park
            .sort_by_key(|(event, _)| (event.commit, event.event));
    }
}
