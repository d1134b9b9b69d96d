//! Where processes stand still, crash, or send what arrives late or never: at the words between which another process can
//! go on without them.

use std::time::Duration;

use cqrs_core::Random;
use cqrs_core::testing::SeededRandom;
use cqrs_core::testing::sim::{Snap, Trap};

#[derive(Clone, Copy)]
enum Kind {
    Before,
    After,
    Crash,
    Late,
    Lost,
}

/// The words and what happens there; what leads further stands there more often.
const PLACES: [(&str, Kind); 20] = [
    // Admitted, and past its lease before it appends.
    ("claim", Kind::After),
    ("claim", Kind::After),
    ("claim", Kind::Crash),
    ("take over", Kind::After),
    ("take over", Kind::After),
    ("take over", Kind::Before),
    ("intend", Kind::After),
    // An intent of which nobody knows but the sweeper.
    ("intend", Kind::Crash),
    ("intend", Kind::Crash),
    // About to write what was true of an attempt that is over by then.
    ("answer as held", Kind::Before),
    ("answer as held", Kind::Before),
    // The log has it, and the row is open.
    ("answer as held", Kind::Lost),
    ("answer as held", Kind::Lost),
    ("drop intent", Kind::Before),
    ("let go", Kind::Before),
    // In the log, or on its way there, while its process has given up.
    ("insert", Kind::After),
    ("insert", Kind::Crash),
    ("insert", Kind::Late),
    ("insert", Kind::Late),
    ("insert", Kind::Late),
];

/// The same of replays, which seldom say them.
const REPLAYS: [(&str, Kind); 14] = [
    // A version is begun and nobody was told; copied, and cancelled before it is ready.
    ("begin version", Kind::Crash),
    ("change version", Kind::Before),
    ("make ready", Kind::Crash),
    ("make ready", Kind::Lost),
    // What is to be cancelled is promoted meanwhile.
    ("begun versions", Kind::After),
    // The live one is held, and whoever holds it stands still, dies, or never hears of the commit.
    ("hold live", Kind::After),
    ("hold live", Kind::Crash),
    ("standing", Kind::After),
    ("promote", Kind::Before),
    ("promote", Kind::Late),
    ("promote", Kind::Lost),
    ("promote", Kind::Crash),
    ("close gates", Kind::After),
    ("open gates", Kind::Crash),
];

/// One trap, or two of which the second is for whoever goes on instead of the first.
pub(crate) fn draw(random: &SeededRandom) -> Vec<Trap> {
    match random.next_u64() % 4 {
        0 => vec![one(random), one(random)],
        // Who was admitted stands still, and so does who takes over.
        1 => ["claim", "take over"]
            .map(|word| Trap {
                word,
                snap: Snap::After(still(random)),
            })
            .into(),
        _ => vec![one(random)],
    }
}

fn one(random: &SeededRandom) -> Trap {
    let places = match random.next_u64() % 5 {
        0 => REPLAYS.as_slice(),
        _ => PLACES.as_slice(),
    };
    let drawn = usize::try_from(random.next_u64() % places.len() as u64);
    let (word, kind) = places[drawn.unwrap_or(0)];
    let millis = |from: u64, more: u64| Duration::from_millis(from + random.next_u64() % more);
    let snap = match kind {
        Kind::Before => Snap::Before(still(random)),
        Kind::After => Snap::After(still(random)),
        Kind::Crash => Snap::Crash(millis(10, 2_000)),
        // Committers give up after three seconds.
        Kind::Lost => Snap::Lost,
        Kind::Late => Snap::Late(millis(1_000, 8_000)),
    };
    Trap { word, snap }
}

/// Somewhat less than a lease, or up to two of them.
fn still(random: &SeededRandom) -> Duration {
    Duration::from_millis(1_800 + random.next_u64() % 2_500)
}
