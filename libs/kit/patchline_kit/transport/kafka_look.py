"""Looking at Kafka's records without a group."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from patchline_kit.transport.kafka_clients import KafkaConnection

LOOK_SECONDS = 5.0
"""How long to wait for records that the partitions' ends promise (compaction may have removed some)."""


async def page(connection: KafkaConnection, topic: str, start: int, limit: int) -> list[ConsumerRecord]:
    """Records of ``topic`` with an offset of at least ``start``, by offset and partition.

    About ``limit`` of them: those of one offset are never parted, so that the next page can begin after it.
    Raises aiokafka's errors.
    """
    consumer = AIOKafkaConsumer(topic, **connection.options(), enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = list(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        begins = await consumer.beginning_offsets(partitions)
        spans = {
            each: (max(start, begins[each]), min(ends[each], max(start, begins[each]) + limit))
            for each in partitions
        }
        found = await _collect(consumer, {each: span for each, span in spans.items() if span[0] < span[1]})
    finally:
        await consumer.stop()
    found.sort(key=lambda record: (record.offset, record.partition))
    last = found[limit - 1].offset if len(found) > limit else None
    return [record for record in found if last is None or record.offset <= last]


async def firsts(
    connection: KafkaConnection, spans: Mapping[TopicPartition, tuple[int, int]]
) -> list[ConsumerRecord]:
    """The first record of each span of offsets (start, end). Raises aiokafka's errors."""
    consumer = AIOKafkaConsumer(**connection.options(), enable_auto_commit=False, max_partition_fetch_bytes=1)
    await consumer.start()
    try:
        consumer.assign(list(spans))
        return await _collect(consumer, {each: (start, start + 1) for each, (start, _) in spans.items()})
    finally:
        await consumer.stop()


async def _collect(
    consumer: AIOKafkaConsumer, spans: Mapping[TopicPartition, tuple[int, int]]
) -> list[ConsumerRecord]:
    found: list[ConsumerRecord] = []
    waiting = dict(spans)
    for partition, (start, _) in spans.items():
        consumer.seek(partition, start)
    deadline = asyncio.get_running_loop().time() + LOOK_SECONDS
    while waiting and asyncio.get_running_loop().time() < deadline:
        for partition, records in (await consumer.getmany(*waiting, timeout_ms=200)).items():
            _, end = waiting[partition]
            found += [record for record in records if record.offset < end]
            if records[-1].offset + 1 >= end:
                del waiting[partition]
    return found
