"""What is compared on Kafka, each in a process of its own: a bare loop, plain FastStream, and the kit.

All read the same records, 1 KB of JSON with CloudEvents headers, and publish one for each with the same
settings of the producer. The end is seen at the topic's end, so counting costs no side anything.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from tests.bench.kit_service import BODY_BYTES, TOPICS, Cost, Stopwatch, make_service, records
from tests.bench.stores import NothingStore, OneByOne
from tests.bench.transports import kafka_transport

from patchline_kit import memory
from patchline_kit.clock import SystemClock
from patchline_kit.runtime import Runtime
from patchline_kit.store.mongo import MongoAddress, MongoDatabase
from patchline_kit.store.port import Outgoing, Save, Store
from patchline_kit.store.sqlite import SqliteDatabase, SqliteStore
from patchline_kit.telemetry import Telemetry
from patchline_kit.transport.kafka import BATCH_BYTES, LINGER_MS
from patchline_kit.transport.kafka_member import BATCH_RECORDS
from patchline_kit.transport.topics import PARTITIONS
from patchline_schemas.updates import UpdateApproved, UpdateRejected

LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Side:
    """One run. ``kind`` is ``bare``, ``faststream``, ``kit`` or ``store``; the rest says how."""

    kind: str
    events: int
    prefix: str
    fetch: int = 500
    """The bare loop's ``max_records``; the kit's own is 500."""
    store: str = "nothing"
    """Or ``sqlite`` or ``mongo``."""
    one_by_one: bool = False
    """Whether each save is a write of its own."""
    telemetry: Mapping[str, str] = field(default_factory=dict)
    """OpenTelemetry's variables."""
    tuned: bool = True
    """Whether it runs as a service does: on uvloop, with the kit's settings of the garbage collector."""
    group: str = ""
    """The same for replicas; of its own where it is empty."""


def run(*sides: Side) -> list[Cost]:
    """Run ``sides`` at the same time, each in a new process."""
    with ProcessPoolExecutor(len(sides), mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        return list(processes.map(_measured, sides))


def seed(prefix: str, count: int) -> None:
    """Publish what the sides read."""
    asyncio.run(_seed(prefix, count))


async def _seed(prefix: str, count: int) -> None:
    transport = kafka_transport(prefix, TOPICS)
    await transport.start()
    await transport.publish(records(count))
    await transport.stop()


def _measured(side: Side) -> Cost:
    kinds: dict[str, Callable[[Side], Awaitable[Cost]]] = {
        "bare": _bare,
        "faststream": _faststream,
        "kit": _kit,
        "store": _writes,
    }
    os.environ.update(side.telemetry)  # where the exporter looks
    if side.tuned:
        memory.settle()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop if side.tuned else None) as runner:
        try:
            return runner.run(kinds[side.kind](side))
        finally:
            gc.unfreeze()


async def _bare(side: Side) -> Cost:
    async with _far_end(side) as all_published:
        consumer = AIOKafkaConsumer(
            side.prefix + UpdateRejected.TOPIC,
            bootstrap_servers=_kafka(),
            group_id=_group(side),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        producer = AIOKafkaProducer(
            bootstrap_servers=_kafka(),
            acks="all",
            enable_idempotence=True,
            linger_ms=LINGER_MS,
            max_batch_size=BATCH_BYTES,
        )
        watch = Stopwatch()
        await consumer.start()
        await producer.start()
        loop = asyncio.create_task(
            _consume_and_produce(consumer, producer, side.prefix + UpdateApproved.TOPIC, side.fetch)
        )
        await all_published()
        cost = watch.cost(side.events)
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        await consumer.stop()
        await producer.stop()
        return cost


async def _consume_and_produce(
    consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, topic: str, fetch: int
) -> None:
    while True:
        fetched = await consumer.getmany(timeout_ms=20, max_records=fetch)
        sent = []
        for record in (record for batch in fetched.values() for record in batch):
            body = json.loads(record.value)
            body["reason"] = body["reason"].upper()
            sent.append(
                await producer.send(
                    topic, json.dumps(body).encode(), key=record.key, headers=list(record.headers)
                )
            )
        await asyncio.gather(*sent)
        if sent:
            await consumer.commit()


async def _faststream(side: Side) -> Cost:
    async with _far_end(side) as all_published:
        broker = KafkaBroker(_kafka(), acks="all", enable_idempotence=True, logger=None)

        @broker.subscriber(
            side.prefix + UpdateRejected.TOPIC,
            group_id=_group(side),
            ack_policy=AckPolicy.ACK,
            auto_offset_reset="earliest",
        )
        async def answer(body: dict[str, Any]) -> None:
            body["reason"] = body["reason"].upper()
            await broker.publish(
                body, side.prefix + UpdateApproved.TOPIC, key=str(body["update_id"]).encode()
            )

        watch = Stopwatch()
        await broker.start()
        await all_published()
        cost = watch.cost(side.events)
        await broker.stop()
        return cost


async def _kit(side: Side) -> Cost:
    async with _far_end(side) as all_published, _store(side) as store:
        service = make_service(_group(side))
        transport = kafka_transport(side.prefix, TOPICS)
        telemetry = Telemetry(side.telemetry)
        of_service = telemetry.service(service.name)
        runtime = Runtime(
            service,
            transport=transport,
            store=store,
            clock=SystemClock(),
            tracer=of_service.tracer,
            metrics=of_service.metrics,
        )
        watch = Stopwatch()
        await transport.start()
        await runtime.start()
        await all_published()
        cost = watch.cost(side.events)
        await runtime.stop()
        await transport.stop()
        telemetry.shutdown()
        return cost


async def _writes(side: Side) -> Cost:
    """The store alone: each event's save, as the service under test makes it."""
    async with _store(side) as store:
        saves = [
            Save(
                collection="seen",
                id=f"update-{number}",
                expected_version=0,
                body=b'{"id": "seen", "reason": "' + b"x" * BODY_BYTES + b'"}',
                wake_at=None,
                wake_priority=0,
                tags=frozenset(),
                handled=f"event-{number}",
                outgoing=(Outgoing(f"answer-{number}", UpdateApproved.TOPIC, b"key", (), b"{}" * 150),),
            )
            for number in range(side.events)
        ]
        watch = Stopwatch()
        for first in range(0, side.events, BATCH_RECORDS):
            await store.save_all(saves[first : first + BATCH_RECORDS])
        return watch.cost(side.events)


@asynccontextmanager
async def _store(side: Side) -> AsyncIterator[Store]:
    with TemporaryDirectory(prefix="patchline-bench-") as folder:
        if side.store == "nothing":
            yield NothingStore()
            return
        if side.store == "sqlite":
            sqlite = SqliteDatabase(Path(folder) / "store.db")
            yield _written(side, SqliteStore(sqlite, "bench"))
            await sqlite.close()
            return
        uri = f"{os.environ['PATCHLINE_TEST_MONGO']}/bench-{uuid.uuid4().hex[:12]}"
        mongo = MongoDatabase(MongoAddress.of(uri))
        await mongo.start()
        yield _written(side, await mongo.store("bench"))
        await mongo.drop()
        await mongo.close()


def _written(side: Side, store: Store) -> Store:
    return OneByOne(store) if side.one_by_one else store


@asynccontextmanager
async def _far_end(side: Side) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Waits until as many records as there are events have come to the topic since now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=_kafka())
    await consumer.start()
    partitions = [TopicPartition(side.prefix + UpdateApproved.TOPIC, number) for number in range(PARTITIONS)]

    async def published() -> int:
        return sum((await consumer.end_offsets(partitions)).values())

    goal = side.events + (0 if side.group else await published())  # replicas start on a fresh topic

    async def all_published() -> None:
        while await published() < goal:  # noqa: ASYNC110  # Kafka tells nobody
            await asyncio.sleep(LOOK_SECONDS)

    try:
        yield all_published
    finally:
        await consumer.stop()


def _group(side: Side) -> str:
    return side.group or f"bench-{uuid.uuid4().hex[:8]}"


def _kafka() -> str:
    return os.environ["PATCHLINE_TEST_KAFKA"]
