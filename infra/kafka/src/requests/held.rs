//! What is held of the requests: which may begin, and up to where all are answered.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::Request;

/// Where a request came from.
pub(super) struct Place {
    /// Requests of one lane are handled one after another.
    pub(super) lane: (i32, Option<Bytes>),
    pub(super) offset: i64,
}

/// Requests that are not answered.
#[derive(Default)]
pub(super) struct Held {
    /// Those that may begin.
    pub(super) ready: VecDeque<Request>,
    /// Those behind one that is ready or running, by lane; a lane is here while it has such a one.
    lanes: BTreeMap<(i32, Option<Bytes>), VecDeque<Request>>,
    /// The offsets that are not answered, by partition, and how often each is held.
    open: BTreeMap<i32, BTreeMap<i64, u32>>,
    /// One past the highest offset that came, by partition.
    next: BTreeMap<i32, i64>,
    pub(super) count: usize,
    pub(super) paused: bool,
}

impl Held {
    pub(super) fn add(&mut self, request: Request) {
        self.count += 1;
        let open = self.open.entry(request.partition).or_default();
        *open.entry(request.offset).or_default() += 1;
        let next = self.next.entry(request.partition).or_default();
        // Lower than before where the partition came back after others had it.
        *next = request.offset + 1;
        match self.lanes.entry((request.partition, request.key.clone())) {
            std::collections::btree_map::Entry::Occupied(mut lane) => {
                lane.get_mut().push_back(request);
            }
            std::collections::btree_map::Entry::Vacant(lane) => {
                lane.insert(VecDeque::new());
                self.ready.push_back(request);
            }
        }
    }

    /// Notes that a request is answered; the offset before which all are, where that is known.
    pub(super) fn finish(&mut self, place: Place) -> Option<i64> {
        self.count -= 1;
        let partition = place.lane.0;
        if let Some(lane) = self.lanes.get_mut(&place.lane) {
            match lane.pop_front() {
                Some(request) => self.ready.push_back(request),
                None => {
                    self.lanes.remove(&place.lane);
                }
            }
        }
        let open = self.open.get_mut(&partition)?;
        let times = open.get_mut(&place.offset)?;
        *times -= 1;
        if *times == 0 {
            open.remove(&place.offset);
        }
        let lowest = open.keys().next().copied();
        let next = *self.next.get(&partition)?;
        Some(lowest.map_or(next, |lowest| lowest.min(next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &'static str, offset: i64) -> Request {
        Request {
            key: Some(Bytes::from_static(key.as_bytes())),
            payload: Bytes::new(),
            headers: Vec::new(),
            partition: 0,
            offset,
        }
    }

    fn finish(held: &mut Held, key: &'static str, offset: i64) -> Option<i64> {
        let lane = (0, Some(Bytes::from_static(key.as_bytes())));
        held.finish(Place { lane, offset })
    }

    fn ready(held: &mut Held) -> Vec<i64> {
        held.ready.drain(..).map(|request| request.offset).collect()
    }

    #[test]
    fn one_of_a_key_is_ready_at_a_time_and_in_order() {
        let mut held = Held::default();
        for (key, offset) in [("a", 5), ("a", 6), ("b", 7), ("a", 8)] {
            held.add(request(key, offset));
        }
        assert_eq!(ready(&mut held), [5, 7]);
        finish(&mut held, "b", 7);
        assert!(ready(&mut held).is_empty());
        finish(&mut held, "a", 5);
        assert_eq!(ready(&mut held), [6]);
        finish(&mut held, "a", 6);
        assert_eq!(ready(&mut held), [8]);
        finish(&mut held, "a", 8);
        assert_eq!((held.count, held.lanes.len()), (0, 0));
    }

    #[test]
    fn offsets_are_kept_up_to_the_first_that_is_open() {
        let mut held = Held::default();
        for (key, offset) in [("a", 5), ("b", 6), ("c", 7)] {
            held.add(request(key, offset));
        }
        assert_eq!(finish(&mut held, "b", 6), Some(5));
        assert_eq!(finish(&mut held, "a", 5), Some(7));
        assert_eq!(finish(&mut held, "c", 7), Some(8));
    }

    #[test]
    fn one_that_came_twice_is_open_until_both_are_answered() {
        let mut held = Held::default();
        held.add(request("a", 5));
        held.add(request("b", 6));
        // The partition went and came back.
        held.add(request("a", 5));
        assert_eq!(finish(&mut held, "a", 5), Some(5));
        assert_eq!(finish(&mut held, "b", 6), Some(5));
        assert_eq!(finish(&mut held, "a", 5), Some(6));
    }
}
