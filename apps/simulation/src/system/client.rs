//! Clients: they ask, ask again until they are told, ask twice at once, and read what they wrote.

use std::time::Duration;

use cqrs_core::testing::SeededRandom;
use cqrs_core::testing::sim::Node;
use cqrs_core::{Actor, Random, StreamName, Timer, Version};
use social_domain::Receipt;

use super::api::ApiAt;
use super::ask::{Act, Ask, Told};
use super::query;
use crate::history::History;
use crate::rows::POISON;
use crate::world::Engines;

/// How clients behave in a run: all alike, and otherwise in the next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// How many processes take their commands at least: those who fight over something do so by way of two.
    pub(crate) processes: u64,
    /// How many requests each has.
    requests: usize,
    /// How long one waits for an answer, in milliseconds: less than a lease, or past several.
    patience: u64,
    /// How many posts and handles there are.
    things: u64,
    /// How many actors they speak for.
    actors: u64,
    /// Which acts there are.
    acts: Acts,
    /// So many requests of ten have a key, and are sent until there is an answer.
    keyed: u64,
    /// One keyed request in so many is sent twice at once.
    twins: u64,
}

/// From one to before the other of what [`draw`] lists.
type Acts = (u64, u64);

const ANY: Acts = (0, 20);
const ON_POSTS: Acts = (0, 15);
/// Names and handles, and a comment now and then.
const MOSTLY_NAMES: Acts = (14, 20);
const NAMES: Acts = (15, 20);
const LIKES: Acts = (20, 28);

impl Manners {
    /// Those of `seed`.
    pub(crate) fn draw(seed: u64) -> Self {
        let random = SeededRandom::new(seed ^ 0x6d61_6e6e_6572);
        match random.next_u64() % 8 {
            0 | 1 => Self::of_one_like(&random),
            2 => Self::of_one_handle(),
            3 => Self::of_strangers(),
            _ => Self::of_many_things(&random),
        }
    }

    fn of_many_things(random: &SeededRandom) -> Self {
        Self {
            processes: 1,
            requests: 8,
            patience: one_of(random, [2_500, 2_500, 6_000, 20_000]),
            things: one_of(random, [3, 3, 2, 1]),
            actors: 3,
            acts: one_of(random, [ANY, ANY, ON_POSTS, MOSTLY_NAMES, LIKES]),
            keyed: 8,
            twins: one_of(random, [6, 6, 2]),
        }
    }

    /// All fight over one like: what there is to do changes under whoever stands still.
    fn of_one_like(random: &SeededRandom) -> Self {
        Self {
            processes: 3,
            requests: 16,
            patience: one_of(random, [500, 500, 6_000]),
            things: 1,
            actors: 1,
            acts: LIKES,
            keyed: 9,
            twins: 2,
        }
    }

    /// All want one handle: who does not get it writes nothing, so that what is late may still land.
    fn of_one_handle() -> Self {
        Self {
            processes: 2,
            requests: 3,
            patience: 2_500,
            things: 1,
            actors: 4,
            acts: NAMES,
            keyed: 5,
            twins: 6,
        }
    }

    /// There are many handles, and who asks hardly ever asks again: what somebody has left behind is nobody else's.
    fn of_strangers() -> Self {
        Self {
            processes: 1,
            requests: 3,
            patience: 2_500,
            things: 8,
            actors: 8,
            acts: NAMES,
            keyed: 1,
            twins: 6,
        }
    }
}

fn one_of<T: Copy, const N: usize>(random: &SeededRandom, from: [T; N]) -> T {
    from[(random.next_u64() % N as u64) as usize]
}

/// What one client does: drawn from its own numbers, so that other faults don't change it.
pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) manners: Manners,
    pub(crate) apis: Vec<ApiAt>,
    pub(crate) engines: Engines,
    pub(crate) history: History,
}

impl Client {
    pub(crate) async fn run(self, node: Node) {
        let random = SeededRandom::new(node.sim().seed() ^ ((self.number as u64 + 1) << 40));
        let mut done: Vec<Ask> = Vec::new();
        let mut seen: Option<(Ask, Receipt)> = None;
        for nth in 0..self.manners.requests {
            let below = |bound: u64| random.next_u64() % bound;
            node.sleep(Duration::from_millis(below(700))).await;
            if let Some((ask, receipt)) = seen.as_ref().filter(|_| below(3) == 0) {
                // With an old token, which asks for nothing that is new.
                self.read(&node, ask, receipt).await;
            }
            let again = below(8) == 0;
            let ask = match done.last() {
                Some(last) if again => last.clone(),
                _ => {
                    let known = seen.as_ref().map(|(_, receipt)| receipt.version);
                    draw(&random, self.manners, self.number * 1_000 + nth, known)
                }
            };
            if ask.keyed && below(self.manners.twins) == 0 {
                // The same at once, by way of whichever process.
                let (twin, asked) = (self.twin(), ask.clone());
                let other = node.clone();
                self.history.begin();
                node.spawn(async move {
                    twin.ask(&other, &asked).await;
                    twin.history.end();
                });
            }
            let told = self.ask(&node, &ask).await;
            if let Some(Told::Done { receipt, .. }) = told {
                self.read(&node, &ask, &receipt).await;
                seen = Some((ask.clone(), receipt));
            }
            if ask.keyed {
                done.push(ask);
            }
        }
        self.history.end();
    }

    fn twin(&self) -> Self {
        Self {
            number: self.number,
            manners: self.manners,
            apis: self.apis.clone(),
            engines: self.engines.clone(),
            history: self.history.clone(),
        }
    }

    /// Sends `ask` until there is a final answer; without a key once.
    async fn ask(&self, node: &Node, ask: &Ask) -> Option<Told> {
        self.history.asked(ask, node.sim().elapsed());
        let patience = Duration::from_millis(self.manners.patience);
        loop {
            let pick = node.sim().below(self.apis.len() as u64);
            let ApiAt { at, api } = self.apis[usize::try_from(pick).unwrap_or(0)].clone();
            let asked = ask.clone();
            let decide = move |reply: cqrs_core::testing::sim::Reply<Told>| {
                api.decide(asked, move |told| reply.send(told));
            };
            let told = node.wire(at).call_then("command", patience, decide).await;
            node.note(|| format!("asked {:?}, told {told:?}", ask));
            match told {
                Ok(told) if told.is_final() => {
                    self.history.told(ask, &told, node.sim().elapsed());
                    return Some(told);
                }
                _ if !ask.keyed => return None,
                _ => {}
            }
            let pause = 20 + node.sim().below(300);
            node.sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn read(&self, node: &Node, ask: &Ask, receipt: &Receipt) {
        let (token, version) = (receipt.position, receipt.version);
        let Ok(stream) = StreamName::parse(&ask.stream()) else {
            return;
        };
        if let Some(looked) = query::ask(node, &self.engines, &stream, token).await {
            self.history
                .read(self.number, &stream, token, version, looked);
        }
    }
}

/// A request. Its kinds are in the order that [`Acts`] cuts out of: on posts, names, likes.
fn draw(random: &SeededRandom, manners: Manners, number: usize, known: Option<Version>) -> Ask {
    let below = |bound: u64| random.next_u64() % bound;
    let post = below(manners.things) as u8;
    let handle = || format!("handle_{}", below(manners.things));
    let (from, to) = manners.acts;
    let act = match from + below(to - from) {
        0..5 => Act::Create(post),
        5..7 => {
            let poison = if below(6) == 0 { POISON } else { "" };
            Act::Edit(post, format!("{poison}edit {number}"))
        }
        7 => Act::Delete(post),
        8..11 => Act::Like(post),
        11 => Act::Unlike(post),
        12..15 => Act::Comment(post, format!("comment {number}")),
        15..20 => Act::Register(handle(), format!("name {}", below(2))),
        20 => Act::Create(post),
        21..25 => Act::Like(post),
        _ => Act::Unlike(post),
    };
    let Ok(actor) = Actor::parse(&format!("actor{}", below(manners.actors))) else {
        unreachable!("it is one");
    };
    Ask {
        number,
        keyed: below(10) < manners.keyed,
        actor,
        act,
        if_match: known.filter(|_| below(8) == 0),
    }
}
