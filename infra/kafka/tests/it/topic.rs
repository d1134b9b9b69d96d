//! The topic's check at start.

use cqrs_core::PublishEvents;
use cqrs_kafka::{TopicError, ensure_topic};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

use crate::support::{FIRST, brokers, commits, publisher, soon, unique};

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

#[tokio::test]
#[ignore = "needs KAFKA_BROKERS"]
async fn a_topic_that_refuses_the_largest_record_is_refused() {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers().brokers)
        .create()
        .unwrap();
    for (largest, fit) in [("5242879", false), ("5242880", true), ("9000000", true)] {
        let topic = unique("small");
        let wanted = NewTopic::new(&topic, 1, TopicReplication::Fixed(-1))
            .set("retention.ms", "-1")
            .set("max.message.bytes", largest);
        let made = admin.create_topics([&wanted], &AdminOptions::new()).await;
        made.unwrap().pop().unwrap().unwrap();
        let checked = ensure_topic(&brokers(), &topic, 1).await;
        let text = format!("topic `{topic}` has max.message.bytes={largest}, expected 5242880");
        match checked {
            Ok(()) => assert!(fit, "{largest}"),
            Err(refused) => assert_eq!((refused.to_string(), fit), (text, false)),
        }
    }
}

/// What the log takes at most in one event, the topic takes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS"]
async fn the_largest_event_is_published() {
    let topic = unique("largest");
    ensure_topic(&brokers(), &topic, 1).await.unwrap();
    let mut all = commits(FIRST, 1, 3);
    let mut random = 1_u32;
    // Does not compress.
    let noise = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 24) as u8
    });
    all[1].events[0].payload = noise.take(4 << 20).collect();
    let publisher = publisher(&brokers(), &topic);
    let records: usize = all.iter().map(|commit| commit.events.len()).sum();
    let end = soon(publisher.publish(FIRST, &all)).await.unwrap();
    assert_eq!(end, records as u64);
}
