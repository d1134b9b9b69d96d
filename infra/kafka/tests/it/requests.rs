//! Requests by message, and their replies.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use cqrs_kafka::{
    HandleRequest, KafkaConfig, Reply, Request, RequestOptions, RequestServer, ensure_topic,
};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::{brokers, mock, soon, unique};

/// Replies with what was asked.
struct Echo;

impl HandleRequest for Echo {
    async fn handle(&self, request: Request) -> Reply {
        // Later ones would overtake earlier ones if they could.
        let turns = 40 - request.offset % 40;
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let text = std::str::from_utf8(&request.payload).unwrap();
        Reply {
            key: request.key.unwrap(),
            payload: format!("re: {text}").into(),
            headers: request.headers,
        }
    }
}

/// Never comes to an end.
struct Stuck;

impl HandleRequest for Stuck {
    async fn handle(&self, _: Request) -> Reply {
        pending().await
    }
}

fn server(config: &KafkaConfig, requests: &str, replies: &str) -> RequestServer {
    let options = RequestOptions {
        requests: requests.to_owned(),
        replies: replies.to_owned(),
        group: "commands".to_owned(),
        concurrency: 8,
    };
    RequestServer::new(config, options).unwrap()
}

async fn ask(config: &KafkaConfig, topic: &str, from: u32, to: u32) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    let sent = (from..to).map(|n| {
        let headers = OwnedHeaders::new().insert(Header {
            key: "number",
            value: Some(&n.to_string()),
        });
        let (key, payload) = (format!("key-{}", n % 10), n.to_string());
        let record = FutureRecord::to(topic)
            .key(&key)
            .payload(&payload)
            .headers(headers);
        producer.send_result(record).unwrap()
    });
    for delivery in sent.collect::<Vec<_>>() {
        delivery.await.unwrap().unwrap();
    }
}

/// The first `count` replies, by key.
async fn replies(config: &KafkaConfig, topic: &str, count: usize) -> BTreeMap<String, Vec<String>> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", unique("reader"))
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let mut found = BTreeMap::<_, Vec<_>>::new();
    for _ in 0..count {
        let message = consumer.recv().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let payload = text(message.payload().unwrap());
        let number = message.headers().unwrap().get(0);
        assert_eq!(number.key, "number");
        assert_eq!(payload, format!("re: {}", text(number.value.unwrap())));
        let key = text(message.key().unwrap());
        found.entry(key).or_default().push(payload);
    }
    found
}

fn due(from: u32, to: u32) -> BTreeMap<String, Vec<String>> {
    let mut due = BTreeMap::<_, Vec<_>>::new();
    for n in from..to {
        let key = format!("key-{}", n % 10);
        due.entry(key).or_default().push(format!("re: {n}"));
    }
    due
}

async fn each_is_answered_in_the_order_of_its_key(
    config: &KafkaConfig,
    requests: &str,
    answers: &str,
) {
    ask(config, requests, 0, 300).await;
    let first = server(config, requests, answers);
    let found = async {
        let found = soon(replies(config, answers, 300)).await;
        assert_eq!(found, due(0, 300));
    };
    first.serve(&Echo, found).await.unwrap();
    drop(first);
    ask(config, requests, 300, 310).await;
    let second = server(config, requests, answers);
    let found = async {
        let found = soon(replies(config, answers, 310)).await;
        assert_eq!(
            found,
            due(0, 310),
            "none is answered twice after an orderly end"
        );
    };
    second.serve(&Echo, found).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS"]
async fn requests_are_answered_in_the_order_of_their_key() {
    let (requests, answers) = (unique("requests"), unique("replies"));
    ensure_topic(&brokers(), &requests, 3).await.unwrap();
    ensure_topic(&brokers(), &answers, 3).await.unwrap();
    each_is_answered_in_the_order_of_its_key(&brokers(), &requests, &answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_mock_what_was_not_replied_to_is_handled_again() {
    let (cluster, config) = mock(1);
    cluster.create_topic("replies", 1, 1).unwrap();
    ask(&config, "events", 0, 20).await;
    let stuck = server(&config, "events", "replies");
    let crash = tokio::time::timeout(Duration::from_secs(5), stuck.serve(&Stuck, pending()));
    assert!(crash.await.is_err());
    drop(stuck);
    // And a reply that is refused once is delivered again.
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_POLICY_VIOLATION;
    cluster.request_errors(RDKafkaApiKey::Produce, &[refused]);
    let heir = server(&config, "events", "replies");
    let found = async {
        let found = soon(replies(&config, "replies", 20)).await;
        assert_eq!(found, due(0, 20));
    };
    heir.serve(&Echo, found).await.unwrap();
}
