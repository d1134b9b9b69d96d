//! Commands by topic.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use social_test_kit::{Process, until, uuid, write};

use crate::stage::{Stage, metric};

const POST: u128 = 1;
const COMMENT: u128 = 2;

/// The brokers, and the topics of one test.
struct Topics {
    brokers: String,
    commands: String,
    replies: String,
}

impl Topics {
    fn of(stage: &Stage) -> Self {
        Self {
            brokers: std::env::var("KAFKA_BROKERS").expect("needs KAFKA_BROKERS"),
            commands: stage.topic("commands"),
            replies: stage.topic("replies"),
        }
    }

    fn start(&self, stage: &Stage) -> Process {
        stage.start(&[
            ("KAFKA_BROKERS", &self.brokers),
            ("SOCIAL_COMMANDS_TOPIC", &self.commands),
            ("SOCIAL_REPLIES_TOPIC", &self.replies),
        ])
    }

    fn client(&self) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.commands)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false");
        client
    }

    /// All of one key, so that they are handled in this order.
    fn ask(&self, messages: &[Value]) {
        let producer: BaseProducer = self.client().create().unwrap();
        for message in messages {
            let payload = message.to_string();
            let record = BaseRecord::to(&self.commands).key("one").payload(&payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(30)).unwrap();
    }

    /// The first `count` replies: key and value, by the command's id.
    fn replies(&self, count: usize) -> BTreeMap<String, (String, Value)> {
        let consumer: BaseConsumer = self.client().create().unwrap();
        consumer.subscribe(&[&self.replies]).unwrap();
        let mut found = BTreeMap::new();
        until(|| {
            while let Some(message) = consumer.poll(Duration::from_millis(50)) {
                let message = message.unwrap();
                let header = message.headers().unwrap().get(0);
                assert_eq!(header.key, "content-type");
                assert_eq!(header.value, Some(&b"application/json"[..]));
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec());
                let value: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                let id = value["id"].as_str().unwrap_or_default().to_owned();
                let reply = (text(message.key()).unwrap(), value);
                let first = found.entry(id).or_insert_with(|| reply.clone());
                assert_eq!(first, &reply, "one command, one answer");
            }
            match found.len() >= count {
                true => Ok(()),
                false => Err(format!("{} of {count}: {found:?}", found.len())),
            }
        });
        found
    }
}

fn message(number: u128, actor: &str, kind: &str, data: Value) -> Value {
    json!({"id": uuid(number), "actor": actor, "type": kind, "data": data})
}

/// One of each type, each of which takes effect.
fn one_of_each() -> Vec<Value> {
    let (post, comment) = (uuid(POST), uuid(COMMENT));
    let post_only = || json!({"post_id": post});
    let both = || json!({"post_id": post, "comment_id": comment});
    let profile = json!({"handle": "ada", "display_name": "Ada"});
    vec![
        message(10, "ada", "RegisterAuthor", profile),
        message(11, "ada", "CreatePost", json!({"id": post, "message": "a"})),
        message(
            12,
            "ada",
            "EditPost",
            json!({"post_id": post, "message": "b"}),
        ),
        message(13, "bob", "LikePost", post_only()),
        message(14, "bob", "UnlikePost", post_only()),
        message(
            15,
            "bob",
            "AddComment",
            json!({"post_id": post, "id": comment, "message": "c"}),
        ),
        message(
            16,
            "bob",
            "EditComment",
            json!({"post_id": post, "comment_id": comment, "message": "d"}),
        ),
        message(17, "ada", "LikeComment", both()),
        message(18, "ada", "UnlikeComment", both()),
        message(19, "ada", "RemoveComment", both()),
        message(20, "ada", "DeletePost", post_only()),
    ]
}

#[test]
#[ignore = "needs MONGODB_URI, POSTGRES_URL and KAFKA_BROKERS"]
fn every_command_by_message_is_answered_and_happens_once() {
    let stage = Stage::on_postgres();
    let topics = Topics::of(&stage);
    let server = topics.start(&stage);
    let commands = one_of_each();
    topics.ask(&commands);
    let replies = topics.replies(commands.len());
    for (number, command) in (10..).zip(&commands) {
        let (key, value) = &replies[&uuid(number)];
        assert_eq!(value["status"], 200, "{command}: {value}");
        let of_author = command["type"] == "RegisterAuthor";
        let category = if of_author { "author-" } else { "post-" };
        assert!(key.starts_with(category), "{key}");
        let version = if of_author { 1 } else { number - 10 };
        assert_eq!(value["version"], json!(version), "{command}");
    }
    // Again, with what is refused between them: the first answers again, and no effect.
    let like = json!({"post_id": uuid(POST)});
    topics.ask(&[message(30, "eve", "LikePost", like.clone())]);
    topics.ask(&commands);
    topics.ask(&[message(31, "Eve", "LikePost", like)]);
    let all = topics.replies(commands.len() + 2);
    assert_eq!(all[&uuid(30)].1["type"], "/problems/post-deleted");
    assert_eq!(all[&uuid(31)].1["status"], 400);
    assert_eq!(metric(&mut server.client(), "commits_total"), 11);
}

#[test]
#[ignore = "needs MONGODB_URI, POSTGRES_URL and KAFKA_BROKERS"]
fn a_command_by_message_and_over_http_is_the_same_command() {
    let stage = Stage::on_postgres();
    let topics = Topics::of(&stage);
    let mut server = topics.start(&stage);
    let create = json!({"id": uuid(POST), "message": "a"});
    topics.ask(&[message(40, "ada", "CreatePost", create.clone())]);
    let told = topics.replies(1).remove(&uuid(40)).unwrap().1;
    let envelope = json!({"id": uuid(40), "type": "CreatePost", "data": create});
    let again = server
        .send(&write("ada", "POST", "/v1/commands", &envelope))
        .expect(200);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.value()["position"], told["position"]);
    assert_eq!(again.value()["id"], told["subject"]);
    assert_eq!(server.signal("TERM"), Some(0));
}
