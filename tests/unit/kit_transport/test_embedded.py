"""What the embedded log does beyond the transports' contract."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from patchline_kit.clock import ManualClock
from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_kit.transport.embedded_member import BATCH_BYTES, BATCH_RECORDS
from patchline_kit.transport.port import Received, TransportError
from patchline_kit.transport.topics import Topic
from patchline_schemas import WireRecord

SUPPORT = Path(__file__).parents[2] / "support"
TOPIC, URGENT, STANDING = "things.happened", "things.happened.urgent", "fleet.target-registered"
MONTH = timedelta(days=30)
TOPICS = {
    TOPIC: Topic(TOPIC, 1, MONTH),
    STANDING: Topic(STANDING, 1, MONTH, compacted=True),
    "ledger.sealed": Topic("ledger.sealed", 1, None),
}


def record(number: int, *, topic: str = TOPIC, key: str = "key", size: int = 0) -> WireRecord:
    return WireRecord(topic, key.encode(), (("n", b"%d" % number),), b"x" * size)


def numbers(records: Sequence[Received]) -> list[int]:
    return [int(each.headers[0][1]) for each in records]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 5, 12, tzinfo=UTC))


@pytest.fixture
async def log(tmp_path: Path, clock: ManualClock) -> AsyncIterator[EmbeddedTransport]:
    transport = EmbeddedTransport(tmp_path / "log.db", clock=clock, topics=TOPICS, grace=0.2)
    await transport.start()
    yield transport
    await transport.stop()


class Handler:
    """Remembers batches; each waits for leave to end."""

    def __init__(self, *, held: bool = False) -> None:
        self.batches: asyncio.Queue[list[Received]] = asyncio.Queue()
        self.leave = asyncio.Semaphore(0 if held else 1_000_000)

    async def __call__(self, records: Sequence[Received]) -> None:
        self.batches.put_nowait(list(records))
        await self.leave.acquire()

    async def next(self) -> list[Received]:
        return await asyncio.wait_for(self.batches.get(), 10)


async def test_the_time_of_a_record_is_the_clocks(log: EmbeddedTransport, clock: ManualClock):
    clock.advance(timedelta(hours=3, microseconds=7))
    await log.publish([record(1)])
    [found] = await log.read(TOPIC)
    assert found.timestamp == clock.now()


async def test_records_of_all_topics_come_in_one_order_so_no_effect_comes_before_its_cause(log):
    topics = [f"topic-{n}" for n in range(5)]
    for number in range(60):
        await log.publish([record(number, topic=topics[number % 5])])
    handler = Handler()
    await log.subscribe("group", topics, handler)
    assert numbers(await handler.next()) == list(range(60))


async def test_an_urgent_record_overtakes_the_routine_ones_that_wait(log):
    handler = Handler(held=True)
    await log.publish([record(n) for n in range(BATCH_RECORDS * 2)])
    await log.subscribe("group", [TOPIC, URGENT], handler)
    assert len(await handler.next()) == BATCH_RECORDS

    await log.publish([record(7, topic=URGENT)])
    handler.leave.release()

    assert [each.topic for each in await handler.next()] == [URGENT]
    handler.leave.release()
    assert {each.topic for each in await handler.next()} == {TOPIC}
    handler.leave.release()


async def test_a_batch_of_large_records_stays_small(log):
    await log.publish([record(n, size=1 << 20) for n in range(20)])
    handler = Handler()
    await log.subscribe("group", [TOPIC], handler)
    first = await handler.next()
    assert sum(len(each.value) for each in first) <= BATCH_BYTES
    assert numbers(first) == list(range(len(first)))


async def test_a_batch_that_outlasts_the_grace_time_is_cancelled_and_comes_again(log):
    handler = Handler(held=True)
    await log.publish([record(1)])
    first = await log.subscribe("group", [TOPIC], handler)
    await handler.next()
    await first.stop()
    assert not first.assigned()

    again = Handler()
    await log.subscribe("group", [TOPIC], again)
    assert numbers(await again.next()) == [1]


async def test_a_member_stands_by_until_the_active_one_leaves(log, tmp_path: Path):
    active, standing_by = Handler(), Handler()
    first = await log.subscribe("group", [TOPIC], active)
    second = await log.subscribe("group", [TOPIC], standing_by)
    assert (first.assigned(), second.assigned()) == (True, False)
    assert (await second.lag()).records == 0

    await first.stop()
    await log.publish([record(1)])
    assert numbers(await standing_by.next()) == [1]
    assert second.assigned()


async def test_the_group_of_a_killed_process_is_taken_over_at_once(log, tmp_path: Path):
    await log.publish([WireRecord(TOPIC, b"key", (("n", b"1"),), b"1")])
    member = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, str(SUPPORT / "transport_process.py"), "member", TOPIC, "group"],
        stdout=subprocess.PIPE,
        env=os.environ | {"LOG_FILE": str(tmp_path / "log.db")},
    )
    assert member.stdout is not None
    try:
        assert await asyncio.to_thread(member.stdout.readline) == b"1\n"
        handler = Handler()
        subscription = await log.subscribe("group", [TOPIC], handler)
        assert not subscription.assigned()
    finally:
        member.send_signal(signal.SIGKILL)
        member.wait()
        member.stdout.close()

    await log.publish([record(2)])
    handled = await handler.next()
    assert numbers(handled)[-1] == 2
    assert subscription.assigned()


async def test_old_records_are_deleted_once_every_group_has_passed_them(log, clock: ManualClock):
    await log.publish([record(n) for n in range(3)])
    handler = Handler(held=True)
    subscription = await log.subscribe("group", [TOPIC], handler)
    await handler.next()
    clock.advance(MONTH + timedelta(seconds=1))
    await log.publish([record(3)])
    assert await log.prune() == 0

    handler.leave.release()
    await handler.next()
    handler.leave.release()
    await subscription.stop()
    assert await log.prune() == 3
    assert numbers(await log.read(TOPIC)) == [3]


async def test_a_forgotten_group_holds_no_record_back(log, clock: ManualClock):
    await log.publish([record(1)])
    handler = Handler()
    subscription = await log.subscribe("left", [TOPIC], handler)
    await handler.next()
    await subscription.stop()
    await log.publish([record(2)])
    clock.advance(MONTH * 2)
    assert await log.prune() == 1

    await log.forget("left")
    assert await log.prune() == 1


async def test_places_are_not_given_twice_after_everything_was_deleted(log, clock: ManualClock):
    await log.publish([record(1)])
    [first] = await log.read(TOPIC)
    clock.advance(MONTH * 2)
    assert await log.prune() == 1

    await log.publish([record(2)])
    [second] = await log.read(TOPIC)
    assert second.offset > first.offset


async def test_of_a_standing_topic_the_newest_record_of_each_key_stays(log, clock: ManualClock):
    for number, key in enumerate(["a", "b", "a", "c", "a"]):
        await log.publish([record(number, topic=STANDING, key=key)])
    await log.publish([record(9, topic="ledger.sealed")])
    clock.advance(MONTH * 2)

    await log.prune()

    assert numbers(await log.read(STANDING)) == [1, 3, 4]
    assert numbers(await log.read("ledger.sealed")) == [9]


async def test_a_full_disk_is_called_that_and_the_log_goes_on_once_there_is_room(log):
    await log.publish([record(0)])
    log._file._writing.execute("PRAGMA max_page_count = 20")
    with pytest.raises(TransportError, match=r"disk under .*log\.db is full: make room"):
        await log.publish([record(n, size=100_000) for n in range(1, 4)])

    log._file._writing.execute("PRAGMA max_page_count = 1000000")
    await log.publish([record(4)])
    assert numbers(await log.read(TOPIC)) == [0, 4]


async def test_a_list_is_appended_wholly_or_not_at_all(log):
    with pytest.raises(TransportError):
        await log.publish([record(0), WireRecord(TOPIC, None, (), b"")])  # type: ignore[arg-type]
    assert await log.read(TOPIC) == []


async def test_a_file_of_a_newer_patchline_is_refused(tmp_path: Path):
    with sqlite3.connect(tmp_path / "log.db") as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(TransportError, match="newer Patchline"):
        await EmbeddedTransport(tmp_path / "log.db").start()


async def test_a_file_that_is_no_log_is_refused_by_name(tmp_path: Path):
    (tmp_path / "log.db").write_text("these are no records " * 100)
    with pytest.raises(TransportError, match=r"log\.db cannot be used"):
        await EmbeddedTransport(tmp_path / "log.db").start()
