//! Commands by message beside the load: each sent twice, each to have one effect and one answer.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::history::History;
use crate::names::uuid;
use crate::world::World;

/// What was sent.
pub(crate) struct Messages {
    seed: u64,
    hot: Vec<String>,
    ids: Vec<String>,
}

impl Messages {
    /// Likes of the posts `hot`, each by another actor.
    pub(crate) fn new(seed: u64, hot: Vec<String>) -> Self {
        Self {
            seed,
            hot,
            ids: Vec::new(),
        }
    }

    fn actor(&self, number: usize) -> String {
        format!("listener-{}-{number}", self.seed)
    }

    /// Sends `count` more.
    pub(crate) fn send(&mut self, world: &World, count: usize) {
        let mut records = Vec::new();
        for number in (self.ids.len()..).take(count) {
            let post = &self.hot[number % self.hot.len()];
            let id = uuid(u128::from(self.seed) << 96 | 0xffff << 64 | number as u128);
            let actor = self.actor(number);
            let data = json!({ "post_id": post });
            let command = json!({"type": "LikePost", "id": id, "actor": actor, "data": data});
            records.push((post.clone(), command));
            self.ids.push(id);
        }
        records.extend(records.clone());
        world.produce(&records);
    }

    /// Waits for all answers.
    pub(crate) fn answered(&self, world: &World) -> BTreeMap<String, Value> {
        world.answered(&self.ids)
    }

    /// Each stands in the log once, where its answer says. How many there are.
    pub(crate) fn check(&self, history: &History, replies: &BTreeMap<String, Value>) -> usize {
        for (number, id) in self.ids.iter().enumerate() {
            let (reply, actor) = (&replies[id], self.actor(number));
            assert_eq!(reply["status"], 200, "{reply}");
            let commit = history.find(history.command(&actor, id));
            let commit = commit.unwrap_or_else(|| panic!("answered, and not in the log: {reply}"));
            assert_eq!(reply["position"], commit.at.to_string());
            assert_eq!(reply["version"], commit.version.get());
        }
        self.ids.len()
    }
}
