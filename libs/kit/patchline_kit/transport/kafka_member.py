"""One member of a consumer group: a FastStream batch subscriber with commits and rebalances of our own.

FastStream runs the loop and the consumer; what becomes of a batch is decided here, because none of its
acknowledgement policies fits: they commit whatever was fetched, or seek back without a pause.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER

from patchline_kit.transport.kafka_clients import KafkaConnection, published_at, received
from patchline_kit.transport.kafka_look import Lookout
from patchline_kit.transport.port import BatchHandler, Lag, Received, TransportError
from patchline_kit.transport.topics import is_urgent

BATCH_RECORDS = 500
LISTEN_MS = 1_000
"""How long the loop waits for records before it goes round; what comes ends the wait."""
FETCH_WAIT_MS = 500
"""How long the broker holds a fetch that finds nothing. It answers as soon as a record comes, so this costs
no latency; a shorter time costs an idle service processor time for nothing."""
SESSION_MS = 10_000
"""A member that is silent for so long has died."""
HEARTBEAT_MS = 1_000
"""A member hears with its heartbeat that another wants to join or has left."""
RETRY_SECONDS = (0.1, 5.0)
"""First and longest pause before records whose handling failed come again."""
LAG_SECONDS = 5.0

log = logging.getLogger(__name__)
Positions = dict[TopicPartition, int]


class KafkaSubscription(ConsumerRebalanceListener):  # type: ignore[misc]
    """Implements :class:`patchline_kit.transport.port.Subscription`."""

    def __init__(
        self,
        *,
        broker: KafkaBroker,
        connection: KafkaConnection,
        prefix: str,
        group: str,
        topics: tuple[str, ...],
        handler: BatchHandler,
        from_end: bool,
        member: str | None,
        grace: float,
        members: list[KafkaSubscription],
    ) -> None:
        self._prefix = prefix
        self._group = prefix + group
        self._handler = handler
        self._from_end = from_end
        self._grace = grace
        self._connection = connection
        self._lookout = Lookout(connection)
        self._members = members
        self._stopping = asyncio.Event()
        self._revoked = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_hand: list[ConsumerRecord] = []
        self._work: asyncio.Task[None] | None = None
        self._uncommitted: Positions = {}
        self._commit: asyncio.Task[None] | None = None
        self._subscriber = broker.subscriber(
            *(prefix + topic for topic in topics),
            batch=True,
            group_id=self._group,
            group_instance_id=f"{self._group}.{member}" if member else None,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="latest" if from_end else "earliest",
            partition_assignment_strategy=(RangePartitionAssignor,),
            session_timeout_ms=SESSION_MS,
            heartbeat_interval_ms=HEARTBEAT_MS,
            rebalance_timeout_ms=int(grace * 1000) + SESSION_MS,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            listener=self,
            parser=_parse,
            decoder=_decode,
            no_reply=True,
            persistent=False,
        )
        self._subscriber(self._handle)
        self._subscriber.get_msg = _next_records  # type: ignore[method-assign]

    async def start(self) -> None:
        """Join the group; returns once partitions are assigned."""
        await self._subscriber.start()
        self._members.append(self)

    async def stop(self) -> None:
        """Let the batch in hand finish, or cancel it after the grace time; commit; leave."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        await self._finish()
        await self._subscriber.stop()
        await self._lookout.close()
        if self in self._members:
            self._members.remove(self)

    def assigned(self) -> bool:
        """Whether this member reads anything now."""
        consumer = self._subscriber.consumer
        return consumer is not None and not self._revoked and bool(consumer.assignment())

    async def lag(self) -> Lag:
        """How many records wait on this member's partitions, with those in hand."""
        consumer = self._subscriber.consumer
        if consumer is None or not self.assigned():
            return Lag(0, None)
        partitions = list(consumer.assignment())
        try:
            async with asyncio.timeout(LAG_SECONDS):
                ends = await self._lookout.ends(partitions)
                positions = {partition: await consumer.position(partition) for partition in partitions}
                in_hand = list(self._in_hand)
                for record in in_hand:
                    partition = TopicPartition(record.topic, record.partition)
                    if partition in positions:
                        positions[partition] = min(positions[partition], record.offset)
                behind = {
                    partition: (positions[partition], ends[partition])
                    for partition in partitions
                    if ends[partition] > positions[partition]
                }
                oldest = in_hand or (await self._lookout.firsts(behind) if behind else [])
        except (KafkaError, IllegalStateError, TimeoutError, OSError) as error:
            if isinstance(error, IllegalStateError) or set(partitions) != consumer.assignment():
                raise TransportError("Kafka is moving partitions between members") from error
            raise self._connection.unreachable(error) from error
        return Lag(
            records=sum(end - position for position, end in behind.values()),
            oldest=published_at(min(oldest, key=attrgetter("timestamp"))) if oldest else None,
        )

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Partitions are taken away: finish or cancel what is in hand, and commit, before they go."""
        self._revoked = True
        await self._finish()
        self._uncommitted.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Partitions came: with ``from_end`` a new group's positions are stored before anything arrives."""
        if self._from_end:
            await self._hold_the_end(list(assigned))
        self._revoked = False

    async def _handle(self, records: Sequence[ConsumerRecord]) -> None:
        if self._revoked or self._stopping.is_set():
            return  # nothing of it was committed: whoever gets the partitions gets it again
        self._idle.clear()
        self._in_hand = list(records)  # from here on the lag counts them, whatever is awaited
        try:
            urgent, routine = _lanes([*records, *await self._more_urgent()])
            while urgent or routine:
                part, rest = (urgent, routine) if urgent else (routine, [])
                self._in_hand = [*part, *rest]
                if not await self._handled([received(record, self._prefix) for record in part]):
                    return
                self._uncommitted |= _ends(part)
                self._commit_in_background()
                urgent, routine = _lanes(await self._more_urgent())[0] if urgent else [], rest
        finally:
            self._in_hand = []
            self._idle.set()

    async def _handled(self, batch: Sequence[Received]) -> bool:
        pause = 0.0
        while not (self._revoked or self._stopping.is_set()):
            self._work = asyncio.ensure_future(self._handler(batch))
            await asyncio.wait([self._work])
            if self._work.cancelled():
                return False
            error = self._work.exception()
            if error is None:
                return True
            pause = min(max(pause * 2, RETRY_SECONDS[0]), RETRY_SECONDS[1])
            log.error("%s: records could not be handled; again in %.1f s", self._group, pause, exc_info=error)
            await self._pause(pause)
        return False

    async def _pause(self, seconds: float) -> None:
        """Wait, but not on after partitions were revoked or this member is to stop."""
        end = asyncio.get_running_loop().time() + seconds
        while not (self._revoked or self._stopping.is_set()):
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 0.05))

    async def _more_urgent(self) -> list[ConsumerRecord]:
        """Urgent records that lie ready behind the batch."""
        consumer = self._subscriber.consumer
        urgent = [each for each in consumer.assignment() if is_urgent(each.topic)] if consumer else []
        if consumer is None or not urgent:
            return []
        try:
            fetched = await consumer.getmany(*urgent, timeout_ms=0, max_records=BATCH_RECORDS)
        except KafkaError as error:
            log.warning("%s: urgent topics cannot be read now: %s", self._group, error)
            return []
        return [record for records in fetched.values() for record in records]

    async def _finish(self) -> None:
        """Wait for the batch in hand, or cancel it after the grace time; then commit what was handled."""
        try:
            await asyncio.wait_for(self._idle.wait(), self._grace)
        except TimeoutError:
            log.warning("%s: a batch did not finish in %s s and is delivered again", self._group, self._grace)
            if self._work is not None:
                self._work.cancel()
            await self._idle.wait()
        if self._commit is not None:
            await self._commit
        await self._commit_all()

    def _commit_in_background(self) -> None:
        if self._commit is None or self._commit.done():
            self._commit = asyncio.create_task(self._commit_all(), name=f"kafka: commit {self._group}")

    async def _commit_all(self) -> None:
        consumer = self._subscriber.consumer
        while self._uncommitted and consumer is not None:
            offsets, self._uncommitted = self._uncommitted, {}
            try:
                await consumer.commit(offsets)
            except (CommitFailedError, IllegalStateError) as error:
                log.warning("%s: positions were not stored, records come again: %s", self._group, error)
                return
            except (KafkaError, OSError) as error:
                self._uncommitted = offsets | self._uncommitted
                log.warning("%s: positions are not stored yet: %s", self._group, error)
                return

    async def _hold_the_end(self, assigned: list[TopicPartition]) -> None:
        consumer = self._subscriber.consumer
        if consumer is None:
            return
        fresh = [partition for partition in assigned if await consumer.committed(partition) is None]
        if fresh:
            ends = await consumer.end_offsets(fresh)
            for partition, end in ends.items():
                consumer.seek(partition, end)
            await consumer.commit(ends)


def _lanes(records: Iterable[ConsumerRecord]) -> tuple[list[ConsumerRecord], list[ConsumerRecord]]:
    """The urgent records and the others, by the broker's time, and always in order within a partition."""
    lanes: dict[bool, dict[tuple[str, int], list[ConsumerRecord]]] = {
        True: defaultdict(list),
        False: defaultdict(list),
    }
    for record in records:
        lanes[is_urgent(record.topic)][record.topic, record.partition].append(record)
    return _merged(lanes[True]), _merged(lanes[False])


def _ends(records: Iterable[ConsumerRecord]) -> Positions:
    """The positions behind ``records``, which are in order within a partition."""
    ends = {(record.topic, record.partition): record.offset + 1 for record in records}
    return {TopicPartition(*partition): end for partition, end in ends.items()}


def _merged(partitions: Mapping[tuple[str, int], list[ConsumerRecord]]) -> list[ConsumerRecord]:
    placed: list[tuple[int, ConsumerRecord]] = []
    for records in partitions.values():
        latest = 0
        for record in records:
            latest = max(latest, record.timestamp)  # a new leader's clock may be behind the old one's
            placed.append((latest, record))
    placed.sort(key=itemgetter(0))
    return [record for _at, record in placed]


async def _next_records(consumer: AIOKafkaConsumer) -> tuple[ConsumerRecord, ...]:
    """What has come, as soon as it has.

    FastStream's own sleeps, deaf, after each look that finds nothing, as long as the look may take: short, it
    keeps an idle service busy, and long, it delays what comes.
    """
    fetched = await consumer.getmany(timeout_ms=LISTEN_MS, max_records=BATCH_RECORDS)
    return tuple(chain.from_iterable(fetched.values()))


async def _parse(records: tuple[ConsumerRecord, ...]) -> KafkaMessage:
    """A FastStream message around the raw records: headers may be anything, and are not looked at here."""
    return KafkaMessage(records, b"", correlation_id="-", consumer=FAKE_CONSUMER)


async def _decode(message: KafkaMessage) -> Any:
    return message.raw_message
