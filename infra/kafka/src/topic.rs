//! Makes the topic, and checks the one that is there.

use std::time::Duration;

use cqrs_core::BoxError;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::{KafkaConfig, TopicError};

/// How long the brokers may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The settings without which history would be lost.
const SETTINGS: [(&str, &str); 3] = [
    ("cleanup.policy", "delete"),
    ("retention.bytes", "-1"),
    ("retention.ms", "-1"),
];

/// What says how large a record may be; more is as good.
const LARGEST: &str = "max.message.bytes";

/// The largest record: a commit's payload is 4 MiB at most, so one event's is.
pub(crate) const MAX_RECORD: &str = "5242880";

/// Makes `topic` with `partitions` partitions, replicated as the cluster does by default, or checks the one that is there.
///
/// Call it at the start of everything that publishes or consumes.
///
/// # Errors
///
/// - [`TopicError::Partitions`], [`TopicError::Setting`]: the topic there is not fit. Nothing was changed.
/// - [`TopicError::Broker`]: ask again.
///
/// # Cancel safety
///
/// Dropping the future leaves the topic made or not; ask again.
pub async fn ensure_topic(
    config: &KafkaConfig,
    topic: &str,
    partitions: u16,
) -> Result<(), TopicError> {
    let away = |source: BoxError| TopicError::Broker {
        topic: topic.to_owned(),
        source,
    };
    let admin: AdminClient<DefaultClientContext> = config
        .client()
        .create()
        .map_err(|error| away(error.into()))?;
    let options = AdminOptions::new()
        .request_timeout(Some(PATIENCE))
        .operation_timeout(Some(PATIENCE));
    let mut wanted = NewTopic::new(topic, i32::from(partitions), TopicReplication::Fixed(-1))
        .set(LARGEST, MAX_RECORD)
        // No clock but the broker's decides whether a record is taken.
        .set("message.timestamp.type", "LogAppendTime");
    for (setting, value) in SETTINGS {
        wanted = wanted.set(setting, value);
    }
    let made = admin.create_topics([&wanted], &options).await;
    match made.map_err(|error| away(error.into()))?.pop() {
        Some(Ok(_)) => tracing::info!(topic, partitions, "made the topic"),
        None | Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => {}
        Some(Err((_, code))) => return Err(away(KafkaError::AdminOp(code).into())),
    }
    check_partitions(admin, topic, partitions).await?;
    check_settings(config, topic, &options).await
}

async fn check_partitions(
    admin: AdminClient<DefaultClientContext>,
    topic: &str,
    partitions: u16,
) -> Result<(), TopicError> {
    let name = topic.to_owned();
    let away = |source: BoxError| TopicError::Broker {
        topic: topic.to_owned(),
        source,
    };
    let counted = tokio::task::spawn_blocking(move || {
        // A topic that was just made may take a moment to be known everywhere.
        for attempt in 1.. {
            let metadata = admin.inner().fetch_metadata(Some(&name), PATIENCE)?;
            let found = metadata.topics().iter().find(|found| found.name() == name);
            let count = found.map_or(0, |found| found.partitions().len());
            if count > 0 || attempt == 50 {
                return Ok(count);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok::<_, KafkaError>(0)
    });
    let actual = counted
        .await
        .map_err(|error| away(error.into()))?
        .map_err(|error| away(error.into()))?;
    if actual == 0 {
        return Err(away("the brokers do not know it yet".into()));
    }
    if actual != usize::from(partitions) {
        return Err(TopicError::Partitions {
            topic: topic.to_owned(),
            expected: partitions,
            actual,
        });
    }
    Ok(())
}

async fn check_settings(
    config: &KafkaConfig,
    topic: &str,
    options: &AdminOptions,
) -> Result<(), TopicError> {
    let away = |source: BoxError| TopicError::Broker {
        topic: topic.to_owned(),
        source,
    };
    let admin: AdminClient<DefaultClientContext> = config
        .client()
        .create()
        .map_err(|error| away(error.into()))?;
    let described = admin
        .describe_configs([&ResourceSpecifier::Topic(topic)], options)
        .await
        .map_err(|error| away(error.into()))?
        .pop();
    let described = match described {
        Some(Ok(described)) => described,
        Some(Err(code)) => return Err(away(KafkaError::AdminOp(code).into())),
        None => return Err(away("no answer about its settings".into())),
    };
    let value = |setting| {
        let entry = described.get(setting);
        entry
            .and_then(|entry| entry.value.clone())
            .unwrap_or_default()
    };
    let unfit = |setting, expected| {
        Err(TopicError::Setting {
            topic: topic.to_owned(),
            setting,
            expected,
            actual: value(setting),
        })
    };
    for (setting, expected) in SETTINGS {
        if value(setting) != expected {
            return unfit(setting, expected);
        }
    }
    // A record that the topic refuses would be published again and again, and nothing behind it ever.
    let largest: Option<u64> = value(LARGEST).parse().ok();
    match largest.zip(MAX_RECORD.parse().ok()) {
        Some((largest, wanted)) if largest >= wanted => Ok(()),
        _ => unfit(LARGEST, MAX_RECORD),
    }
}
