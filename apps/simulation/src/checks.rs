//! The promises, each as a check of what was told, what the log holds and what followed from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use cqrs_core::{
    Accept, Codec, CommandId, LoggedAnswer, ParkedStreams, Partition, Position, RecordedCommit,
    ReservedValue, Sequencer, StreamName, Version,
};

use social_domain::{AuthorEvent, PostEvent};

use crate::engines::at_once;
use crate::engines::models::checkpoint;
use crate::history::Kept;
use crate::rows::Rows;
use crate::system::ask::Told;
use crate::world::{Engines, PARTITIONS};

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which, as `DESIGN.md` numbers them; or `liveness`.
    pub promise: &'static str,
    /// How.
    pub text: String,
}

impl Violation {
    pub(crate) fn new(promise: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { promise, text }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.text)
    }
}

type Checked = Result<(), Violation>;

/// Everything that can be said at the end.
pub(crate) fn all(
    engines: &Engines,
    journal: &[RecordedCommit],
    kept: &Kept,
    settled: bool,
) -> Vec<Violation> {
    let effects: Vec<_> = journal.iter().filter(|c| !is_answer(c)).cloned().collect();
    let effects = effects.as_slice();
    let mut checked = vec![
        versions_are_dense(journal),
        positions_are_dense(journal),
        answers_stand_in_the_log(effects, kept),
        commands_happen_once(journal),
        refusals_have_no_effect(effects, kept),
        events_follow_from_states(effects),
        answers_are_not_stale(kept),
        values_have_one_owner(effects),
        published_in_order(engines, journal, settled),
    ];
    if settled {
        checked.push(rows_follow_from_the_log(engines, effects));
    }
    let mut found = engines.models.broken();
    found.extend(checked.into_iter().filter_map(Result::err));
    found
}

/// Whether `commit` is the answer of a command that had no effect.
fn is_answer(commit: &RecordedCommit) -> bool {
    LoggedAnswer::of(commit).is_some()
}

/// P1: versions of a stream have no hole and no repeat.
fn versions_are_dense(journal: &[RecordedCommit]) -> Checked {
    let mut ends: BTreeMap<&StreamName, Version> = BTreeMap::new();
    for commit in in_order(journal) {
        let end = ends.entry(&commit.stream).or_default();
        if commit.version_before() != *end {
            let (at, stream) = (commit.at, &commit.stream);
            let text = format!(
                "`{stream}` ends at {end}, and goes on at {at} after {}",
                commit.version_before()
            );
            return Err(Violation::new("P1", text));
        }
        *end = commit.version;
    }
    Ok(())
}

/// P2: positions have no hole, and what is durable later stands later.
fn positions_are_dense(journal: &[RecordedCommit]) -> Checked {
    let mut heads: BTreeMap<Partition, Position> = BTreeMap::new();
    for commit in journal {
        let head = heads.entry(commit.at.partition).or_default();
        if commit.at.position != head.next() {
            let text = format!("{} came after {head}", commit.at);
            return Err(Violation::new("P2", text));
        }
        *head = commit.at.position;
    }
    Ok(())
}

/// P3: what was acknowledged is there, where it was said to be.
fn answers_stand_in_the_log(journal: &[RecordedCommit], kept: &Kept) -> Checked {
    let by_place: BTreeMap<_, _> = journal.iter().map(|c| (c.at, c)).collect();
    for (number, (told, _)) in &kept.told {
        let Told::Done { receipt, command } = told else {
            continue;
        };
        let stream = kept.asked[number].0.stream();
        if receipt.position.position == Position::START {
            continue;
        }
        let lost = |what: &str| {
            let asked = &kept.asked[number].0;
            let text = format!("{asked:?} (command {command}) was told {receipt:?}, but {what}");
            Err(Violation::new("P3", text))
        };
        match by_place.get(&receipt.position) {
            None => return lost("the log ends before"),
            Some(there) if there.stream.as_str() != stream => {
                return lost(&format!("there stands `{}`", there.stream));
            }
            Some(there) if there.version != receipt.version => {
                return lost(&format!("there is version {}", there.version));
            }
            Some(_) => {}
        }
        let elsewhere = journal
            .iter()
            .find(|commit| commit.header.command_id == *command);
        if elsewhere.is_some_and(|commit| commit.at != receipt.position) {
            return lost("it stands elsewhere");
        }
    }
    Ok(())
}

/// P4: a command takes effect at most once.
fn commands_happen_once(journal: &[RecordedCommit]) -> Checked {
    let mut seen: BTreeMap<CommandId, &RecordedCommit> = BTreeMap::new();
    for commit in journal {
        if let Some(first) = seen.insert(commit.header.command_id, commit) {
            let text = format!(
                "command {} stands at {} and {}",
                commit.header.command_id, first.at, commit.at
            );
            return Err(Violation::new("P4", text));
        }
    }
    Ok(())
}

/// P4: what was refused has no effect.
fn refusals_have_no_effect(journal: &[RecordedCommit], kept: &Kept) -> Checked {
    let happened: BTreeSet<CommandId> = journal.iter().map(|c| c.header.command_id).collect();
    for (number, (told, _)) in &kept.told {
        let asked = &kept.asked[number].0;
        if !matches!(told, Told::Refused(_)) || !asked.keyed {
            continue;
        }
        let command = CommandId::keyed(uuid::Uuid::nil(), &asked.actor, &number.to_string());
        if happened.contains(&command) {
            let text = format!("{asked:?} was told {told:?}, and happened");
            return Err(Violation::new("P4", text));
        }
    }
    Ok(())
}

/// P1: each commit was decided on the state that the one before it left.
fn events_follow_from_states(journal: &[RecordedCommit]) -> Checked {
    let mut states = BTreeMap::<&StreamName, Life>::new();
    for commit in in_order(journal) {
        let life = states.entry(&commit.stream).or_default();
        for event in &commit.events {
            let post = Codec::<PostEvent>::new().decode(event);
            let author = Codec::<AuthorEvent>::new().decode(event);
            let fits = match (post, author) {
                (Ok(event), _) => life.post(&event),
                (_, Ok(event)) => life.author(&event),
                (Err(_), Err(_)) => false,
            };
            if !fits {
                let (at, stream) = (commit.at, &commit.stream);
                let text = format!(
                    "`{stream}`: {} at {at} was decided on another state",
                    event.event_type
                );
                return Err(Violation::new("P1", text));
            }
        }
    }
    Ok(())
}

/// As much of a stream's state as tells which events can follow.
#[derive(Default)]
struct Life {
    begun: bool,
    ended: bool,
    likes: BTreeSet<String>,
    handle: String,
}

impl Life {
    fn post(&mut self, event: &PostEvent) -> bool {
        let lives = self.begun && !self.ended;
        match event {
            PostEvent::PostCreated(_) => !std::mem::replace(&mut self.begun, true),
            PostEvent::PostDeleted(_) => lives && !std::mem::replace(&mut self.ended, true),
            PostEvent::PostLiked(liked) => lives && self.likes.insert(liked.actor.clone()),
            PostEvent::PostUnliked(unliked) => lives && self.likes.remove(&unliked.actor),
            _ => lives,
        }
    }

    fn author(&mut self, event: &AuthorEvent) -> bool {
        match event {
            AuthorEvent::AuthorRegistered(registered) => {
                self.handle.clone_from(&registered.handle);
                !std::mem::replace(&mut self.begun, true)
            }
            AuthorEvent::HandleChanged(changed) => {
                self.begun
                    && std::mem::replace(&mut self.handle, changed.handle.clone())
                        == changed.previous
            }
            AuthorEvent::DisplayNameChanged(_) => self.begun,
        }
    }
}

/// P3: an answer knows of all that was acknowledged before it was asked for.
fn answers_are_not_stale(kept: &Kept) -> Checked {
    for (number, (told, at)) in &kept.told {
        let Told::Done { receipt, .. } = told else {
            continue;
        };
        let stream = kept.asked[number].0.stream();
        for (later, (answer, _)) in &kept.told {
            let (asked, first) = &kept.asked[later];
            if first <= at || asked.stream() != stream {
                continue;
            }
            let stale = match answer {
                Told::Done { receipt: other, .. } => other.version < receipt.version,
                Told::Refused(why) => why == "PostNotFound" && receipt.version.get() > 0,
                Told::NotNow(_) | Told::Broken(_) => false,
            };
            if stale {
                let text =
                    format!("{asked:?} was told {answer:?}, after {receipt:?} was acknowledged");
                return Err(Violation::new("P3", text));
            }
        }
    }
    Ok(())
}

/// P5: a value has one owner at every moment.
fn values_have_one_owner(journal: &[RecordedCommit]) -> Checked {
    let mut owners: BTreeMap<&ReservedValue, &StreamName> = BTreeMap::new();
    for commit in journal {
        for value in &commit.reservations.release {
            if owners.get(value) == Some(&&commit.stream) {
                owners.remove(value);
            }
        }
        for value in &commit.reservations.reserve {
            if let Some(owner) = owners.insert(value, &commit.stream)
                && owner != &commit.stream
            {
                let text = format!(
                    "{value} is `{owner}`'s, and `{}`'s by {}",
                    commit.stream, commit.at
                );
                return Err(Violation::new("P5", text));
            }
        }
    }
    Ok(())
}

/// P6: whoever takes only the next record sees every event, in order.
fn published_in_order(engines: &Engines, journal: &[RecordedCommit], settled: bool) -> Checked {
    for partition in Partition::all(PARTITIONS) {
        let mut sequencer = Sequencer::after(Position::START);
        let mut of_partition = in_order(journal).filter(|c| c.at.partition == partition);
        let mut taken = 0;
        for record in engines.bus.records(partition) {
            let (position, index) = (record.id.at.position, record.id.index);
            match sequencer.accept(position, index, record.count) {
                Accept::Repeat => {}
                Accept::Hole => {
                    let (at, found) = (sequencer.next(), record.id);
                    let text = format!("{partition}: after {at:?} comes {found}");
                    return Err(Violation::new("P6", text));
                }
                Accept::Take => {
                    taken += 1;
                    if index > 0 {
                        continue;
                    }
                    let commit = of_partition.next();
                    if commit
                        .is_none_or(|commit| commit.header.command_id != record.header.command_id)
                    {
                        let text = format!("{} is not what the log has there", record.id);
                        return Err(Violation::new("P6", text));
                    }
                }
            }
        }
        if settled && let Some(missing) = of_partition.next() {
            let text = format!(
                "{taken} events of {partition} are published, {} is not",
                missing.at
            );
            return Err(Violation::new("P6", text));
        }
    }
    Ok(())
}

/// P7, P10: the rows of every version are those that follow from the log.
fn rows_follow_from_the_log(engines: &Engines, journal: &[RecordedCommit]) -> Checked {
    let ordered: Vec<_> = in_order(journal).cloned().collect();
    let due = Rows::of(&ordered).map_err(|e| Violation::new("P7", e.to_string()))?;
    for version in engines.models.fed() {
        let Some(model) = engines.models.model(version) else {
            continue;
        };
        let rows = model.read(Rows::clone);
        if rows != due {
            let promise = if version == 1 { "P7" } else { "P10" };
            let differs = due
                .streams
                .iter()
                .find(|(s, row)| rows.streams.get(*s) != Some(row));
            let found = differs.map(|(stream, _)| rows.streams.get(stream));
            let text = format!(
                "model {version}: {differs:?} is {found:?}; counts {:?}, due {:?}",
                rows.counts, due.counts
            );
            return Err(Violation::new(promise, text));
        }
    }
    Ok(())
}

/// P8: what is parked is a poisonous stream, and nothing else waits for it.
pub(crate) fn parked(engines: &Engines) -> Checked {
    let journal = engines.server.journal();
    for version in engines.models.fed() {
        let Some(model) = engines.models.model(version) else {
            continue;
        };
        let mut parked = BTreeMap::new();
        for partition in Partition::all(PARTITIONS) {
            for stream in at_once(model.parked(partition)).unwrap_or_default() {
                parked.insert(stream.stream, stream.first);
            }
            if checkpoint(&model, partition).position < head(&journal, partition) {
                let text = format!("model {version} is held up in {partition}");
                return Err(Violation::new("P8", text));
            }
        }
        let poisonous = first_poisons(&journal);
        if parked != poisonous {
            let text = format!("model {version} has parked {parked:?}; poisonous is {poisonous:?}");
            return Err(Violation::new("P8", text));
        }
    }
    Ok(())
}

fn head(journal: &[RecordedCommit], partition: Partition) -> Position {
    let of_partition = journal.iter().filter(|c| c.at.partition == partition);
    of_partition
        .map(|c| c.at.position)
        .max()
        .unwrap_or_default()
}

fn first_poisons(journal: &[RecordedCommit]) -> BTreeMap<StreamName, cqrs_core::EventId> {
    let mut first = BTreeMap::new();
    for commit in in_order(journal).filter(|commit| !is_answer(commit)) {
        for event in commit.recorded_events() {
            if crate::rows::is_poisonous(event.data) {
                first.entry(commit.stream.clone()).or_insert(event.id);
            }
        }
    }
    first
}

/// By partition and position.
fn in_order(journal: &[RecordedCommit]) -> impl Iterator<Item = &RecordedCommit> {
    let mut ordered: Vec<_> = journal.iter().collect();
    ordered.sort_by_key(|commit| commit.at);
    ordered.into_iter()
}
