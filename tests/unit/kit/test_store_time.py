"""A replica goes by the store's time; one whose own clock is wrong says so and starts nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from delivery import update

from patchline_kit import Context, Document, ManualClock, Service, SystemClock
from patchline_kit.runtime import Runtime
from patchline_kit.store.port import StoreError
from patchline_kit.store.sqlite import SqliteDatabase, SqliteStore
from patchline_kit.store_time import StoreClock
from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_schemas import Envelope, encode
from patchline_schemas.feeds import UpdatePublished

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


class TimeOfStore:
    """A store that can do nothing but tell the time."""

    def __init__(self) -> None:
        self.time = NOON
        self.reachable = True
        self.waits: list[Callable[[], None]] = []
        """Called before an answer comes back: what happens meanwhile."""

    async def now(self) -> datetime:
        if not self.reachable:
            raise StoreError("the store is away")
        time = self.time
        if self.waits:
            self.waits.pop(0)()
        return time


class WrongClock(SystemClock):
    """The machine's clock, set wrong."""

    def __init__(self, off: timedelta = timedelta(0)) -> None:
        self.off = off

    def now(self) -> datetime:
        return super().now() + self.off


async def test_time_is_the_store_s_and_goes_on_between_looks() -> None:
    machine = ManualClock(NOON + HOUR)
    clock = StoreClock(machine)
    await clock.look(TimeOfStore())
    assert clock.now() == NOON
    machine.advance(10 * SECOND)
    assert clock.now() == NOON + 10 * SECOND
    assert clock.monotonic() == machine.monotonic()


@pytest.mark.parametrize("off", [timedelta(0), 5 * SECOND, -5 * SECOND])
async def test_a_clock_that_is_off_by_up_to_five_seconds_is_well(off: timedelta) -> None:
    clock = StoreClock(ManualClock(NOON + off))
    await clock.look(TimeOfStore())
    assert clock.trouble is None


@pytest.mark.parametrize(("off", "word"), [(HOUR, "ahead of"), (-HOUR, "behind")])
async def test_a_clock_that_is_further_off_says_how_far_and_what_to_do(off: timedelta, word: str) -> None:
    clock = StoreClock(ManualClock(NOON + off))
    await clock.look(TimeOfStore())
    assert clock.trouble is not None
    assert f"3600 s {word} the store's" in clock.trouble
    assert "time synchronisation" in clock.trouble


async def test_a_jump_is_seen_at_once_and_changes_no_time() -> None:
    machine = WrongClock()
    clock = StoreClock(machine)
    store = TimeOfStore()
    store.time = machine.now()
    await clock.look(store)
    machine.off = HOUR
    assert clock.trouble is not None
    assert abs(clock.now() - datetime.now(UTC)) < 2 * SECOND


async def test_without_an_answer_the_time_goes_on_from_the_look_before() -> None:
    machine = ManualClock(NOON)
    clock, store = StoreClock(machine), TimeOfStore()
    await clock.look(store)
    machine.advance(SECOND)
    store.reachable = False
    with pytest.raises(StoreError):
        await clock.look(store)
    assert clock.now() == NOON + SECOND


async def test_an_answer_that_took_long_does_not_move_what_was_known_better() -> None:
    machine = ManualClock(NOON)
    clock, store = StoreClock(machine), TimeOfStore()
    await clock.look(store)
    store.waits.append(lambda: machine.advance(8 * SECOND))
    await clock.look(store)
    assert clock.now() == NOON + 8 * SECOND


async def test_a_machine_that_slept_is_put_right_by_the_next_look() -> None:
    machine = ManualClock(NOON)
    clock, store = StoreClock(machine), TimeOfStore()
    await clock.look(store)
    store.time += HOUR  # the monotonic clock stood still
    store.waits.append(lambda: machine.advance(SECOND))
    await clock.look(store)
    assert NOON + HOUR <= clock.now() <= NOON + HOUR + SECOND


class Job(Document, collection="jobs"):
    heard_at: datetime
    woken_at: datetime | None = None


def waking() -> Service:
    """A service with a document that is due at once."""
    service = Service("jobs", emits=[])

    @service.on(UpdatePublished)
    async def hear(event: UpdatePublished, ctx: Context) -> None:
        if await ctx.load(Job, event.update_id) is None:
            ctx.create(Job(id=event.update_id, heard_at=ctx.now, wake_at=ctx.now))

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        job.woken_at = ctx.now

    return service


@pytest.mark.parametrize("off", [HOUR, -HOUR])
async def test_a_replica_whose_clock_is_off_starts_nothing_until_it_is_right(
    tmp_path: Path, off: timedelta
) -> None:
    clock = WrongClock(off)
    transport, database = EmbeddedTransport(tmp_path / "log.db"), SqliteDatabase(tmp_path / "store.db")
    runtime = Runtime(
        waking(), transport=transport, store=SqliteStore(database, "jobs"), clock=clock, by_store_time=True
    )
    await transport.start()
    await runtime.start()
    try:
        await transport.publish([encode(update(), Envelope("e", "test", UpdatePublished.TYPE, "", NOON))])
        async with asyncio.timeout(20):
            while (job := await runtime.handle.read(Job, "a")) is None:
                await runtime.handle.changed(Job, "a", timeout=0.2)
            assert abs(job.heard_at - datetime.now(UTC)) < 5 * SECOND
            readiness = runtime.readiness()
            assert not readiness.ready
            assert any("the store's" in reason for reason in readiness.reasons)
            await runtime.handle.changed(Job, "a", timeout=1.5)
            assert (await runtime.handle.read(Job, "a")) == job

            clock.off = timedelta(0)
            while (job := await runtime.handle.read(Job, "a")) is None or job.woken_at is None:
                await runtime.handle.changed(Job, "a", timeout=0.2)
        assert runtime.readiness().ready
    finally:
        await runtime.stop()
        await transport.stop()
        await database.close()
