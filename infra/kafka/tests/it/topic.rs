//! The topic's check at start.

use cqrs_kafka::{TopicError, ensure_topic};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use crate::support::{brokers, unique};

#[tokio::test]
#[ignore = "needs KAFKA_BROKERS"]
async fn a_topic_is_made_once_and_found_fit_afterwards() {
    let topic = unique("made");
    ensure_topic(&brokers(), &topic, 3).await.unwrap();
    ensure_topic(&brokers(), &topic, 3).await.unwrap();
}

#[tokio::test]
#[ignore = "needs KAFKA_BROKERS"]
async fn another_partition_count_is_refused() {
    let topic = unique("count");
    ensure_topic(&brokers(), &topic, 3).await.unwrap();
    let refused = ensure_topic(&brokers(), &topic, 4).await.unwrap_err();
    let text = format!("topic `{topic}` has 3 partitions, the log has 4");
    assert_eq!(refused.to_string(), text);
}

#[tokio::test]
#[ignore = "needs KAFKA_BROKERS"]
async fn a_topic_that_forgets_is_refused() {
    let cases = [
        ("cleanup.policy", "compact"),
        ("retention.ms", "1000000"),
        ("retention.bytes", "1000000"),
    ];
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers().brokers)
        .create()
        .unwrap();
    for (setting, value) in cases {
        let topic = unique("forgets");
        let mut wanted = NewTopic::new(&topic, 1, TopicReplication::Fixed(-1));
        for kept in ["retention.ms", "retention.bytes"] {
            wanted = wanted.set(kept, if kept == setting { value } else { "-1" });
        }
        if setting == "cleanup.policy" {
            wanted = wanted.set(setting, value);
        }
        let made = admin.create_topics([&wanted], &AdminOptions::new()).await;
        made.unwrap().pop().unwrap().unwrap();
        let refused = ensure_topic(&brokers(), &topic, 1).await.unwrap_err();
        let TopicError::Setting {
            setting: found,
            actual,
            ..
        } = refused
        else {
            panic!("{refused}");
        };
        assert_eq!((found, actual.as_str()), (setting, value));
    }
}
