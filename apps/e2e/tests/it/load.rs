//! Clients that write at once, and remember what they were told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Answer, Client, Request, write};
use crate::history::History;
use crate::names::uuid;
use crate::wait::{PATIENCE, pause};

/// Who writes, how fast, and on what.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What the commands are drawn from, with the client's number: other seeds, other commands and other ids.
    pub(crate) seed: u64,
    pub(crate) clients: u64,
    /// What each client lets pass after each command.
    pub(crate) pace: Duration,
    /// Posts that all clients write under.
    pub(crate) hot: Vec<String>,
}

impl Plan {
    /// Few clients without haste: about a hundred commands a second.
    pub(crate) fn new(seed: u64, hot: Vec<String>) -> Self {
        Self {
            seed,
            clients: 6,
            pace: Duration::from_millis(40),
            hot,
        }
    }
}

/// One keyed command, and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) actor: String,
    pub(crate) key: String,
    pub(crate) request: Request,
    /// Whether it may be refused, another being quicker, or change nothing, having been quicker already. All others must change
    /// something once they are accepted.
    contested: bool,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// Nobody knows: no answer came, or one that says so.
    Unknown,
    Accepted(Answer),
    Refused,
}

impl Attempt {
    fn new(actor: &str, key: String, request: Request) -> Self {
        Self {
            actor: actor.to_owned(),
            request: request.key(&key),
            key,
            contested: false,
            outcome: Outcome::Unknown,
        }
    }

    /// Sends it once; whether the outcome is known now.
    fn send(&mut self, client: &mut Client) -> bool {
        let Ok(answer) = client.try_send(&self.request) else {
            return false;
        };
        let slug = answer.slug();
        match (answer.status, slug.as_deref()) {
            (200 | 201, _) => {
                self.outcome = Outcome::Accepted(answer);
                true
            }
            (409, Some("handle-taken")) if self.contested => {
                self.outcome = Outcome::Refused;
                true
            }
            (503, Some("overloaded" | "store-unavailable"))
            | (409, Some("in-progress" | "conflict")) => {
                assert!(answer.header("retry-after").is_some() || answer.status == 409);
                false
            }
            _ => panic!("{:?} was answered {answer:?}", self.request),
        }
    }

    /// Sends it until the outcome is known.
    #[track_caller]
    fn settle(&mut self, client: &mut Client) {
        let deadline = Instant::now() + PATIENCE;
        while !self.send(client) {
            assert!(
                Instant::now() < deadline,
                "no outcome of {:?}",
                self.request
            );
            pause(Duration::from_millis(50));
        }
    }

    /// The token of its answer, where it was accepted.
    pub(crate) fn token(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Accepted(answer) => Some(answer.token()),
            _ => None,
        }
    }

    fn is_known(&self) -> bool {
        !matches!(self.outcome, Outcome::Unknown)
    }
}

/// Creates `count` posts for everybody, under ids drawn from `seed`.
pub(crate) fn hot_posts(client: &mut Client, seed: u64, count: u64) -> (Vec<String>, Vec<Attempt>) {
    let ids: Vec<_> = (0..count)
        .map(|number| uuid(u128::from(seed) << 96 | u128::from(number)))
        .collect();
    let attempts = ids.iter().map(|id| {
        let body = json!({"id": id, "message": "hot"});
        let request = write("ada", "POST", "/v1/posts", &body);
        let mut attempt = Attempt::new("ada", format!("hot-{id}"), request);
        attempt.settle(client);
        attempt
    });
    let attempts = attempts.collect();
    (ids, attempts)
}

/// Edits a post that [`hot_posts`] made.
pub(crate) fn edit_by_author(client: &mut Client, post: &str, message: &str) -> Attempt {
    let path = format!("/v1/posts/{post}/message");
    let request = write("ada", "PUT", &path, &json!({ "message": message }));
    let mut attempt = Attempt::new("ada", format!("edit-{post}-{message}"), request);
    attempt.settle(client);
    attempt
}

/// Lets the clients of `plan` write to `address` for as long as `during` takes.
pub(crate) fn load<T>(
    address: SocketAddr,
    plan: &Plan,
    during: impl FnOnce() -> T,
) -> (Vec<Attempt>, T) {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..plan.clients)
            .map(|number| {
                let (plan, ended) = (plan.clone(), &ended);
                scope.spawn(move || Writer::new(plan, number).write(address, ended))
            })
            .collect();
        let stop = EndOnDrop(&ended);
        let done = during();
        drop(stop);
        let written = writers
            .into_iter()
            .flat_map(|writer| writer.join().expect("a writer ends"));
        (written.collect(), done)
    })
}

/// Writers end also when the test fails meanwhile.
pub(crate) struct EndOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A post that only one writer changes, in the state that it was told.
#[derive(Debug, Clone)]
struct Own {
    id: String,
    liked: bool,
    comment: Option<String>,
}

struct Writer {
    plan: Plan,
    number: u64,
    random: Random,
    /// Posts whose state is known.
    own: Vec<Own>,
    count: u64,
    attempts: Vec<Attempt>,
}

impl Writer {
    fn new(plan: Plan, number: u64) -> Self {
        Self {
            random: Random(plan.seed.wrapping_mul(1_000).wrapping_add(number)),
            plan,
            number,
            own: Vec::new(),
            count: 0,
            attempts: Vec::new(),
        }
    }

    fn write(mut self, address: SocketAddr, ended: &AtomicBool) -> Vec<Attempt> {
        let mut client = Client::new(address);
        while !ended.load(Ordering::Acquire) {
            self.count += 1;
            let (mut attempt, own) = self.next();
            // What was not answered is asked again, or left open for ever.
            let patient = self.random.below(2) == 0;
            while !attempt.send(&mut client) && patient && !ended.load(Ordering::Acquire) {
                pause(Duration::from_millis(50));
            }
            if let (Outcome::Accepted(_), Some(own)) = (&attempt.outcome, own) {
                self.own.push(own);
            }
            self.attempts.push(attempt);
            pause(self.plan.pace);
        }
        self.attempts
    }

    fn actor(&self) -> String {
        format!("writer-{}-{}", self.plan.seed, self.number)
    }

    fn id(&self) -> String {
        let (seed, number) = (u128::from(self.plan.seed), u128::from(self.number + 1));
        uuid(seed << 96 | number << 32 | u128::from(self.count))
    }

    /// The next command; with one on a post of its own, what the post is once that is accepted.
    fn next(&mut self) -> (Attempt, Option<Own>) {
        let (actor, id, count) = (self.actor(), self.id(), self.count);
        let key = format!("{}-{count}", self.number);
        let by = |actor: &str, method, path: &str, body: &Value| {
            Attempt::new(actor, key.clone(), write(actor, method, path, body))
        };
        let hot = self.random.below(self.plan.hot.len() as u64);
        let hot = format!("/v1/posts/{}", self.plan.hot[usize::try_from(hot).unwrap()]);
        match self.random.below(100) {
            0..30 => {
                let body = json!({"id": id, "message": format!("comment {count}")});
                (by(&actor, "POST", &format!("{hot}/comments"), &body), None)
            }
            30..50 => {
                let fan = format!("fan-{}-{}-{count}", self.plan.seed, self.number);
                (by(&fan, "PUT", &format!("{hot}/like"), &Value::Null), None)
            }
            50..56 => {
                let handle = format!("h_{}_{}_{count}", self.plan.seed, self.number);
                let body = json!({"handle": handle, "display_name": format!("No. {count}")});
                (by(&actor, "PUT", "/v1/authors/me", &body), None)
            }
            56..60 => {
                let handle = format!("Race_{}", self.random.below(3));
                let body = json!({"handle": handle, "display_name": format!("No. {count}")});
                let mut attempt = by(&actor, "PUT", "/v1/authors/me", &body);
                attempt.contested = true;
                (attempt, None)
            }
            60..90 if !self.own.is_empty() => {
                let which = self.random.below(self.own.len() as u64);
                let own = self.own.swap_remove(usize::try_from(which).unwrap());
                let path = format!("/v1/posts/{}", own.id);
                self.change(own, &id, |method, rest: &str, body| {
                    by(&actor, method, &format!("{path}{rest}"), &body)
                })
            }
            _ => {
                let body = json!({"id": id, "message": format!("post {count}")});
                let own = Own {
                    id,
                    liked: false,
                    comment: None,
                };
                (by(&actor, "POST", "/v1/posts", &body), Some(own))
            }
        }
    }

    fn change(
        &mut self,
        own: Own,
        id: &str,
        by: impl Fn(&'static str, &str, Value) -> Attempt,
    ) -> (Attempt, Option<Own>) {
        match (self.random.below(8), own.comment.clone()) {
            (0, _) => (by("DELETE", "", Value::Null), None),
            (1, _) => {
                let body = json!({"message": format!("edited {id}")});
                (by("PUT", "/message", body), Some(own))
            }
            (2 | 3, _) => {
                let method = if own.liked { "DELETE" } else { "PUT" };
                let liked = !own.liked;
                (by(method, "/like", Value::Null), Some(Own { liked, ..own }))
            }
            (4, Some(comment)) => {
                let body = json!({"message": format!("edited {id}")});
                (by("PUT", &format!("/comments/{comment}"), body), Some(own))
            }
            (5, Some(comment)) => {
                let path = format!("/comments/{comment}");
                let left = Own {
                    comment: None,
                    ..own
                };
                (by("DELETE", &path, Value::Null), Some(left))
            }
            _ => {
                let body = json!({"id": id, "message": format!("comment {id}")});
                let comment = Some(id.to_owned());
                (by("POST", "/comments", body), Some(Own { comment, ..own }))
            }
        }
    }
}

/// Asks again, under the same key, for every second command whose outcome is unknown, and for some that were accepted: those
/// must be answered as before.
pub(crate) fn settle(client: &mut Client, attempts: &mut [Attempt]) {
    let unknown = attempts.iter_mut().filter(|attempt| !attempt.is_known());
    for attempt in unknown.step_by(2) {
        attempt.settle(client);
    }
    for attempt in attempts.iter_mut().step_by(10) {
        let Outcome::Accepted(first) = attempt.outcome.clone() else {
            continue;
        };
        attempt.settle(client);
        let Outcome::Accepted(again) = &attempt.outcome else {
            panic!("{:?} was accepted and is not", attempt.request);
        };
        assert_eq!(first.body, again.body, "another answer than the first");
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        attempt.outcome = Outcome::Accepted(first);
    }
}

impl History {
    /// What was accepted is there once, where the client was told; what was refused is not there; nothing else is there, but
    /// for `others`.
    pub(crate) fn check_attempts(&self, attempts: &[Attempt], others: usize) {
        let (mut known, mut open) = (0, 0);
        for attempt in attempts {
            let commit = self.find(self.command(&attempt.actor, &attempt.key));
            known += usize::from(commit.is_some());
            match (&attempt.outcome, commit) {
                (Outcome::Accepted(answer), Some(commit)) => {
                    let answer = answer.value();
                    assert_eq!(answer["position"], commit.at.to_string(), "{attempt:?}");
                    assert_eq!(answer["version"], commit.version.get(), "{attempt:?}");
                }
                (Outcome::Accepted(_), None) => {
                    assert!(
                        attempt.contested,
                        "accepted, and not in the log: {attempt:?}"
                    );
                }
                (Outcome::Refused, commit) => {
                    assert!(commit.is_none(), "refused, and in the log: {attempt:?}");
                }
                (Outcome::Unknown, _) => open += 1,
            }
        }
        let commits = self.commits().count();
        assert_eq!(commits, known + others, "commits that nobody asked for");
        eprintln!(
            "{} commands, {open} of them never answered; {commits} commits",
            attempts.len()
        );
    }
}

/// A small generator with a seed (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    /// A time between these milliseconds.
    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most - least))
    }
}
