"""Looking at Kafka's records without a group."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from patchline_kit.transport.kafka_clients import KafkaConnection

LOOK_SECONDS = 5.0
"""How long to wait for records that the partitions' ends promise (compaction may have removed some)."""
OPTIONS = {"enable_auto_commit": False, "fetch_max_wait_ms": 10}
"""The broker answers a fetch at once: one that was sent before the seek would hold up those after it."""


async def page(connection: KafkaConnection, topic: str, start: int, limit: int) -> list[ConsumerRecord]:
    """Records of ``topic`` with an offset of at least ``start``, by offset and partition.

    About ``limit`` of them: those of one offset are never parted, so that the next page can begin after it.
    Raises aiokafka's errors.
    """
    consumer = AIOKafkaConsumer(topic, **connection.options(), **OPTIONS)
    try:
        await consumer.start()
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


class Lookout:
    """Looks at partitions over a connection of its own, made when it is first needed.

    That of a group's member is no use: the broker answers one request after another, and most of the time it
    holds the member's fetch until something comes.
    """

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._consumer: AIOKafkaConsumer | None = None
        self._turn = asyncio.Lock()

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset behind the last record of each partition. Raises aiokafka's errors."""
        async with self._turn:
            consumer = await self._looking_at(partitions)
            return dict(await consumer.end_offsets(partitions))

    async def firsts(self, spans: Mapping[TopicPartition, tuple[int, int]]) -> list[ConsumerRecord]:
        """The first record of each span of offsets (start, end). Raises aiokafka's errors."""
        async with self._turn:
            consumer = await self._looking_at(spans)
            consumer.resume(*spans)
            try:
                return await _collect(
                    consumer, {each: (start, start + 1) for each, (start, _) in spans.items()}
                )
            finally:
                consumer.pause(*spans)  # else it goes on fetching, a hundred times a second

    async def close(self) -> None:
        """Let the connection go."""
        async with self._turn:
            if self._consumer is not None:
                await self._consumer.stop()
                self._consumer = None

    async def _looking_at(self, partitions: Collection[TopicPartition]) -> AIOKafkaConsumer:
        consumer = self._consumer
        if consumer is None:
            consumer = AIOKafkaConsumer(**self._connection.options(), **OPTIONS, max_partition_fetch_bytes=1)
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            self._consumer = consumer
        if not consumer.assignment().issuperset(partitions):
            consumer.assign(list(partitions))
            consumer.pause(*partitions)
        return consumer


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
