//! What the services publish, read by a consumer in another language that knows nothing of this project.

use std::process::Command;

use serde_json::{Value, json};

use crate::history::History;
use crate::script::Story;
use crate::world::System;

const CONSUMER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../compose/checks/cloudevents_consumer.py"
);

#[test]
#[ignore = "needs COMPOSE_PYTHON, KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
fn a_consumer_in_python_understands_every_event_of_the_contract() {
    let mut system = System::start();
    let mut client = system.commands();
    for step in Story::new(1).steps() {
        let answer = client.send(&step.as_message());
        answer.expect(200);
    }
    let history = system.world.history();
    system.world.check_topic(&history);

    let python = std::env::var_os("COMPOSE_PYTHON").unwrap();
    let world = &system.world;
    let output = Command::new(python)
        .args([CONSUMER, &world.engines.kafka, &world.names.events])
        .output()
        .unwrap();
    let (told, complaint) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{complaint}");
    let events: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // Which store it is stands in every record alike.
    let source = events[0]["source"].clone();
    assert!(source.as_str().unwrap().starts_with("urn:"), "{source}");
    assert_eq!(events, due(&history, &source));
    system.end();
}

/// What the consumer is to say of each event of the log.
fn due(history: &History, source: &Value) -> Vec<Value> {
    // Answers, too.
    let commits = history.partitions.iter().flatten();
    let events = commits.flat_map(|commit| commit.recorded_events());
    events
        .map(|event| {
            let kind = &event.data.event_type;
            let data: Value = serde_json::from_slice(&event.data.payload).unwrap();
            json!({
                "source": source,
                "id": format!("{}-{}", event.commit.at, event.id.index),
                "type": kind.name(),
                "dataschema": format!("urn:event:{}:{}", kind.name(), kind.version()),
                "subject": event.commit.stream.as_str(),
                "milliseconds": event.commit.header.time.as_millis(),
                "repeated": false,
                "data": data,
            })
        })
        .collect()
}
