"""What every transport must do. An adapter's test class inherits :class:`TransportContract` and says how to
open one: each transport that it opens is like that of a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kafka_world import KafkaWorld, kafka_world

from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_kit.transport.port import Received, Transport, TransportError
from patchline_schemas import WireRecord

SUPPORT = Path(__file__).parents[1] / "support"
TOPIC, OTHER, URGENT = "things.happened", "others.happened", "things.happened.urgent"
PATIENCE = 30.0

Open = Callable[[], Awaitable[Transport]]


def record(number: int, *, key: str = "key", topic: str = TOPIC) -> WireRecord:
    return WireRecord(topic, key.encode(), (("ce_id", b"%d" % number),), b"%d" % number)


def numbers(records: Sequence[Received]) -> list[int]:
    return [int(each.value) for each in records]


class Sink:
    """A handler that remembers what it was given; it may be held up, or fail."""

    def __init__(self) -> None:
        self.batches: list[list[Received]] = []
        self.failures = 0
        self.open = asyncio.Event()
        self.open.set()
        self.entered = asyncio.Event()
        self._changed = asyncio.Condition()

    async def __call__(self, records: Sequence[Received]) -> None:
        self.entered.set()
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            self.batches.append(list(records))
            raise RuntimeError("as the test wants it")
        async with self._changed:
            self.batches.append(list(records))
            self._changed.notify_all()

    @property
    def records(self) -> list[Received]:
        return [each for batch in self.batches for each in batch]

    async def until(self, count: int) -> list[Received]:
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.records) >= count)
        return self.records


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110  # a subscription tells nobody when its lag changes
            await asyncio.sleep(0.02)


class TransportContract:
    @pytest.fixture
    def environment(self) -> dict[str, str]:
        """Where another process finds the same transport."""
        raise NotImplementedError

    @pytest.fixture
    async def open(self) -> AsyncIterator[Open]:
        """Opens started transports, and stops them afterwards."""
        raise NotImplementedError
        yield

    async def test_records_of_one_key_come_in_the_order_in_which_they_were_published(self, open: Open):
        transport, sink = await open(), Sink()
        await transport.subscribe("group", [TOPIC], sink)
        for start in range(0, 300, 30):
            await transport.publish([record(n, key=f"key-{n % 7}") for n in range(start, start + 30)])

        handled = await sink.until(300)

        for key in range(7):
            of_key = [int(each.value) for each in handled if each.key == b"key-%d" % key]
            assert of_key == [n for n in range(300) if n % 7 == key]

    async def test_a_record_comes_as_it_was_published_even_if_its_headers_are_no_text(self, open: Open):
        transport, sink = await open(), Sink()
        odd = WireRecord(
            TOPIC, b"\x00\xff", (("ce_id", b"\xff\xfe\x00"), ("again", b"1"), ("again", b"")), b""
        )
        before = datetime.now(UTC)
        await transport.publish([odd])

        await transport.subscribe("group", [TOPIC], sink)
        [received] = await sink.until(1)

        assert (received.topic, received.key, received.headers, received.value) == (
            odd.topic,
            odd.key,
            odd.headers,
            odd.value,
        )
        assert abs((received.timestamp - before).total_seconds()) < PATIENCE

    async def test_records_whose_handling_failed_come_again_before_later_ones(self, open: Open):
        transport, sink = await open(), Sink()
        sink.failures = 2
        await transport.publish([record(n) for n in range(10)])

        await transport.subscribe("group", [TOPIC], sink)
        await sink.until(10)
        await until(lambda: settled(sink, 3))
        before = len(sink.records)
        await transport.publish([record(10)])
        await sink.until(before + 1)

        first, second, third, *later = [numbers(batch) for batch in sink.batches]
        assert first == second == third[: len(first)]
        assert [n for batch in [third, *later] for n in batch] == list(range(11))

    async def test_a_group_goes_on_where_it_stopped(self, open: Open):
        first, before, after = await open(), Sink(), Sink()
        await first.publish([record(n) for n in range(20)])
        await first.subscribe("group", [TOPIC], before)
        await before.until(20)
        await first.stop()

        second = await open()
        await second.publish([record(n) for n in range(20, 25)])
        await second.subscribe("group", [TOPIC], after)

        assert numbers(await after.until(5)) == [20, 21, 22, 23, 24]

    async def test_stopping_waits_for_the_batch_in_hand_and_commits_it(self, open: Open):
        first, before, after = await open(), Sink(), Sink()
        before.open.clear()
        await first.publish([record(0)])
        subscription = await first.subscribe("group", [TOPIC], before)
        async with asyncio.timeout(PATIENCE):
            await before.entered.wait()

        stopping = asyncio.create_task(subscription.stop())
        await asyncio.sleep(0)
        assert not stopping.done()
        before.open.set()
        await stopping

        second = await open()
        await second.subscribe("group", [TOPIC], after)
        await second.publish([record(1)])
        assert numbers(await after.until(1)) == [1]
        assert not subscription.assigned()

    async def test_groups_are_independent_of_each_other(self, open: Open):
        transport, one, two = await open(), Sink(), Sink()
        await transport.subscribe("one", [TOPIC], one)
        one.failures = 1
        await transport.publish([record(n) for n in range(5)])
        await transport.subscribe("two", [TOPIC, OTHER], two)
        await transport.publish([record(5, topic=OTHER)])

        assert sorted(numbers(await two.until(6))) == [0, 1, 2, 3, 4, 5]
        assert {each.topic for each in await one.until(5)} == {TOPIC}

    async def test_members_of_a_group_share_the_records_and_take_over_from_each_other(self, open: Open):
        first, second, one, two = await open(), await open(), Sink(), Sink()
        leaving = await first.subscribe("group", [TOPIC], one)
        await second.subscribe("group", [TOPIC], two)
        await first.publish([record(n, key=f"key-{n}") for n in range(100)])
        await until(lambda: seen(100, one, two))
        assert sorted(numbers(one.records + two.records)) == list(range(100))

        await leaving.stop()
        await second.publish([record(n, key=f"key-{n}") for n in range(100, 150)])
        await until(lambda: seen(150, one, two))

        assert sorted(numbers(one.records + two.records)) == list(range(150))

    async def test_urgent_records_come_first_in_every_batch(self, open: Open):
        transport, sink = await open(), Sink()
        await transport.publish([record(n) for n in range(1200)])
        await transport.publish([record(n, topic=URGENT) for n in range(1200, 1205)])

        await transport.subscribe("group", [TOPIC, URGENT], sink)
        handled = await sink.until(1205)

        for batch in sink.batches:
            urgent = [each.topic == URGENT for each in batch]
            assert urgent == sorted(urgent, reverse=True)
        assert max(place for place, each in enumerate(handled) if each.topic == URGENT) < 1000

    async def test_a_new_group_may_begin_at_the_end_and_keeps_that_beginning(self, open: Open):
        first, sink = await open(), Sink()
        await first.publish([record(n) for n in range(5)])
        await first.subscribe("group", [TOPIC], sink, from_end=True)
        await first.stop()

        second = await open()
        await second.publish([record(n) for n in range(5, 8)])
        await second.subscribe("group", [TOPIC], sink, from_end=True)

        assert numbers(await sink.until(3)) == [5, 6, 7]

    async def test_the_lag_counts_what_is_not_handled_yet(self, open: Open):
        transport, sink = await open(), Sink()
        sink.open.clear()
        subscription = await transport.subscribe("group", [TOPIC, OTHER], sink)
        assert subscription.assigned()
        nothing = await subscription.lag()
        assert (nothing.records, nothing.oldest) == (0, None)

        await transport.publish([record(n) for n in range(7)])
        async with asyncio.timeout(PATIENCE):
            await sink.entered.wait()
        await transport.publish([record(n, topic=OTHER) for n in range(7, 10)])
        waiting = await subscription.lag()
        assert waiting.records == 10
        assert waiting.oldest is not None
        assert abs((datetime.now(UTC) - waiting.oldest).total_seconds()) < PATIENCE

        sink.open.set()
        await sink.until(10)
        await until(lambda: caught_up(subscription))

    async def test_a_topic_can_be_read_without_a_group_page_by_page(self, open: Open):
        transport = await open()
        assert list(await transport.read(OTHER)) == []
        await transport.publish([record(n, key=f"key-{n}") for n in range(50)])

        found: list[Received] = []
        after = None
        while page := await transport.read(TOPIC, after=after, limit=8):
            assert len(page) >= 8 or len(found) + len(page) == 50
            found += page
            after = page[-1].offset

        assert sorted(numbers(found)) == list(range(50))

    @pytest.mark.timeout(180)
    async def test_fifty_thousand_records_of_a_kilobyte_are_handled_once(self, open: Open):
        transport, sink = await open(), Sink()
        body = b"x" * 1000
        await transport.publish(
            [WireRecord(TOPIC, b"%d" % (n % 100), (("n", b"%d" % n),), body) for n in range(50_000)]
        )

        await transport.subscribe("group", [TOPIC], sink)
        handled = await sink.until(50_000)

        assert sorted(int(each.headers[0][1]) for each in handled) == list(range(50_000))
        assert max(len(batch) for batch in sink.batches) <= 1000

    async def test_what_was_acknowledged_survives_the_death_of_the_publisher(
        self, open: Open, environment: dict[str, str]
    ):
        transport, sink = await open(), Sink()
        publisher = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, str(SUPPORT / "transport_process.py"), "publish", TOPIC],
            stdout=subprocess.PIPE,
            env=os.environ | environment,
            text=True,
        )
        assert publisher.stdout is not None
        try:
            acknowledged = -1
            while acknowledged < 500:
                line = await asyncio.to_thread(publisher.stdout.readline)
                assert line, "the publisher ended by itself"
                acknowledged = int(line)
        finally:
            publisher.send_signal(signal.SIGKILL)
        acknowledged = max([acknowledged, *(int(line) for line in publisher.stdout.read().splitlines()[:-1])])
        publisher.stdout.close()
        publisher.wait()

        await transport.subscribe("group", [TOPIC], sink)
        handled = numbers(await sink.until(acknowledged + 1))

        assert handled[: acknowledged + 1] == list(range(acknowledged + 1))

    async def test_a_transport_that_is_not_started_says_so(self, open: Open):
        transport = await open()
        await transport.stop()
        with pytest.raises(TransportError, match="not started"):
            await transport.publish([record(0)])
        with pytest.raises(TransportError, match="not started"):
            await transport.subscribe("group", [TOPIC], Sink())


async def seen(count: int, *sinks: Sink) -> bool:
    return sum(len(sink.records) for sink in sinks) >= count


async def settled(sink: Sink, batches: int) -> bool:
    return sink.failures == 0 and len(sink.batches) >= batches


async def caught_up(subscription: object) -> bool:
    return (await subscription.lag()).records == 0  # type: ignore[attr-defined]


class TestEmbedded(TransportContract):
    @pytest.fixture
    def environment(self, tmp_path: Path) -> dict[str, str]:
        return {"LOG_FILE": str(tmp_path / "log.db")}

    @pytest.fixture
    async def open(self, tmp_path: Path) -> AsyncIterator[Open]:
        opened: list[EmbeddedTransport] = []

        async def make() -> Transport:
            opened.append(EmbeddedTransport(tmp_path / "log.db", topics={}))
            await opened[-1].start()
            return opened[-1]

        yield make
        for transport in opened:
            await transport.stop()


@pytest.mark.native
class TestKafka(TransportContract):
    @pytest.fixture
    async def world(self) -> AsyncIterator[KafkaWorld]:
        async with kafka_world([TOPIC, OTHER, URGENT]) as world:
            yield world

    @pytest.fixture
    def environment(self, world: KafkaWorld) -> dict[str, str]:
        return {"KAFKA_PREFIX": world.prefix}

    @pytest.fixture
    async def open(self, world: KafkaWorld) -> AsyncIterator[Open]:
        opened: list[Transport] = []

        async def make() -> Transport:
            opened.append(world.transport())
            await opened[-1].start()
            return opened[-1]

        yield make
        for transport in opened:
            await transport.stop()
