"""Looks at the broker from beside: what is on the topics, how far the groups are. In a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from chaos.evidence import Told
from patchline_kit.transport.topics import declared_topics
from patchline_schemas import EnvelopeError
from patchline_schemas.envelope import read_envelope

R = TypeVar("R")
Offsets = dict[TopicPartition, int]
PREFIX = "chaos."
"""Of the run's topics and groups."""
PARTITIONS = 3
"""Of each topic."""
UNREADABLE = b"{no event"
WATCHED = ("fleet.inventory-reported", "updates.assessed", "updates.reviewed")


class Watch:
    """What a run can know of its events without asking any service."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="watch", daemon=True)
        self.keys: dict[str, set[str]] = defaultdict(set)
        """The keys of records seen so far on each of the watched topics."""

    def start(self) -> None:
        """Begin to follow the watched topics."""
        self._thread.start()
        self._following = asyncio.run_coroutine_threadsafe(self._follow(), self._loop)

    def stop(self) -> None:
        """Look no more."""
        self._following.cancel()
        with suppress(Exception, asyncio.CancelledError):
            self._call(asyncio.sleep(0.2))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open_ends(self, groups: list[str]) -> dict[str, int]:
        """How many records each group has not handled yet, where that is not none."""
        behind = {
            group: sum(ends[each] - offset for each, offset in committed.items()) if committed else 1
            for group, (committed, ends) in self._call(self._offsets(groups)).items()
        }
        return {group: records for group, records in behind.items() if records}

    def positions(self, group: str) -> dict[tuple[str, int], int]:
        """The offset of the first record a group has not handled, by topic and partition."""
        committed, _ends = self._call(self._offsets([group]))[group]
        return {(_plain(each.topic), each.partition): offset for each, offset in committed.items()}

    def everything(self) -> list[ConsumerRecord]:
        """All records of all topics, by the broker's time."""
        return self._call(self._everything(), seconds=1800)

    def poison(self, topic: str, key: str) -> None:
        """Put an unreadable record on a topic."""
        self._call(self._poison(topic, key))

    def _call(self, work: Coroutine[Any, Any, R], seconds: float = 60) -> R:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    async def _follow(self) -> None:
        while True:
            consumer = AIOKafkaConsumer(
                *(PREFIX + name for name in WATCHED),
                bootstrap_servers=self._bootstrap,
                auto_offset_reset="earliest",
                group_id=None,
            )
            try:
                await consumer.start()
                async for record in consumer:
                    self.keys[_plain(record.topic)].add((record.key or b"").decode(errors="replace"))
            except (KafkaError, OSError):
                await asyncio.sleep(1)
            finally:
                await consumer.stop()

    async def _offsets(self, groups: list[str]) -> dict[str, tuple[Offsets, Offsets]]:
        """What each group has committed, and the ends of what it reads."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap)
        await consumer.start()
        try:
            found: dict[str, tuple[Offsets, Offsets]] = {}
            for group in groups:
                listed = await admin.list_consumer_group_offsets(PREFIX + group)
                committed = {each: max(at.offset, 0) for each, at in listed.items()}
                found[group] = committed, await consumer.end_offsets(list(committed))
            return found
        finally:
            await consumer.stop()
            await admin.close()

    async def _everything(self) -> list[ConsumerRecord]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, group_id=None)
        await consumer.start()
        try:
            partitions = [
                TopicPartition(PREFIX + name, number)
                for name, topic in declared_topics(partitions=PARTITIONS).items()
                for number in range(topic.partitions)
            ]
            ends = {each: end for each, end in (await consumer.end_offsets(partitions)).items() if end}
            consumer.assign(list(ends))
            await consumer.seek_to_beginning(*ends)
            found: list[ConsumerRecord] = []
            waiting = dict(ends)
            while waiting:
                for partition, records in (await consumer.getmany(*waiting, timeout_ms=500)).items():
                    found += records
                    if records[-1].offset + 1 >= waiting[partition]:
                        del waiting[partition]
        finally:
            await consumer.stop()
        found.sort(key=lambda record: (record.timestamp, record.topic, record.partition, record.offset))
        return found

    async def _poison(self, topic: str, key: str) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, acks="all")
        try:
            await producer.start()
            await producer.send_and_wait(PREFIX + topic, UNREADABLE, key=key.encode())
        finally:
            await producer.stop()


def poison(records: Iterable[ConsumerRecord]) -> frozenset[str]:
    """``topic/partition/offset`` of those that were made to be unreadable."""
    return frozenset(
        f"{_plain(each.topic)}/{each.partition}/{each.offset}" for each in records if each.value == UNREADABLE
    )


def told(record: ConsumerRecord) -> Told | None:
    """The event that a record is; None for one that is none."""
    headers = tuple((name, raw or b"") for name, raw in record.headers)
    try:
        envelope, body = read_envelope(headers, record.value or b"")
    except EnvelopeError:
        return None
    return Told(
        id=envelope.id,
        topic=_plain(record.topic),
        source=envelope.source,
        key=(record.key or b"").decode(),
        cause=envelope.causationid,
        at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
        place=(record.partition, record.offset),
        body=json.loads(body),
        raw=(tuple((name, raw.decode()) for name, raw in headers), (record.value or b"").decode()),
    )


def _plain(topic: str) -> str:
    return topic.removeprefix(PREFIX)
