//! Publishing and reading back: what the contract suite cannot ask for.

use std::time::Duration;

use cqrs_core::{
    BusSource, CommitSource, ConsumeEvents, Partition, Position, PublishEvents, RecordedCommit,
    Timestamp,
};
use cqrs_kafka::{KafkaConfig, KafkaConsumer, ensure_topic};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::{FIRST, Wait, brokers, commits, mock, publisher, recorded, soon, unique};

/// Everything after `after`, up to `count` commits, as a runner would get it.
async fn read(
    consumer: &KafkaConsumer,
    partitions: u16,
    partition: Partition,
    after: Position,
    count: usize,
) -> Vec<RecordedCommit> {
    let source = BusSource::new(consumer.clone(), partitions, Wait);
    let mut all = Vec::new();
    let mut at = after;
    while all.len() < count {
        let slice = source.slice_after(partition, at, 100).await.unwrap();
        match slice.last() {
            Some(last) => at = last.at.position,
            None => source.await_more(partition, at).await.unwrap(),
        }
        all.extend(slice);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_consumer_says_so() {
    let (_cluster, config) = mock(1);
    let consumer = KafkaConsumer::read_all(config, "events", 1).unwrap();
    consumer.seek(FIRST, Position::START).await.unwrap();
    consumer.close().await;
    assert!(soon(consumer.next(FIRST, 1)).await.is_err());
    assert!(soon(consumer.seek(FIRST, Position::START)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS"]
async fn an_event_of_a_clock_that_is_ahead_is_published() {
    let topic = unique("ahead");
    ensure_topic(&brokers(), &topic, 1).await.unwrap();
    let mut all = commits(FIRST, 1, 3);
    // The year 2100: brokers refuse records that call themselves more than an hour younger than they are.
    all[1].header.time = Timestamp::from_millis(4_102_444_800_000);
    // No year that RFC 3339 has.
    all[2].header.time = Timestamp::from_millis(i64::MAX);
    let publisher = publisher(&brokers(), &topic);
    soon(publisher.publish(FIRST, &all)).await.unwrap();
    let consumer = KafkaConsumer::read_all(brokers(), &topic, 1).unwrap();
    let found = soon(read(&consumer, 1, FIRST, Position::START, 3)).await;
    assert_eq!(found, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_through_errors_that_are_tried_again() {
    let (cluster, config) = mock(1);
    let publisher = publisher(&config, "events");
    let all = commits(FIRST, 1, 600);
    for (round, slice) in all.chunks(100).enumerate() {
        let error = match round % 2 {
            0 => RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            _ => RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        };
        cluster.request_errors(RDKafkaApiKey::Produce, &[error; 2]);
        // Where the answer to a retry is that the records are there already, and not where, the slice is published again.
        while let Err(error) = soon(publisher.publish(FIRST, slice)).await {
            assert!(
                error.source.to_string().contains("unknown offset"),
                "{error:?}"
            );
        }
    }
    let consumer = KafkaConsumer::read_all(config, "events", 1).unwrap();
    let found = soon(read(&consumer, 1, FIRST, Position::START, 600)).await;
    assert_eq!(found, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_with_one_record_refused_fails_and_can_be_published_again() {
    let (cluster, config) = mock(1);
    let publisher = publisher(&config, "events");
    let all = commits(FIRST, 1, 30);
    publisher.publish(FIRST, &all[..10]).await.unwrap();
    // The client does not try this one again.
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refused]);
    assert!(soon(publisher.publish(FIRST, &all[10..20])).await.is_err());
    soon(publisher.publish(FIRST, &all[10..20])).await.unwrap();
    soon(publisher.publish(FIRST, &all[20..])).await.unwrap();
    let consumer = KafkaConsumer::read_all(config, "events", 1).unwrap();
    let found = soon(read(&consumer, 1, FIRST, Position::START, 30)).await;
    assert_eq!(found, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_fails_the_slice_in_time_and_comes_back() {
    let (cluster, config) = mock(1);
    let publisher = publisher(&config, "events");
    let all = commits(FIRST, 1, 20);
    publisher.publish(FIRST, &all[..10]).await.unwrap();
    cluster.broker_down(1).unwrap();
    assert!(soon(publisher.publish(FIRST, &all[10..])).await.is_err());
    cluster.broker_up(1).unwrap();
    soon(publisher.publish(FIRST, &all[10..])).await.unwrap();
    let consumer = KafkaConsumer::read_all(config, "events", 1).unwrap();
    let found = soon(read(&consumer, 1, FIRST, Position::START, 20)).await;
    assert_eq!(found, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_goes_on_where_it_was_once_its_broker_is_back() {
    let (cluster, config) = mock(1);
    let publisher = publisher(&config, "events");
    let all = commits(FIRST, 1, 20);
    publisher.publish(FIRST, &all[..10]).await.unwrap();
    let consumer = KafkaConsumer::read_all(config, "events", 1).unwrap();
    let found = soon(read(&consumer, 1, FIRST, Position::START, 10)).await;
    assert_eq!(found, all[..10]);
    cluster.broker_down(1).unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(300), consumer.next(FIRST, 9)).await;
    assert!(waits.is_err(), "it waits, and does not fail");
    cluster.broker_up(1).unwrap();
    soon(publisher.publish(FIRST, &all[10..])).await.unwrap();
    let record = soon(consumer.next(FIRST, 1)).await.unwrap().remove(0);
    assert_eq!(record.id.at.position.get(), 11, "nothing was given twice");
}

/// Something else was written to the topic.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_passed_over() {
    let (_cluster, config) = mock(1);
    let stranger: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .create()
        .unwrap();
    let record = BaseRecord::to("events").partition(0).key("k").payload("?");
    stranger.send(record).unwrap();
    stranger.flush(Duration::from_secs(10)).unwrap();
    let all = commits(FIRST, 1, 5);
    publisher(&config, "events")
        .publish(FIRST, &all)
        .await
        .unwrap();
    let consumer = KafkaConsumer::read_all(config, "events", 1).unwrap();
    let found = soon(read(&consumer, 1, FIRST, Position::START, 5)).await;
    assert_eq!(found, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_fails_its_slice_and_nothing_behind_it_is_published() {
    let (_cluster, config) = mock(1);
    let publisher = publisher(&config, "events");
    let mut all = commits(FIRST, 1, 3);
    all[1].events[0].payload = vec![b'x'; 6 << 20].into();
    assert!(soon(publisher.publish(FIRST, &all)).await.is_err());
    let first = all[0].events.len() as u64;
    assert_eq!(publisher.end(FIRST).await.unwrap(), first);
}

async fn a_slow_reader_is_waited_for(config: KafkaConfig, topic: &str) {
    let publisher = publisher(&config, topic);
    // Twice as much as is held, in events and far more than in bytes.
    let all: Vec<_> = (1..=200)
        .map(|position| recorded(FIRST, position, 100))
        .collect();
    for slice in all.chunks(20) {
        publisher.publish(FIRST, slice).await.unwrap();
    }
    let consumer = KafkaConsumer::read_all(config, topic, 1).unwrap();
    consumer.seek(FIRST, Position::START).await.unwrap();
    let mut records = consumer.next(FIRST, 1).await.unwrap();
    // A reader that dawdles, so that it is full and paused; nothing below depends on how long.
    tokio::time::sleep(Duration::from_secs(1)).await;
    while records.len() < 20_000 {
        records.extend(soon(consumer.next(FIRST, 500)).await.unwrap());
    }
    let ids: Vec<_> = records.iter().map(|r| r.id).collect();
    let due: Vec<_> = all
        .iter()
        .flat_map(RecordedCommit::recorded_events)
        .map(|event| event.id)
        .collect();
    assert_eq!(ids, due);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_mock_a_slow_reader_loses_nothing() {
    let (_cluster, config) = mock(1);
    a_slow_reader_is_waited_for(config, "events").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS"]
async fn a_slow_reader_loses_nothing() {
    let topic = unique("slow");
    ensure_topic(&brokers(), &topic, 1).await.unwrap();
    a_slow_reader_is_waited_for(brokers(), &topic).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS"]
async fn a_topic_made_anew_does_not_hold_what_it_held() {
    let topic = unique("anew");
    ensure_topic(&brokers(), &topic, 1).await.unwrap();
    let publisher = publisher(&brokers(), &topic);
    let all = commits(FIRST, 1, 40);
    let holds = |position, offset| publisher.holds(FIRST, Position::new(position), offset);
    let end = soon(publisher.publish(FIRST, &all[..5])).await.unwrap();
    assert!(soon(holds(5, end)).await.unwrap());

    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers().brokers)
        .create()
        .unwrap();
    let gone = admin.delete_topics(&[&topic], &AdminOptions::new()).await;
    gone.unwrap().pop().unwrap().unwrap();
    // The brokers take a moment to be done with it.
    soon(async { while ensure_topic(&brokers(), &topic, 1).await.is_err() {} }).await;
    // It has grown past where it was.
    soon(async { while publisher.publish(FIRST, &all[5..]).await.is_err() {} }).await;
    assert!(soon(publisher.end(FIRST)).await.unwrap() > end);
    assert!(!soon(holds(5, end)).await.unwrap());
}
