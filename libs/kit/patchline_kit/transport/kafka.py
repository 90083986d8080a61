"""The Kafka adapter: a FastStream broker that consumes, and aiokafka's producer.

Publishing goes past FastStream's publisher, which can only send headers that are text and adds its own: a
record that was not ours (a dead letter, say) must go out exactly as it came.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError, UnknownTopicOrPartitionError
from faststream.kafka import KafkaBroker

from patchline_kit.transport import kafka_batches
from patchline_kit.transport.kafka_clients import KafkaConnection, received
from patchline_kit.transport.kafka_look import page
from patchline_kit.transport.kafka_member import KafkaSubscription
from patchline_kit.transport.kafka_topics import ensure_topics
from patchline_kit.transport.port import BatchHandler, Received, Subscription, TransportError
from patchline_kit.transport.topics import Topic, declared_topics
from patchline_schemas import WireRecord

BATCH_BYTES = 256 * 1024
REQUEST_MS = 15_000
"""How long Kafka may take to acknowledge before publishing counts as failed (and is tried again)."""
START_SECONDS = 30.0
"""How long a producer may take to connect before another one is tried; all who publish wait for it."""
CLOSE_SECONDS = 5.0
"""How long a producer that is given up may take to close what it holds; then it is left to its fate."""
LINGER_MS = 2
"""How long the producer waits for more records for a partition; what is published together goes together."""

log = logging.getLogger(__name__)
faststream_log = logging.getLogger("faststream.patchline")
faststream_log.setLevel(logging.ERROR)


class KafkaTransport:
    """Topics on a Kafka cluster; implements :class:`patchline_kit.transport.port.Transport`.

    ``prefix`` goes before every topic's and group's name. ``topics`` are created if missing, unless
    ``create_topics`` is False; those that are there must be as declared. ``member`` names this process for
    ever: a process that starts again under the same name takes its partitions back at once, even if it was
    killed; leave it out where replicas come and go.
    ``grace`` is how many seconds a batch in hand may take to finish when partitions are taken away.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        *,
        prefix: str = "",
        topics: Mapping[str, Topic] | None = None,
        create_topics: bool = True,
        member: str | None = None,
        grace: float = 10.0,
    ) -> None:
        self._connection = connection
        self._prefix = prefix
        self._topics = declared_topics() if topics is None else topics
        self._create_topics = create_topics
        self._member = member
        self._grace = grace
        self._broker: KafkaBroker | None = None
        self._producer: AIOKafkaProducer | None = None
        self._producer_lock = asyncio.Lock()
        self._members: list[KafkaSubscription] = []

    async def start(self) -> None:
        """Connect; create the topics that are missing."""
        if self._broker is not None:
            return
        await ensure_topics(
            self._connection,
            self._topics,
            prefix=self._prefix,
            create=self._create_topics,
        )
        self._broker = KafkaBroker(
            list(self._connection.bootstrap),
            security=self._connection.security,
            consumer_only=True,
            client_id="patchline",
            apply_types=False,
            logger=faststream_log,
            graceful_timeout=self._grace,
        )
        try:
            await self._broker.connect()
            await self._started_producer()
        except (KafkaError, OSError) as error:
            await self.stop()
            raise self._connection.unreachable(error) from error

    async def stop(self) -> None:
        """Stop every member, send what was accepted, and disconnect."""
        await asyncio.gather(*(member.stop() for member in list(self._members)))
        if self._producer is not None:
            await _let_go(self._producer, within=self._grace)
            self._producer = None
        if self._broker is not None:
            await self._broker.stop()
            self._broker = None

    async def publish(self, records: Sequence[WireRecord]) -> None:
        """Send ``records``; they are on all in-sync replicas when this returns."""
        if not records:
            return
        if self._broker is None:
            raise TransportError("the Kafka transport is not started")
        try:
            producer = await self._started_producer()
        except (KafkaError, OSError) as error:
            raise self._explained(error, records) from error
        futures: list[asyncio.Future[Any]] = []
        errors: list[BaseException] = []
        try:
            # What waits to learn of a topic is told nothing if another call lets the producer go meanwhile.
            # aiokafka's own limit, which names a topic that is missing, comes first.
            async with asyncio.timeout(1.5 * REQUEST_MS / 1000):
                await kafka_batches.send(producer, self._prefix, records, futures)
        except (KafkaError, OSError) as error:
            errors.append(error)
        answer_by = asyncio.get_running_loop().time() + REQUEST_MS / 1000
        for future in futures:
            if not future.done():
                patience = answer_by - asyncio.get_running_loop().time()
                await asyncio.wait([future], timeout=max(0.0, patience))
            if not future.done():
                # An idempotent producer would try on for ever, and nobody would know.
                await self._replace(producer)
                raise self._explained(TimeoutError(f"no answer in {REQUEST_MS // 1000} s"), records)
            failure = asyncio.CancelledError() if future.cancelled() else future.exception()
            if failure is not None:
                errors.append(failure)
        if errors:
            if any(_breaks_the_producer(error) for error in errors):
                await self._replace(producer)
            raise self._explained(errors[0], records) from errors[0]

    async def subscribe(
        self, group: str, topics: Sequence[str], handler: BatchHandler, *, from_end: bool = False
    ) -> Subscription:
        """Read ``topics`` as a member of ``group``; returns once this member has its partitions."""
        if self._broker is None:
            raise TransportError("the Kafka transport is not started")
        member = KafkaSubscription(
            broker=self._broker,
            connection=self._connection,
            prefix=self._prefix,
            group=group,
            topics=tuple(dict.fromkeys(topics)),
            handler=handler,
            from_end=from_end,
            member=self._member,
            grace=self._grace,
            members=self._members,
        )
        try:
            await member.start()
        except (KafkaError, OSError) as error:
            raise self._connection.unreachable(error) from error
        return member

    async def forget(self, group: str) -> None:
        """Nothing to do: Kafka forgets a group without members by itself (``offsets.retention.minutes``)."""

    async def read(self, topic: str, *, after: int | None = None, limit: int = 100) -> Sequence[Received]:
        """Records of a topic by offset, those of equal offset in different partitions together.

        ``after`` counts in every partition, so a page may be a few records longer than ``limit``.
        """
        start = 0 if after is None else after + 1
        try:
            records = await page(self._connection, self._prefix + topic, start, limit)
        except (KafkaError, OSError) as error:
            raise self._connection.unreachable(error) from error
        return [received(record, self._prefix) for record in records]

    async def _started_producer(self) -> AIOKafkaProducer:
        async with self._producer_lock:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **self._connection.options(),
                    client_id="patchline",
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=REQUEST_MS,
                    linger_ms=LINGER_MS,
                    max_batch_size=BATCH_BYTES,
                )
                try:
                    async with asyncio.timeout(START_SECONDS):
                        await producer.start()
                except BaseException:
                    await _let_go(producer, within=0.0)
                    raise
                self._producer = producer
            return self._producer

    async def _replace(self, producer: Any) -> None:
        """Let a broken producer go; the next call makes a new one."""
        async with self._producer_lock:
            is_current = self._producer is producer
            if not is_current:
                return
            self._producer = None
        await _let_go(producer, within=0.0)

    def _explained(self, error: BaseException, records: Sequence[WireRecord]) -> TransportError:
        if isinstance(error, UnknownTopicOrPartitionError):
            names = ", ".join(sorted({self._prefix + record.topic for record in records}))
            return TransportError(f"Kafka has no topic for a record; one of: {names}. Create it first")
        return self._connection.unreachable(error)


async def _let_go(producer: Any, *, within: float) -> None:
    """Send what was accepted, but drop it after so many seconds: aiokafka's ``stop`` would wait for ever."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await producer.flush()
    producer._closed = True
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
        await asyncio.wait([sender], timeout=CLOSE_SECONDS)
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await producer.client.close()


def _breaks_the_producer(error: BaseException) -> bool:
    """An idempotent producer whose sequence is broken sends nothing more."""
    return not (isinstance(error, KafkaTimeoutError) or getattr(error, "retriable", False))
