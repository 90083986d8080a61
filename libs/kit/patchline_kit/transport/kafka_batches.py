"""Records on their way to Kafka: what is published together becomes one batch for each partition.

aiokafka's producer is made for records that come one by one: each looks for its partition and that one's open
batch, gets a future, and waits for company. What the relay publishes comes together.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

from patchline_schemas import WireRecord


async def send(
    producer: AIOKafkaProducer, prefix: str, records: Sequence[WireRecord], sent: list[asyncio.Future[Any]]
) -> None:
    """Hand ``records`` to the producer, those of one topic and key in order.

    ``sent`` gets a future for each batch.

    Raises :class:`aiokafka.errors.KafkaError` where a topic is unknown or the producer takes no more.
    """
    by_topic: defaultdict[str, list[WireRecord]] = defaultdict(list)
    for record in records:
        by_topic[record.topic].append(record)
    for topic, those in by_topic.items():
        partitions = sorted(await producer.partitions_for(prefix + topic))
        by_partition: defaultdict[int, list[WireRecord]] = defaultdict(list)
        for record in those:
            by_partition[partitions[_hash(record.key) % len(partitions)]].append(record)
        for partition, batch in by_partition.items():
            await _send(producer, prefix + topic, partition, batch, sent)


async def _send(
    producer: AIOKafkaProducer,
    topic: str,
    partition: int,
    records: Sequence[WireRecord],
    sent: list[asyncio.Future[Any]],
) -> None:
    batch = producer.create_batch()
    for record in records:
        headers = list(record.headers)
        if batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is None:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()  # which takes a first record of any length
            batch.append(timestamp=None, key=record.key, value=record.value, headers=headers)
    batch.close()
    sent.append(await producer.send_batch(batch, topic, partition=partition))


@lru_cache(maxsize=16_384)
def _hash(key: bytes) -> int:
    """Where every Kafka client puts a key. An update's id comes again and again."""
    return int(murmur2(key)) & 0x7FFFFFFF
