"""Reads a topic from its beginning as any consumer elsewhere would: with Python's usual Kafka client and the CloudEvents SDK, from
the headers alone. Knows nothing of this project.

    cloudevents_consumer.py BROKERS TOPIC

Prints each event as a line of JSON, partition by partition. Exit status 1, and the reason on stderr, at the first record that is
not a valid CloudEvent 1.0 in binary mode.
"""

import datetime
import json
import sys
import urllib.parse

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

# What a record must say itself: the SDK would make up some of it.
SAID = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_dataschema", "content-type"]


class Refused(Exception):
    pass


def understand(record):
    names = [name for name, _ in record.headers() or []]
    headers = dict(record.headers() or [])
    if len(names) != len(headers):
        raise Refused(f"headers that stand twice: {names}")
    missing = [name for name in SAID if not headers.get(name)]
    if missing:
        raise Refused(f"without {missing}")
    # Validates names, required attributes and their types, and decodes the value by `content-type`.
    event = from_binary_event(KafkaMessage(headers, record.key(), record.value()))
    if record.key() != headers["ce_subject"]:
        raise Refused(f"key {record.key()!r} of {event.get_subject()!r}")
    if not urllib.parse.urlsplit(event.get_dataschema()).scheme:
        raise Refused(f"dataschema {event.get_dataschema()!r} is no absolute URI")
    if event.get_time().utcoffset() != datetime.timedelta(0):
        raise Refused(f"time {event.get_time()} is not in UTC")
    if not isinstance(event.get_data(), dict):
        raise Refused(f"data {event.get_data()!r} of content type {event.get_datacontenttype()}")
    return event


def records(consumer, topic):
    known = consumer.list_topics(topic, timeout=30).topics[topic]
    if known.error:
        raise KafkaException(known.error)
    for partition in sorted(known.partitions):
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
        while True:
            record = consumer.poll(30)
            if record is None:
                raise Refused(f"neither a record nor the end of partition {partition} within 30 s")
            if record.error() and record.error().code() == KafkaError._PARTITION_EOF:
                break
            if record.error():
                raise KafkaException(record.error())
            yield record


def main(brokers, topic):
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "cloudevents-check",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    seen = set()
    try:
        for record in records(consumer, topic):
            try:
                event = understand(record)
            except Exception as problem:
                raise Refused(f"{topic}, partition {record.partition()}, offset {record.offset()}: {problem}") from problem
            identity = (event.get_source(), event.get_id())
            print(
                json.dumps(
                    {
                        "source": event.get_source(),
                        "id": event.get_id(),
                        "type": event.get_type(),
                        "dataschema": event.get_dataschema(),
                        "subject": event.get_subject(),
                        "milliseconds": round(event.get_time().timestamp() * 1000),
                        "repeated": identity in seen,
                        "data": event.get_data(),
                    }
                )
            )
            seen.add(identity)
    finally:
        consumer.close()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Refused, KafkaException) as problem:
        sys.exit(f"cloudevents_consumer: {problem}")
