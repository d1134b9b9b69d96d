//! By TLS and with a login, to brokers whose certificate comes from an authority of their own.

use cqrs_core::{ConsumeEvents, Position, PublishEvents};
use cqrs_kafka::{KafkaConfig, KafkaConsumer, KafkaProbe, ensure_topic};

use crate::support::{FIRST, commits, publisher, soon, unique};

fn address() -> String {
    std::env::var("KAFKA_TLS_BROKERS").unwrap()
}

fn config(address: &str) -> KafkaConfig {
    KafkaConfig::parse(address, "test").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_TLS_BROKERS"]
async fn by_each_mechanism_events_go_there_and_come_back() {
    for mechanism in ["SCRAM-SHA-512", "PLAIN"] {
        let config = config(&format!("{}&mechanism={mechanism}", address()));
        let topic = unique("secured");
        ensure_topic(&config, &topic, 1).await.unwrap();
        KafkaProbe::new(&config, &topic)
            .unwrap()
            .ask()
            .await
            .unwrap();
        let all = commits(FIRST, 1, 9);
        let publisher = publisher(&config, &topic);
        let end = soon(publisher.publish(FIRST, &all)).await.unwrap();
        let last = Position::new(9);
        assert!(soon(publisher.holds(FIRST, last, end)).await.unwrap());
        let consumer = KafkaConsumer::read_all(config, topic, 1).unwrap();
        consumer.seek(FIRST, Position::START).await.unwrap();
        let mut records = Vec::new();
        while (records.len() as u64) < end {
            records.extend(soon(consumer.next(FIRST, 99)).await.unwrap());
        }
        assert_eq!(records[0].id.to_string(), "0-1-0");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_TLS_BROKERS"]
async fn who_is_not_let_in_or_does_not_trust_the_brokers_gets_no_answer() {
    let (good, topic) = (address(), unique("closed"));
    ensure_topic(&config(&good), &topic, 1).await.unwrap();
    let (_, rest) = good.split_once("://").unwrap();
    let (login, place) = rest.split_once('@').unwrap();
    let (brokers, _) = place.split_once('?').unwrap();
    for refused in [
        format!("kafka://social:wrong@{place}"),
        format!("kafka://{login}@{brokers}?encrypt=on"),
        format!("kafka://{login}@{brokers}"),
        format!("kafka://{place}"),
    ] {
        let probe = KafkaProbe::new(&config(&refused), &topic).unwrap();
        assert!(probe.ask().await.is_err(), "{refused}");
    }
}
