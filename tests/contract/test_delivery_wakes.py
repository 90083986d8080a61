"""Documents that wake: one worker at a time, never lost, whatever happens to the worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from delivery import Log, advisory, update
from pydantic import Field

from patchline_kit import Context, Document, LeaseLost, ManualClock, RetryLater, RetryPolicy, Service
from patchline_kit.runtime import Runtime
from patchline_kit.store.sqlite import SqliteDatabase, SqliteStore
from patchline_kit.testing import Recording, ServiceHarness
from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_schemas import Envelope, encode
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished

SECOND = timedelta(seconds=1)


class Job(Document, collection="jobs"):
    notes: list[str] = Field(default_factory=list)


def jobs(**options: object) -> Service:
    """A service that makes a document due at once for each event."""
    service = Service("jobs", emits=[AdvisoryPublished], **options)  # type: ignore[arg-type]

    @service.on(UpdatePublished)
    async def note(event: UpdatePublished, ctx: Context) -> None:
        job = await ctx.load(Job, event.update_id) or ctx.create(Job(id=event.update_id))
        job.notes.append(event.version)
        job.wake_at = ctx.now

    return service


async def notes(h: ServiceHarness, id: str = "a") -> list[str]:
    job = await h.document(Job, id)
    return job.notes if job else []


async def test_a_document_is_woken_at_its_time_and_its_event_names_the_first_cause(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = Service("jobs", emits=[AdvisoryPublished])

    @service.on(UpdatePublished)
    async def later(event: UpdatePublished, ctx: Context) -> None:
        ctx.create(Job(id="a", wake_at=ctx.now + 3600 * SECOND))

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        assert job.wake_at is None
        job.notes.append(ctx.now.isoformat())
        ctx.emit(advisory())

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        began = clock.now()
        event_id = await h.publish(update())
        await h.advance(3599 * SECOND)
        assert await notes(h) == []
        await h.advance(7200 * SECOND)
        assert await notes(h) == [(began + 3600 * SECOND).isoformat()]
        assert h.envelopes(AdvisoryPublished)[0].causationid == event_id


async def test_a_document_that_sets_its_time_again_is_woken_again(tmp_path: Path, clock: ManualClock) -> None:
    service = jobs()

    @service.wakes(Job)
    async def tick(job: Job, ctx: Context) -> None:
        job.notes.append("tick")
        job.wake_at = ctx.now + 60 * SECOND
        ctx.emit(advisory())

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update())
        await h.advance(600 * SECOND)
        assert await notes(h) == ["1"] + ["tick"] * 11
        assert len(h.published(AdvisoryPublished)) == 11


async def test_a_wake_that_fails_is_tried_again_for_ever_and_reported(
    tmp_path: Path, clock: ManualClock
) -> None:
    service = jobs(retry=RetryPolicy(attempts=3, longest=timedelta(seconds=10)))
    broken, calls = True, 0

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        nonlocal calls
        calls += 1
        if broken:
            raise ValueError("the driver is broken")
        job.notes.append("done")

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, tolerate_errors=True) as h:
        await h.publish(update())
        await h.advance(600 * SECOND)
        assert calls > 10
        assert h.runtime.readiness().stuck == ("jobs/a: ValueError: the driver is broken",)
        broken = False
        await h.advance(20 * SECOND)
        assert await notes(h) == ["1", "done"]
        assert h.runtime.readiness().stuck == ()


async def test_a_wake_can_ask_to_be_tried_at_a_given_time(tmp_path: Path, clock: ManualClock) -> None:
    service = jobs()
    calls = []

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        calls.append(ctx.now)
        if len(calls) == 1:
            raise RetryLater("unreachable", after=25 * SECOND)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update())
        await h.advance(60 * SECOND)
        assert [call - calls[0] for call in calls] == [0 * SECOND, 25 * SECOND]


async def test_an_event_that_changes_the_document_meanwhile_makes_the_handler_run_again(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = jobs()
    working, go_on = asyncio.Event(), asyncio.Event()
    runs = []

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        runs.append(list(job.notes))
        working.set()
        await go_on.wait()
        job.notes.append("done")
        ctx.emit(advisory(str(len(runs))))

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update("1"))
        await asyncio.wait_for(working.wait(), 10)
        await h.publish(update("2"))
        while await notes(h) != ["1", "2"]:
            await h.handle("jobs").changed(Job, "a", timeout=1)
        go_on.set()
        await h.settle()
        assert runs == [["1"], ["1", "2"]]
        assert await notes(h) == ["1", "2", "done"]
        assert [event.version for event in h.published(AdvisoryPublished)] == ["2"]


async def test_a_wake_set_for_later_while_the_handler_runs_is_kept(
    tmp_path: Path, clock: ManualClock
) -> None:
    service = Service("jobs", emits=[])
    working, go_on = asyncio.Event(), asyncio.Event()

    @service.on(UpdatePublished)
    async def later(event: UpdatePublished, ctx: Context) -> None:
        job = await ctx.load(Job, "a") or ctx.create(Job(id="a", wake_at=ctx.now))
        if job.version:
            assert job.wake_at is None
            job.wake_at = ctx.now + 60 * SECOND

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        job.notes.append("woken")
        working.set()
        await go_on.wait()

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update())
        await asyncio.wait_for(working.wait(), 10)
        await h.publish(update())
        while (job := await h.document(Job, "a")) is None or job.wake_at is None:
            await h.handle("jobs").changed(Job, "a", timeout=1)
        go_on.set()
        await h.settle()
        assert await notes(h) == ["woken"]
        await h.advance(61 * SECOND)
        assert await notes(h) == ["woken", "woken"]


async def test_a_checkpoint_stores_what_is_done_and_shows_changes_early(
    tmp_path: Path, clock: ManualClock
) -> None:
    service = jobs()
    stored, go_on = asyncio.Event(), asyncio.Event()
    runs = 0

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        nonlocal runs
        runs += 1
        if "half" not in job.notes:
            job.notes.append("half")
            ctx.emit(advisory("half"))
            await ctx.checkpoint()
        stored.set()
        await go_on.wait()
        await ctx.checkpoint()
        job.notes.append("done")
        ctx.emit(advisory("done"))

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update("1"))
        await asyncio.wait_for(stored.wait(), 10)
        assert await notes(h) == ["1", "half"]
        await h.publish(update("2"))
        while await notes(h) != ["1", "half", "2"]:
            await h.handle("jobs").changed(Job, "a", timeout=1)
        go_on.set()
        await h.settle()
        assert runs == 2
        assert await notes(h) == ["1", "half", "2", "done"]
        assert [event.version for event in h.published(AdvisoryPublished)] == ["half", "done"]


async def test_a_crash_in_the_middle_of_the_work_wakes_the_document_again(
    tmp_path: Path, clock: ManualClock, log: Log
) -> None:
    service = jobs()
    working = asyncio.Event()
    crash = True

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        if crash:
            job.notes.append("half")
            await ctx.checkpoint()
            working.set()
            await asyncio.Event().wait()
        job.notes.append("done")

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock, transport=log) as h:
        await h.publish(update())
        await asyncio.wait_for(working.wait(), 10)
        crash = False
        await h.restart()
        await h.settle()
        assert await notes(h) == ["1", "half", "done"]


async def test_the_most_urgent_documents_are_woken_first_and_no_more_than_allowed(
    tmp_path: Path, clock: ManualClock
) -> None:
    service = Service("jobs", emits=[], wake_concurrency=1)
    order = []

    @service.on(UpdatePublished)
    async def later(event: UpdatePublished, ctx: Context) -> None:
        ctx.create(Job(id=event.update_id, wake_at=ctx.now + 10 * SECOND, wake_priority=int(event.version)))

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        order.append(job.id)

    async with ServiceHarness(service, tmp_path=tmp_path, clock=clock) as h:
        for id, priority in (("a", 0), ("b", 5), ("c", 1)):
            await h.publish(update(str(priority), component=f"pkg:pypi/{id}"))
        await h.advance(11 * SECOND)
        assert order == ["b", "c", "a"]


# several replicas


class Replicas:
    """Two processes' worth of runtimes on the same files, told apart by name."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        self._folder = folder
        self.clock = clock
        self.transport = Recording()
        self.runtimes: list[Runtime] = []
        self.databases: list[SqliteDatabase] = []

    async def add(self, service: Service) -> Runtime:
        database = SqliteDatabase(self._folder / "store.db")
        self.databases.append(database)
        runtime = Runtime(
            service, transport=self.transport, store=SqliteStore(database, service.name), clock=self.clock
        )
        await runtime.start()
        self.runtimes.append(runtime)
        return runtime

    async def publish(self, event: UpdatePublished) -> None:
        envelope = Envelope("e", "test", event.TYPE, event.update_id, self.clock.now())
        await self.transport.publish([encode(event, envelope)])

    async def pass_time(self, seconds: int) -> None:
        """Move the clock second by second, and let everybody's writes come through each time."""
        for _ in range(seconds):
            self.clock.advance(SECOND)
            for _ in range(5):
                for database in self.databases:
                    await database.write(lambda _connection: None)


@pytest.fixture
async def replicas(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Replicas]:
    made = Replicas(tmp_path, clock)
    made.transport.inner = EmbeddedTransport(tmp_path / "log.db", clock=clock)
    await made.transport.start()
    yield made
    for runtime in made.runtimes:
        await runtime.stop(grace=0.1)
    await made.transport.stop()
    for database in made.databases:
        await database.close()


class Story(list[str]):
    """What the handlers did, for a test that waits until they did it."""

    def __init__(self) -> None:
        super().__init__()
        self._told = asyncio.Event()

    def tell(self, what: str) -> None:
        self.append(what)
        self._told.set()

    async def until(self, what: str) -> None:
        async with asyncio.timeout(10):
            while not any(what in line for line in self):
                self._told.clear()
                await self._told.wait()


def worker(name: str, story: Story, hang: asyncio.Event | None = None) -> Service:
    """A replica of the service ``jobs`` that writes down what its handler meets."""
    service = jobs(lease=timedelta(seconds=9))

    @service.wakes(Job)
    async def work(job: Job, ctx: Context) -> None:
        story.tell(f"{name} works")
        try:
            if hang is not None:
                await hang.wait()
                await ctx.checkpoint()
        except LeaseLost:
            story.tell(f"{name} has lost its lease")
            raise
        except asyncio.CancelledError:
            story.tell(f"{name} is cancelled")
            raise
        job.notes.append(name)
        ctx.emit(advisory(name))

    return service


async def stored_notes(runtime: Runtime) -> list[str]:
    job = await runtime.handle.read(Job, "a")
    return job.notes if job else []


async def test_two_workers_never_work_on_one_document(replicas: Replicas) -> None:
    story = Story()
    go_on = asyncio.Event()
    one = await replicas.add(worker("one", story, go_on))
    await replicas.add(worker("two", story, go_on))
    await replicas.publish(update())
    await story.until("works")
    await replicas.pass_time(60)
    assert len(story) == 1
    go_on.set()
    await replicas.pass_time(2)
    assert len(story) == 1
    assert len(await stored_notes(one)) == 2


async def test_a_worker_that_is_gone_is_taken_over_once_its_beat_has_stood_still(replicas: Replicas) -> None:
    story = Story()
    one = await replicas.add(worker("one", story, asyncio.Event()))
    await replicas.publish(update())
    await story.until("one works")
    two = await replicas.add(worker("two", story))
    await one.kill()
    await replicas.pass_time(8)
    assert "two works" not in story
    await replicas.pass_time(8)
    await story.until("two works")
    await replicas.pass_time(1)
    assert await stored_notes(two) == ["1", "two"]


async def test_a_worker_that_lost_its_lease_is_told_and_stores_nothing(replicas: Replicas) -> None:
    story = Story()
    go_on = asyncio.Event()
    one = await replicas.add(worker("one", story, go_on))
    await replicas.publish(update())
    await story.until("one works")
    (beat,) = await one.core.store.claims()
    assert await one.core.store.take_over(beat)
    (claim,) = await one.core.store.claim_due(["jobs"], replicas.clock.now(), "somebody else", 1)
    assert claim.fence > beat.fence
    go_on.set()
    await story.until("one has lost its lease")
    await replicas.pass_time(1)
    assert await stored_notes(one) == ["1"]


async def test_a_heart_that_finds_its_lease_lost_cancels_the_work(replicas: Replicas) -> None:
    story = Story()
    one = await replicas.add(worker("one", story, asyncio.Event()))
    await replicas.publish(update())
    await story.until("one works")
    (beat,) = await one.core.store.claims()
    await one.core.store.take_over(beat)
    await one.core.store.claim_due(["jobs"], replicas.clock.now(), "somebody else", 1)
    await replicas.pass_time(4)
    await story.until("one is cancelled")
    assert await stored_notes(one) == ["1"]


async def test_a_worker_that_stops_leaves_its_document_to_others_at_once(replicas: Replicas) -> None:
    story = Story()
    one = await replicas.add(worker("one", story, asyncio.Event()))
    await replicas.publish(update())
    await story.until("one works")
    two = await replicas.add(worker("two", story))
    await one.stop(grace=0.05)
    assert "one is cancelled" in story
    await replicas.pass_time(2)
    await story.until("two works")
    await replicas.pass_time(1)
    assert await stored_notes(two) == ["1", "two"]


async def test_a_sole_owner_does_not_wait_for_the_leases_of_its_predecessor(
    tmp_path: Path, clock: ManualClock
) -> None:
    story = Story()
    hang = asyncio.Event()
    async with ServiceHarness(worker("one", story, hang), tmp_path=tmp_path, clock=clock) as h:
        await h.publish(update())
        await story.until("one works")
        hang.set()
        await h.restart()
        await h.settle()
        assert (await notes(h))[0] == "1"
        assert "one" in await notes(h)


async def test_a_replica_that_stands_by_knows_how_far_the_service_has_heard(replicas: Replicas) -> None:
    story = Story()
    began = replicas.clock.now()
    one = await replicas.add(worker("one", story))
    two = await replicas.add(worker("two", story))
    assert two.readiness().assigned is False
    await replicas.pass_time(60)
    for runtime in (one, two):
        assert runtime.core.uptime.passed(began, 30 * SECOND, replicas.clock.now())
        assert not runtime.core.uptime.passed(began, 61 * SECOND, replicas.clock.now())
