//! A consumer in another language, with that language's usual client.

use std::process::{Command, Output};

use cqrs_core::{Partition, PublishEvents, RecordedCommit};
use cqrs_kafka::ensure_topic;
use serde_json::{Value, json};

use crate::support::{FIRST, SOURCE, brokers, commits, publisher, unique};

const CONSUMER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../compose/checks/cloudevents_consumer.py"
);

/// Has the script read all of `topic`.
fn consume(topic: &str) -> Output {
    let mut python = Command::new(std::env::var_os("COMPOSE_PYTHON").unwrap());
    python.args([CONSUMER, &brokers().brokers, topic]);
    python.output().unwrap()
}

/// What the script is to say of the events of `commit`.
fn said(commit: &RecordedCommit) -> Vec<Value> {
    let said = |(index, event): (usize, &cqrs_core::EventData)| {
        let (at, kind) = (commit.at, &event.event_type);
        json!({
            "source": SOURCE,
            "id": format!("{}-{}-{index}", at.partition, at.position),
            "type": kind.name(),
            "dataschema": format!("urn:event:{}:{}", kind.name(), kind.version()),
            "subject": commit.stream.as_str(),
            "milliseconds": commit.header.time.as_millis(),
            "repeated": false,
            "data": serde_json::from_slice::<Value>(&event.payload).unwrap(),
        })
    };
    commit.events.iter().enumerate().map(said).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS and COMPOSE_PYTHON"]
async fn a_consumer_in_python_understands_every_event() {
    let topic = unique("foreign");
    ensure_topic(&brokers(), &topic, 3).await.unwrap();
    let publisher = publisher(&brokers(), &topic);
    let mut expected = Vec::new();
    // The last partition stays empty.
    for partition in Partition::all(2) {
        let all = commits(partition, 1, 50);
        publisher.publish(partition, &all).await.unwrap();
        expected.extend(all.iter().flat_map(said));
    }
    let output = consume(&topic);
    assert!(output.status.success(), "{output:?}");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let found: Vec<Value> = lines.map(|l| serde_json::from_slice(l).unwrap()).collect();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS and COMPOSE_PYTHON"]
async fn the_consumer_in_python_says_what_is_a_repeat() {
    let topic = unique("foreign");
    ensure_topic(&brokers(), &topic, 1).await.unwrap();
    let publisher = publisher(&brokers(), &topic);
    let all = commits(FIRST, 1, 2);
    publisher.publish(FIRST, &all).await.unwrap();
    publisher.publish(FIRST, &all).await.unwrap();
    let output = consume(&topic);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let repeats = text.matches("\"repeated\": true").count();
    assert_eq!(repeats, text.lines().count() / 2);
    assert!(repeats > 0);
}
