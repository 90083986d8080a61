"""What a service does when it starts, while it runs, and when it stops; and its deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from delivery import advisory, update
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from patchline_kit import Context, Document, ManualClock, Message, Service, ServiceHandle
from patchline_kit.testing import ServiceHarness, SystemHarness
from patchline_kit.transport.port import TransportError
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


class Timer(Document, collection="timers"):
    ticks: int = 0
    begun_at: datetime | None = None
    passed_at: datetime | None = None


class Poke(Message):
    pass


class Settings:
    every = 5 * MINUTE


class Mirror:
    def __init__(self) -> None:
        self.closed = False


async def test_what_happens_at_the_start_is_a_unit_of_work_and_happens_each_time(
    tmp_path: Path, clock: ManualClock
) -> None:
    service = Service("timer", emits=[AdvisoryPublished])

    @service.at_start
    async def begin(ctx: Context) -> None:
        timer = await ctx.load(Timer, "t") or ctx.create(Timer(id="t"))
        timer.ticks += 1
        ctx.emit(advisory(str(timer.ticks)))

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.settle()
        await h.restart()
        await h.settle()
        assert [event.version for event in h.published(AdvisoryPublished)] == ["1", "2"]


async def test_a_start_that_fails_is_told_to_whoever_starts(tmp_path: Path, clock: ManualClock) -> None:
    service = Service("timer", emits=[])

    @service.at_start
    async def begin(ctx: Context) -> None:
        raise ValueError("the fleet file is broken")

    h = ServiceHarness(service, tmp_path=tmp_path, clock=clock)
    with pytest.raises(ValueError, match="the fleet file is broken"):
        await h.start()
    await h.stop()


async def test_resources_are_made_with_the_settings_and_closed_at_stop_unless_given(
    tmp_path: Path, clock: ManualClock
) -> None:
    service = Service("timer", emits=[])
    made, met = [], []

    @service.resource(Mirror)
    async def mirror(settings: Settings) -> AsyncIterator[Mirror]:
        assert settings.every == 5 * MINUTE
        made.append(Mirror())
        yield made[-1]
        made[-1].closed = True

    @service.on(UpdatePublished)
    async def look(event: UpdatePublished, ctx: Context) -> None:
        assert ctx.setting(Settings).every == 5 * MINUTE
        met.append(ctx.resource(Mirror))

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, settings=Settings()) as h:
        await h.publish(update())
        await h.settle()
    assert met == made
    assert made[0].closed
    own = Mirror()
    async with ServiceHarness(
        service, tmp_path=tmp_path, clock=clock, settings=Settings(), resources={Mirror: own}
    ) as h:
        await h.publish(update())
        await h.settle()
    assert met[1] is own
    assert len(made) == 1


async def test_a_companion_runs_beside_the_handlers_and_sees_changes(
    tmp_path: Path, clock: ManualClock
) -> None:
    service = Service("timer", emits=[])
    seen: asyncio.Queue[int] = asyncio.Queue()

    @service.on(Poke)
    async def poke(message: Poke, ctx: Context) -> None:
        timer = await ctx.load(Timer, message.to) or ctx.create(Timer(id=message.to))
        timer.ticks += 1

    @service.beside
    async def watch(handle: ServiceHandle) -> None:
        while True:
            await handle.changed(Timer, "t", timeout=5)
            timer = await handle.read(Timer, "t")
            await seen.put(timer.ticks if timer else 0)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.settle()
        await h.deliver(Poke(to="t"))
        assert await asyncio.wait_for(seen.get(), 5) == 1


async def test_a_companion_that_fails_makes_the_service_not_ready(tmp_path: Path, clock: ManualClock) -> None:
    service = Service("timer", emits=[])

    @service.beside
    async def serve(handle: ServiceHandle) -> None:
        raise OSError("the port is in use")

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.until(lambda: not h.runtime.readiness().ready)
        assert "the port is in use" in h.runtime.readiness().reasons[0]


# the log out of reach


async def test_events_go_out_once_the_log_can_be_reached_again(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("timer", emits=[AdvisoryPublished])

    @service.on(Poke)
    async def poke(message: Poke, ctx: Context) -> None:
        timer = await ctx.load(Timer, message.to) or ctx.create(Timer(id=message.to))
        timer.ticks += 1
        ctx.emit(advisory(str(timer.ticks)))

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.settle()
        publish, failures = h.transport.publish, 0

        async def unreachable(records: object) -> None:
            nonlocal failures
            failures += 1
            if failures <= 3:
                raise TransportError("the log does not answer")
            await publish(records)  # type: ignore[arg-type]

        monkeypatch.setattr(h.transport, "publish", unreachable)
        for _ in range(3):
            await h.deliver(Poke(to="t"))
        await h.settle()
        assert [event.version for event in h.published(AdvisoryPublished)] == ["1", "2", "3"]
        assert failures > 3


async def test_nothing_is_begun_while_nothing_goes_out(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("timer", emits=[AdvisoryPublished])

    @service.on(Poke)
    async def poke(message: Poke, ctx: Context) -> None:
        ctx.create(Timer(id=message.to, wake_at=ctx.now))

    @service.wakes(Timer)
    async def tick(timer: Timer, ctx: Context) -> None:
        timer.ticks += 1
        ctx.emit(advisory(timer.id))

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.settle()
        publish, reachable = h.transport.publish, asyncio.Event()

        async def unreachable(records: object) -> None:
            if not reachable.is_set():
                raise TransportError("the log's disk is full")
            await publish(records)  # type: ignore[arg-type]

        monkeypatch.setattr(h.transport, "publish", unreachable)
        await h.deliver(Poke(to="first"))
        while (await h.document(Timer, "first")).ticks == 0:  # type: ignore[union-attr]
            await h.handle("timer").changed(Timer, "first", timeout=1)
        while h.runtime.readiness().ready:
            clock.advance(10 * SECOND)
            await h.handle("timer").changed(Timer, "first", timeout=0.05)
        assert h.runtime.readiness().reasons == ("nothing goes out: the log's disk is full",)
        await h.deliver(Poke(to="second"))
        clock.advance(5 * SECOND)
        await h.handle("timer").changed(Timer, "second", timeout=0.5)
        assert (await h.document(Timer, "second")).ticks == 0  # type: ignore[union-attr]

        reachable.set()
        while (await h.document(Timer, "second")).ticks == 0:  # type: ignore[union-attr]
            clock.advance(5 * SECOND)
            await h.handle("timer").changed(Timer, "second", timeout=0.05)
        await h.settle()
        assert [event.version for event in h.published(AdvisoryPublished)] == ["first", "second"]
        assert h.runtime.readiness().ready


async def test_events_that_hang_on_their_way_make_the_service_not_ready(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("timer", emits=[AdvisoryPublished])

    @service.on(Poke)
    async def poke(message: Poke, ctx: Context) -> None:
        ctx.create(Timer(id=message.to))
        ctx.emit(advisory(message.to))

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.settle()
        publish, waits, freed = h.transport.publish, asyncio.Event(), asyncio.Event()

        async def hang(records: object) -> None:
            waits.set()
            await freed.wait()
            await publish(records)  # type: ignore[arg-type]

        monkeypatch.setattr(h.transport, "publish", hang)
        await h.deliver(Poke(to="t"))
        await waits.wait()
        clock.advance(MINUTE)
        assert h.runtime.readiness().ready
        clock.advance(2 * MINUTE)
        (reason,) = h.runtime.readiness().reasons
        assert reason.startswith("nothing goes out: events are on their way for minutes")
        freed.set()
        await h.settle()
        assert [event.version for event in h.published(AdvisoryPublished)] == ["t"]
        while not h.runtime.readiness().ready:
            await h.handle("timer").changed(Timer, "t", timeout=0.05)


# deadlines


def timing() -> Service:
    """A document that notes when the ten minutes after an event have passed."""
    service = Service("timer", emits=[])

    @service.on(UpdatePublished)
    async def begin(event: UpdatePublished, ctx: Context) -> None:
        if await ctx.load(Timer, "t") is None:
            ctx.create(Timer(id="t", begun_at=ctx.now, wake_at=ctx.now + 10 * MINUTE))

    @service.wakes(Timer)
    async def check(timer: Timer, ctx: Context) -> None:
        assert timer.begun_at is not None
        if ctx.deadline_passed(timer.begun_at, 10 * MINUTE):
            timer.passed_at = ctx.now
        else:
            timer.wake_at = ctx.now + MINUTE

    return service


async def passed_after(h: SystemHarness) -> timedelta | None:
    timer = await h.document(Timer, "t")
    return timer.passed_at - timer.begun_at if timer and timer.passed_at and timer.begun_at else None


async def test_a_deadline_passes_at_its_time(tmp_path: Path, clock: ManualClock) -> None:
    async with ServiceHarness(timing(), tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update())
        await h.advance(30 * MINUTE)
        assert await passed_after(h) == 10 * MINUTE


async def test_time_in_which_the_service_was_down_does_not_count(tmp_path: Path, clock: ManualClock) -> None:
    async with ServiceHarness(timing(), tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update())
        await h.advance(4 * MINUTE)
        await h.kill()
        clock.advance(60 * MINUTE)
        await h.start()
        await h.advance(20 * MINUTE)
        passed = await passed_after(h)
        assert passed is not None
        assert 70 * MINUTE <= passed <= 71 * MINUTE


# traces


async def test_a_trace_follows_an_update_through_its_services(tmp_path: Path, clock: ManualClock) -> None:
    first = Service("first", emits=[AdvisoryPublished])
    second = Service("second", emits=[])
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    @first.on(UpdatePublished)
    async def begin(event: UpdatePublished, ctx: Context) -> None:
        ctx.create(Timer(id="t", wake_at=ctx.now + MINUTE))

    @first.wakes(Timer)
    async def answer(timer: Timer, ctx: Context) -> None:
        ctx.emit(advisory())

    @second.on(AdvisoryPublished)
    async def listen(event: AdvisoryPublished, ctx: Context) -> None:
        ctx.create(Timer(id="t"))

    async with SystemHarness([first, second], tmp_path=tmp_path, clock=clock) as h:
        for runtime in h.runtimes.values():
            runtime.core.tracer = provider.get_tracer("test")
        await h.publish(update())
        await h.advance(5 * MINUTE)
        spans = exporter.get_finished_spans()
        assert [span.name for span in spans] == [
            "begin feeds.update-published",
            "answer timer",
            "listen feeds.advisory-published",
        ]
        assert len({span.context.trace_id for span in spans}) == 1
        assert spans[0].attributes == {"update.id": "a"}
