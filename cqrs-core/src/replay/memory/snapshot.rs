//! Comparing versions in memory.

use std::fmt;
use std::time::Duration;

use super::held::Hold;
use super::{MemoryVersion, MemoryVersions, Unkept};
use crate::position::{Partition, Position};
use crate::projection::Parked;
use crate::replay::{
    BothPlaces, CompareVersions, Compared, Difference, VersionGates, VersionSnapshot,
};

/// Two versions of a [`MemoryVersions`] that nobody else writes.
pub struct MemoryGates<S: Clone + Send + Sync> {
    versions: MemoryVersions<S>,
    /// Let go with the rest.
    _hold: Hold<S>,
    both: [u32; 2],
}

/// Two versions of a [`MemoryVersions`] as they were at one moment. Their rows are compared as a whole.
pub struct MemorySnapshot<S>([Copied<S>; 2]);

struct Copied<S> {
    places: Vec<Position>,
    parked: Vec<(Partition, Parked)>,
    rows: Option<S>,
}

impl<S> CompareVersions for MemoryVersions<S>
where
    S: Clone + Send + Sync + PartialEq + fmt::Debug + 'static,
{
    type Gates = MemoryGates<S>;

    async fn close_gates(
        &self,
        live: &MemoryVersion,
        other: &MemoryVersion,
        _: Duration,
    ) -> Result<MemoryGates<S>, Unkept> {
        let both = [live.number, other.number];
        let mut hold = self.hold();
        for version in [both[0].min(both[1]), both[0].max(both[1])] {
            hold.gate(version).await;
        }
        Ok(MemoryGates {
            versions: self.clone(),
            _hold: hold,
            both,
        })
    }
}

impl<S> VersionGates for MemoryGates<S>
where
    S: Clone + Send + Sync + PartialEq + fmt::Debug + 'static,
{
    type Error = Unkept;
    type Snapshot = MemorySnapshot<S>;

    async fn places(&mut self) -> Result<BothPlaces, Unkept> {
        Ok(self.both.map(|number| self.versions.places(number)))
    }

    async fn open(self) -> Result<MemorySnapshot<S>, Unkept> {
        let partitions = self.versions.shared.partitions;
        let state = self.versions.shared.state();
        let copied = self.both.map(|number| Copied {
            places: state.places(number, partitions),
            parked: state.parked(number, partitions),
            rows: state
                .versions
                .get(&number)
                .map(|kept| kept.projection.read(S::clone)),
        });
        Ok(MemorySnapshot(copied))
    }
}

impl<S> VersionSnapshot for MemorySnapshot<S>
where
    S: Send + Sync + PartialEq + fmt::Debug,
{
    type Error = Unkept;

    async fn places(&mut self) -> Result<BothPlaces, Unkept> {
        Ok([self.0[0].places.clone(), self.0[1].places.clone()])
    }

    async fn compare(&mut self, nth: usize) -> Result<Option<Compared>, Unkept> {
        let [live, other] = &self.0;
        Ok(match nth {
            0 => Some(compared(1, "rows", &live.rows, &other.rows)),
            1 => Some(compared(0, "parked", &live.parked, &other.parked)),
            _ => None,
        })
    }
}

fn compared<T: PartialEq + fmt::Debug>(rows: u64, table: &str, live: &T, other: &T) -> Compared {
    let mut compared = Compared {
        rows,
        ..Compared::default()
    };
    if live != other {
        compared.differing = 1;
        compared.differences.push(Difference {
            table: table.to_owned(),
            key: "all".to_owned(),
            live: Some(format!("{live:?}")),
            other: Some(format!("{other:?}")),
        });
    }
    compared
}
