//! Publishing again, for others.

use std::time::Duration;

use cqrs_core::{BusSource, CommitSource, Partition, Position, RecordedCommit};
use cqrs_kafka::{KafkaConfig, KafkaConsumer};
use social_api::TokioTimer;

use crate::kit::{Installation, append, history, liked, post};

fn brokers() -> KafkaConfig {
    KafkaConfig::new(std::env::var("KAFKA_BROKERS").unwrap(), "test")
}

/// The commits of the whole `topic`, up to `heads`.
async fn read(topic: &str, heads: &[cqrs_core::LogPosition]) -> Vec<RecordedCommit> {
    let partitions = u16::try_from(heads.len()).unwrap();
    let consumer = KafkaConsumer::read_all(brokers(), topic, partitions).unwrap();
    let source = BusSource::new(consumer.clone(), partitions, TokioTimer);
    let mut all = Vec::new();
    for (partition, head) in Partition::all(partitions).zip(heads) {
        let mut at = Position::START;
        while at < head.position {
            let slice = source.slice_after(partition, at, 500).await.unwrap();
            match slice.last() {
                Some(last) => at = last.at.position,
                None => source.await_more(partition, at).await.unwrap(),
            }
            all.extend(slice);
        }
    }
    consumer.close().await;
    all
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MONGODB_URI and KAFKA_BROKERS"]
async fn the_whole_log_is_published_to_another_topic_and_gone_on_with() {
    let installation = Installation::new(3);
    let log = installation.log().await;
    history(&log, 30, 2).await;
    let topic = format!("{}-again", installation.topic);
    let republish = ["republish", "--topic", &topic];
    let told = installation.run(&republish).await.expect(0);
    assert!(told.contains("90 events by this run"), "{told}");
    let heads = installation.heads(&log).await;
    let found = tokio::time::timeout(Duration::from_secs(60), read(&topic, &heads));
    let found = found.await.unwrap();
    assert_eq!(found.len(), 90);
    let like = append(&log, post(1), vec![liked(77)]).await;
    let told = installation.run(&republish).await.expect(0);
    assert!(told.contains(" 1 events by this run"), "{told}");
    let heads = installation.heads(&log).await;
    let found = tokio::time::timeout(Duration::from_secs(60), read(&topic, &heads));
    let found = found.await.unwrap();
    assert_eq!(found.len(), 91);
    let last = found.iter().find(|commit| commit.at == like.at).unwrap();
    assert_eq!((&last.stream, last.version), (&post(1), like.version));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MONGODB_URI and KAFKA_BROKERS"]
async fn a_topic_of_the_services_or_of_others_is_refused() {
    let ours = Installation::new(1);
    let log = ours.log().await;
    history(&log, 2, 0).await;
    for topic in [ours.topic.as_str(), "social.commands", "social.replies"] {
        let refused = ours.run(&["republish", "--topic", topic]).await;
        assert_eq!(refused.status, Some(1));
        assert!(
            refused.told.contains("the services' own"),
            "{}",
            refused.told
        );
    }
    // Another installation's records.
    let theirs = Installation::new(1);
    history(&theirs.log().await, 2, 0).await;
    let topic = format!("{}-theirs", theirs.topic);
    theirs
        .run(&["republish", "--topic", &topic])
        .await
        .expect(0);
    let refused = ours.run(&["republish", "--topic", &topic]).await;
    assert_eq!(refused.status, Some(1));
    let told = "records that were not published again from here";
    assert!(refused.told.contains(told), "{}", refused.told);
}
