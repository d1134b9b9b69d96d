//! The topics, read and written by a plain Kafka client that knows the headers and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;
use serde_json::Value;

use crate::history::History;
use crate::wait::until;
use crate::world::{SHORT, World};

/// One event as the topic has it.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    position: u64,
    index: u64,
    stream: String,
    version: u64,
    kind: String,
    payload: Vec<u8>,
}

impl World {
    /// Waits until the topic holds all of `history`, and checks that a consumer that takes only the next (position, index) sees
    /// each event once, in order, as the log has it. Repeats may be in between, holes may not.
    pub(crate) fn check_topic(&self, history: &History) {
        for (partition, commits) in history.partitions.iter().enumerate() {
            let events = commits.iter().flat_map(|commit| commit.recorded_events());
            let due: Vec<_> = events
                .map(|event| Record {
                    position: event.id.at.position.get(),
                    index: event.id.index.into(),
                    stream: event.commit.stream.to_string(),
                    version: event.version.get(),
                    kind: event.data.event_type.name().to_owned(),
                    payload: event.data.payload.to_vec(),
                })
                .collect();
            until("the relay to publish everything", || {
                let found = self.published(partition)?;
                if found.len() < due.len() {
                    return Err(format!(
                        "{} of {} in partition {partition}",
                        found.len(),
                        due.len()
                    ));
                }
                assert!(
                    found == due,
                    "partition {partition} of the topic is not the log"
                );
                Ok(())
            });
        }
    }

    /// The events of a partition, as the rule lets them through.
    fn published(&self, partition: usize) -> Result<Vec<Record>, String> {
        let mut taken: Vec<Record> = Vec::new();
        self.read(
            &self.names.events,
            i32::try_from(partition).unwrap(),
            |message| {
                let record = record(message);
                let last = taken.last().map(|last| (last.position, last.index));
                let next = match last {
                    None => (record.position, record.index) == (1, 0),
                    Some((position, index)) => {
                        (record.position, record.index) == (position, index + 1)
                            || (record.position, record.index) == (position + 1, 0)
                    }
                };
                let repeated = last.is_some_and(|last| (record.position, record.index) <= last);
                assert!(next || repeated, "a hole between {last:?} and {record:?}");
                if next {
                    taken.push(record);
                }
            },
        )?;
        Ok(taken)
    }

    /// The answers to commands by message, by the command's id; repeats must say the same.
    pub(crate) fn replies(&self) -> Result<BTreeMap<String, Value>, String> {
        let mut replies: BTreeMap<String, Value> = BTreeMap::new();
        for partition in 0..self.partitions_of(&self.names.replies)? {
            self.read(&self.names.replies, partition, |message| {
                let reply: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                let id = reply["id"].as_str().unwrap_or_default().to_owned();
                let first = replies.entry(id).or_insert_with(|| reply.clone());
                assert_eq!(*first, reply, "a reply is not what it was before");
            })?;
        }
        Ok(replies)
    }

    fn partitions_of(&self, topic: &str) -> Result<i32, String> {
        let metadata = self.consumer().fetch_metadata(Some(topic), SHORT);
        let metadata = metadata.map_err(|error| error.to_string())?;
        let topic = metadata.topics().first().ok_or("no topic")?;
        Ok(i32::try_from(topic.partitions().len()).unwrap())
    }

    fn consumer(&self) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.engines.kafka)
            .set("group.id", "e2e")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .create()
            .unwrap()
    }

    /// Shows every record of a partition, from its beginning to its end as of now.
    fn read(
        &self,
        topic: &str,
        partition: i32,
        mut show: impl FnMut(&BorrowedMessage<'_>),
    ) -> Result<(), String> {
        let consumer = self.consumer();
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
        consumer.assign(&all).unwrap();
        loop {
            match consumer.poll(SHORT) {
                Some(Ok(message)) => show(&message),
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("neither a record nor the end".to_owned()),
            }
        }
    }

    /// Sends commands as messages, keyed by the post or author they are for.
    pub(crate) fn produce(&self, commands: &[(String, Value)]) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.engines.kafka)
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "60000")
            .create()
            .unwrap();
        for (key, command) in commands {
            let payload = command.to_string();
            let record = BaseRecord::to(&self.names.commands)
                .key(key)
                .payload(&payload);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(Duration::from_secs(60)).unwrap();
    }

    /// Waits until each of `ids` is answered.
    pub(crate) fn answered(&self, ids: &[String]) -> BTreeMap<String, Value> {
        until("every message to be answered", || {
            let replies = self.replies()?;
            let open = ids.iter().filter(|id| !replies.contains_key(*id)).count();
            match open {
                0 => Ok(replies),
                open => Err(format!("{open} of {} are not answered", ids.len())),
            }
        })
    }
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().expect("headers");
    let text = |name: &str| {
        let found = headers.iter().find(|header| header.key == name);
        let value = found.and_then(|header| header.value);
        let value = value.unwrap_or_else(|| panic!("no header `{name}`"));
        std::str::from_utf8(value).unwrap().to_owned()
    };
    let stream = text("ce_subject");
    assert_eq!(
        message.key(),
        Some(stream.as_bytes()),
        "the key is the stream"
    );
    Record {
        position: text("position").parse().unwrap(),
        index: text("index").parse().unwrap(),
        version: text("version").parse().unwrap(),
        kind: text("ce_type"),
        payload: message.payload().unwrap_or_default().to_vec(),
        stream,
    }
}
