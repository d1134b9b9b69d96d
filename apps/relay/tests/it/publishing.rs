//! What is appended arrives on the topic, whatever becomes of the relays.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use social_test_kit::until;

use crate::stage::{EVENTS, Stage, metric, metric_reaches};

fn header(message: &BorrowedMessage<'_>, name: &str) -> String {
    let headers = message.headers().unwrap();
    let found = headers.iter().find(|header| header.key == name).unwrap();
    String::from_utf8(found.value.unwrap().to_vec()).unwrap()
}

/// Reads until as many events are `found`, by their ids; how often each came.
fn read(stage: &Stage, consumer: &BaseConsumer, found: &mut BTreeMap<String, u32>, events: u64) {
    let source = stage.log.store_id().urn().to_string();
    until(|| {
        while let Some(message) = consumer.poll(Duration::from_millis(50)) {
            let message = message.unwrap();
            let id = header(&message, "ce_id");
            assert_eq!(header(&message, "ce_source"), source);
            let partition = id.split('-').next().unwrap().parse::<i32>();
            assert_eq!(Ok(message.partition()), partition);
            *found.entry(id).or_default() += 1;
        }
        match found.len() as u64 {
            enough if enough == events => Ok(()),
            some => Err(format!("{some} of {events} events")),
        }
    });
}

#[test]
#[ignore = "needs MONGODB_URI and KAFKA_BROKERS"]
fn all_of_the_log_arrives_also_after_a_crash() {
    let stage = Stage::new();
    stage.append(0, 20);
    let mut relay = stage.start();
    let (consumer, mut found) = (stage.consumer(), BTreeMap::new());
    read(&stage, &consumer, &mut found, 20 * EVENTS);
    let client = &mut relay.client();
    metric_reaches(client, "relay_lag", 0);
    assert_eq!(metric(client, "log_head"), 20);
    assert_eq!(metric(client, "relay_events_total"), 20 * EVENTS);
    relay.kill();
    stage.append(20, 40);
    let mut relay = stage.start();
    read(&stage, &consumer, &mut found, 40 * EVENTS);
    metric_reaches(&mut relay.client(), "relay_lag", 0);
    assert_eq!(relay.signal("TERM"), Some(0));
    let repeated = found.values().filter(|times| **times > 1).count();
    assert_eq!(repeated, 0, "nothing was under way when it was killed");
}

#[test]
#[ignore = "needs MONGODB_URI and KAFKA_BROKERS"]
fn relays_share_the_partitions_and_take_over() {
    let stage = Stage::new();
    let mut first = stage.start();
    metric_reaches(&mut first.client(), "relay_partitions", 4);
    let second = stage.start();
    metric_reaches(&mut second.client(), "relay_partitions", 2);
    metric_reaches(&mut first.client(), "relay_partitions", 2);
    stage.append(0, 40);
    let (consumer, mut found) = (stage.consumer(), BTreeMap::new());
    read(&stage, &consumer, &mut found, 40 * EVENTS);
    assert_eq!(first.signal("TERM"), Some(0));
    stage.append(40, 60);
    read(&stage, &consumer, &mut found, 60 * EVENTS);
    metric_reaches(&mut second.client(), "relay_partitions", 4);
}

#[test]
#[ignore = "needs MONGODB_URI, KAFKA_BROKERS and KAFKA_TLS_BROKERS"]
#[cfg(feature = "ssl")]
fn by_tls_and_with_a_login_it_arrives_all_the_same() {
    let stage = Stage::new();
    stage.append(0, 20);
    let secured = std::env::var("KAFKA_TLS_BROKERS").unwrap();
    let mut relay = stage.start_on(&secured);
    let (consumer, mut found) = (stage.consumer(), BTreeMap::new());
    read(&stage, &consumer, &mut found, 20 * EVENTS);
    assert_eq!(relay.signal("TERM"), Some(0));
}
