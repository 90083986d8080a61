"""Records on their way to Kafka: what is published together becomes one batch for each partition.

aiokafka's producer is made for records that come one by one: each looks for its partition and that one's open
batch, gets a future, and waits for company. What the relay publishes comes together.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from struct import unpack_from
from typing import Any

from aiokafka import AIOKafkaProducer

from patchline_schemas import WireRecord

SEED, MULTIPLIER, WORD = 0x9747B28C, 0x5BD1E995, 0xFFFFFFFF
"""Of MurmurHash2, as Kafka uses it."""


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
            by_partition[partitions[partition_hash(record.key) % len(partitions)]].append(record)
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
def partition_hash(key: bytes) -> int:
    """What Kafka's own clients choose a key's partition by: MurmurHash2, without its sign.

    aiokafka's goes byte by byte and takes twice as long. An update's id comes again and again.
    """
    whole = len(key) // 4
    hashed = SEED ^ len(key)
    for word in unpack_from(f"<{whole}I", key):
        mixed = word * MULTIPLIER & WORD
        hashed = (hashed * MULTIPLIER ^ (mixed ^ mixed >> 24) * MULTIPLIER) & WORD
    if rest := key[4 * whole :]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * MULTIPLIER & WORD
    hashed = (hashed ^ hashed >> 13) * MULTIPLIER & WORD
    return (hashed ^ hashed >> 15) & 0x7FFFFFFF
