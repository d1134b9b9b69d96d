//! One group: its members, which of them are undecided, and who lost.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bson::RawDocumentBuf;
use cqrs_core::{
    AppendError, Appended, CommandId, ExpectedVersion, Partition, Position, RequestHash,
    StreamName, Version, mutant,
};
use foldhash::fast::FixedState;

use crate::error::StoreFailure;
use crate::heads::Head;
use crate::queue::{Append, Reply};
use crate::record::{self, Stub};

use super::confirm::Asked;
use super::lost::first_answer;

/// A commit without the way of its answer.
struct Planned {
    stream: StreamName,
    expected: ExpectedVersion,
    command: CommandId,
    request: Option<RequestHash>,
    events: usize,
    doc: Arc<RawDocumentBuf>,
}

/// A commit that was given a place.
pub(super) struct Member {
    append: Planned,
    reply: Option<Reply<Appended>>,
    position: Position,
    first: u64,
    doc: Arc<RawDocumentBuf>,
    landed: bool,
}

impl Member {
    pub(super) fn stream(&self) -> &StreamName {
        &self.append.stream
    }

    pub(super) fn position(&self) -> Position {
        self.position
    }

    pub(super) fn has_landed(&self) -> bool {
        self.landed
    }

    /// The stream's version after its first event.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The stream's head after it.
    pub(super) fn end(&self) -> Head {
        Head {
            version: Version::new(self.first - 1).plus(self.append.events),
            at: self.position,
            last: Some(self.append.command),
        }
    }

    pub(super) fn answer(&mut self, answer: Result<Appended, AppendError>) {
        if let Some(reply) = self.reply.take() {
            // Whoever asked may be gone.
            drop(reply.send(answer));
        }
    }

    fn place(&mut self, position: Position, head: Head) {
        let first = head.version.get() + 1;
        self.doc = Arc::new(record::place(&self.append.doc, position, first));
        (self.position, self.first) = (position, first);
    }
}

/// A commit that is not written, to be answered once it was looked for by its command.
pub(super) struct Lost {
    pub(super) stream: StreamName,
    pub(super) expected: ExpectedVersion,
    pub(super) command: CommandId,
    pub(super) request: Option<RequestHash>,
    /// The stream's version, as far as it was known.
    pub(super) actual: Version,
    pub(super) reply: Reply<Appended>,
}

impl Lost {
    pub(super) fn answer(self, partition: Partition, found: &[Stub], actual: Version) {
        let answer = match found.iter().find(|stub| stub.command == self.command) {
            Some(first) => first_answer(partition, first, self.request),
            None => Err(AppendError::Conflict {
                stream: self.stream,
                expected: self.expected,
                actual,
            }),
        };
        drop(self.reply.send(answer));
    }

    pub(super) fn fail(self, failure: &StoreFailure) {
        drop(self.reply.send(Err(AppendError::Store {
            stream: self.stream,
            source: failure.clone().into(),
        })));
    }
}

pub(super) struct Batch {
    members: Vec<Member>,
    /// Those whose fate is not known, in the order of their positions, which have no hole.
    open: VecDeque<usize>,
    /// The last member of each stream.
    last: HashMap<StreamName, usize, FixedState>,
    lost: Vec<Lost>,
    /// The streams of which one has lost its version.
    broken: HashSet<StreamName, FixedState>,
    /// Questions that these members may answer.
    asked: Vec<Asked>,
    until: Duration,
    pause: Option<Duration>,
}

impl Batch {
    pub(super) fn new(until: Duration) -> Self {
        Self {
            members: Vec::new(),
            open: VecDeque::new(),
            last: HashMap::default(),
            lost: Vec::new(),
            broken: HashSet::default(),
            asked: Vec::new(),
            until,
            pause: None,
        }
    }

    /// Makes `append` a member at `position`, if it expects `head`.
    pub(super) fn plan(&mut self, append: Append, head: Head, position: Position) {
        if !append.expected.accepts(head.version, head.last) && !mutant("no expected version") {
            let mut lost = Lost::from(append);
            lost.actual = head.version;
            self.lost.push(lost);
            return;
        }
        let index = self.members.len();
        self.last.insert(append.stream.clone(), index);
        let (reply, append) = split(append);
        let mut member = Member {
            doc: Arc::clone(&append.doc),
            append,
            reply: Some(reply),
            position,
            first: 0,
            landed: false,
        };
        member.place(position, head);
        self.members.push(member);
        self.open.push_back(index);
    }

    /// The position behind the last member, or behind `head` where there is none.
    pub(super) fn next_after(&self, head: Position) -> Position {
        let last = self.members.last();
        let hole = last.is_some() && mutant("leave a hole");
        let next = last.map_or(head, Member::position).next();
        if hole { next.next() } else { next }
    }

    /// The head of a stream once its members have landed.
    pub(super) fn end_of(&self, stream: &StreamName) -> Option<Head> {
        self.last_member_of(stream)
            .map(|index| self.members[index].end())
    }

    pub(super) fn last_member_of(&self, stream: &StreamName) -> Option<usize> {
        self.last.get(stream).copied()
    }

    pub(super) fn first_member_of(&self, stream: &StreamName) -> Option<usize> {
        self.last.get(stream)?;
        self.members
            .iter()
            .position(|member| member.stream() == stream)
    }

    pub(super) fn member(&self, index: usize) -> &Member {
        &self.members[index]
    }

    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn open_docs(&self) -> Vec<Arc<RawDocumentBuf>> {
        let docs = self.open.iter().map(|index| &self.members[*index].doc);
        docs.cloned().collect()
    }

    /// Where the last member would stand.
    pub(super) fn last_position(&self) -> Option<Position> {
        self.members.last().map(Member::position)
    }

    /// The first open member's position and command.
    pub(super) fn first_open(&self) -> Option<(Position, CommandId)> {
        let member = &self.members[*self.open.front()?];
        Some((member.position, member.append.command))
    }

    /// The first open member's stream and version.
    pub(super) fn first_open_slot(&self) -> Option<(StreamName, u64)> {
        let member = &self.members[*self.open.front()?];
        Some((member.append.stream.clone(), member.first))
    }

    pub(super) fn open_streams(&self) -> Vec<(StreamName, ExpectedVersion)> {
        let open = self.open.iter().map(|index| &self.members[*index].append);
        open.map(|append| (append.stream.clone(), append.expected))
            .collect()
    }

    /// How many of the open members, from the first on, stand in `there`, written by `writer`.
    pub(super) fn count_landed(&self, there: &[Stub], writer: i64) -> usize {
        let open = self.open.iter().map(|index| &self.members[*index]);
        open.zip(there)
            .take_while(|(member, stub)| {
                if mutant("count another's commit as landed") {
                    return stub.position == member.position;
                }
                stub.position == member.position
                    && stub.command == member.append.command
                    && stub.writer == writer
            })
            .count()
    }

    /// The first `count` open members are durable; gives them out to be answered.
    pub(super) fn land(&mut self, count: usize) -> impl Iterator<Item = &mut Member> {
        let count = count.min(self.open.len());
        let landed: HashSet<usize, FixedState> = self.open.drain(..count).collect();
        // An insert that moved something is no reason to wait long before the next one.
        if count > 0 {
            self.pause = None;
        }
        let members = self.members.iter_mut().enumerate();
        members.filter_map(move |(index, member)| {
            let landed = landed.contains(&index);
            member.landed |= landed;
            landed.then_some(member)
        })
    }

    /// The first open member's command stands in the log as `first`: answers it, and fails what follows in its stream.
    pub(super) fn repeated(&mut self, first: &Stub, partition: Partition) -> StreamName {
        let Some(index) = self.open.pop_front() else {
            return first.stream.clone();
        };
        let member = &mut self.members[index];
        let answer = first_answer(partition, first, member.append.request);
        member.answer(answer);
        let stream = member.append.stream.clone();
        let broken = HashSet::from_iter([stream.clone()]);
        self.drop_broken(broken);
        stream
    }

    /// Checks the open members against the heads of their streams and numbers them behind `head`.
    ///
    /// Gives the streams of which one has lost its version; their later members fail with it.
    pub(super) fn renumber(
        &mut self,
        head: Position,
        mut known: impl FnMut(&StreamName) -> Option<Head>,
    ) -> HashSet<StreamName, FixedState> {
        let mut ends: HashMap<StreamName, Head, FixedState> = HashMap::default();
        let mut broken: HashSet<StreamName, FixedState> = HashSet::default();
        let mut next = head.next();
        let mut kept = VecDeque::new();
        for index in std::mem::take(&mut self.open) {
            let member = &mut self.members[index];
            let stream = member.append.stream.clone();
            let end = ends.get(&stream).copied().or_else(|| known(&stream));
            let end = end.unwrap_or(Head::EMPTY);
            let accepted = member.append.expected.accepts(end.version, end.last)
                || mutant("no expected version");
            if accepted && !broken.contains(&stream) {
                member.place(next, end);
                next = next.next();
                ends.insert(stream, member.end());
                kept.push_back(index);
            } else {
                self.lost.extend(lost(member, end.version));
                broken.insert(stream);
            }
        }
        self.open = kept;
        self.broken.extend(broken.iter().cloned());
        broken
    }

    fn drop_broken(&mut self, broken: HashSet<StreamName, FixedState>) {
        let mut kept = VecDeque::new();
        for index in std::mem::take(&mut self.open) {
            let member = &mut self.members[index];
            if broken.contains(&member.append.stream) {
                self.lost.extend(lost(member, Version::EMPTY));
            } else {
                kept.push_back(index);
            }
        }
        self.open = kept;
    }

    /// Fails commits that waited behind one that did not land.
    pub(super) fn fail_all(&mut self, appends: Vec<Append>) {
        self.lost.extend(appends.into_iter().map(Lost::from));
    }

    pub(super) fn ask(&mut self, asked: Vec<Asked>) {
        self.asked = asked;
    }

    /// The questions that are not answered yet.
    pub(super) fn take_asked(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.asked)
    }

    /// Answers all who wait for the batch that its outcome is unknown. What is open stays open.
    pub(super) fn tell(&mut self, failure: &StoreFailure) {
        for index in &self.open {
            let member = &mut self.members[*index];
            let stream = member.append.stream.clone();
            let source = failure.clone().into();
            member.answer(Err(AppendError::Store { stream, source }));
        }
        for lost in std::mem::take(&mut self.lost) {
            lost.fail(failure);
        }
        for asked in self.take_asked() {
            asked.fail(failure);
        }
    }

    pub(super) fn is_overdue(&self, now: Duration) -> bool {
        now >= self.until
    }

    pub(super) fn next_pause(&mut self, first: Duration, most: Duration) -> Duration {
        let pause = self.pause.map_or(first, |pause| (pause * 2).min(most));
        self.pause = Some(pause);
        pause
    }

    /// Until when to try, who lost, and the streams of which one has lost its version.
    pub(super) fn into_lost(self) -> (Duration, Vec<Lost>, HashSet<StreamName, FixedState>) {
        (self.until, self.lost, self.broken)
    }
}

/// What remains of a member that is not written, if it was not answered yet.
fn lost(member: &mut Member, actual: Version) -> Option<Lost> {
    let reply = member.reply.take()?;
    Some(Lost {
        stream: member.append.stream.clone(),
        expected: member.append.expected,
        command: member.append.command,
        request: member.append.request,
        actual,
        reply,
    })
}

/// Parts the answer's way from the commit.
fn split(append: Append) -> (Reply<Appended>, Planned) {
    let Append {
        stream,
        expected,
        command,
        request,
        events,
        doc,
        reply,
    } = append;
    (
        reply,
        Planned {
            stream,
            expected,
            command,
            request,
            events,
            doc,
        },
    )
}
