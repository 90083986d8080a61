"""Random crashes of replicas: events of a document stay in order, and every effect happens once."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from delivery import RELEASED, advisory, update
from pydantic import Field

from patchline_kit import Context, Document, Message, Service, SystemClock
from patchline_kit.runtime import Runtime
from patchline_kit.store.opening import StoreOf
from patchline_kit.testing import Recording
from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_schemas import Envelope, decode, encode
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished

OpenStores = Callable[[], AbstractAsyncContextManager[StoreOf]]

DOCUMENTS = 12
STEPS = 8


class Counter(Document, collection="counters"):
    steps: int = 0


class Sum(Document, collection="sums"):
    heard: list[str] = Field(default_factory=list)


class Add(Message):
    what: str


def stepping(ran: list[str]) -> Service:
    """Documents that wake themselves step by step, tell the world, and tell one sum; each run is noted."""
    service = Service("steps", emits=[AdvisoryPublished], lease=timedelta(seconds=0.6))

    @service.on(UpdatePublished)
    async def begin(event: UpdatePublished, ctx: Context) -> None:
        if await ctx.load(Counter, event.update_id) is None:
            ctx.create(Counter(id=event.update_id, wake_at=ctx.now))

    @service.wakes(Counter)
    async def step(counter: Counter, ctx: Context) -> None:
        ran.append(f"{counter.id}/{counter.steps}")
        ctx.emit(advisory(str(counter.steps), component=f"pkg:pypi/{counter.id}"))
        ctx.send(Add(to="all", what=f"{counter.id}/{counter.steps}"))
        counter.steps += 1
        if counter.steps < STEPS:
            counter.wake_at = ctx.now

    @service.on(Add)
    async def add(message: Add, ctx: Context) -> None:
        total = await ctx.load(Sum, message.to) or ctx.create(Sum(id=message.to))
        total.heard.append(message.what)

    return service


class Process:
    """A replica with connections of its own, as another process has them."""

    runtime: Runtime

    def __init__(self, folder: Path, open_stores: OpenStores, ran: list[str] | None = None) -> None:
        self._ran = [] if ran is None else ran
        self.transport = Recording()
        self.transport.inner = EmbeddedTransport(folder / "log.db", grace=0.1)
        self._open_stores = open_stores
        self._exits = AsyncExitStack()

    async def start(self) -> None:
        store_of = await self._exits.enter_async_context(self._open_stores())
        self.runtime = Runtime(
            stepping(self._ran),
            transport=self.transport,
            store=await store_of("steps"),
            clock=SystemClock(),
        )
        await self.transport.start()
        await self.runtime.start()

    async def stop(self) -> None:
        await self.runtime.stop(grace=10)
        await self.transport.stop()
        await self._exits.aclose()

    async def kill(self) -> None:
        self.transport.drop()
        await self.runtime.kill()
        await self.transport.stop()
        await self._exits.aclose()


@pytest.mark.parametrize("seed", range(3))
async def test_replicas_that_crash_at_random_keep_the_order_and_repeat_no_effect(
    tmp_path: Path, open_stores: OpenStores, seed: int
) -> None:
    dice = random.Random(seed)
    processes = [Process(tmp_path, open_stores), Process(tmp_path, open_stores)]
    for process in processes:
        await process.start()
    envelopes = [
        (
            update(component=f"pkg:pypi/{number}"),
            Envelope(f"e{number}", "test", UpdatePublished.TYPE, "", RELEASED),
        )
        for number in range(DOCUMENTS)
    ]
    await processes[0].transport.publish([encode(event, envelope) for event, envelope in envelopes])
    for _ in range(12):
        await processes[1].runtime.handle.changed(Sum, "all", timeout=dice.uniform(0.01, 0.15))
        victim = dice.randrange(2)
        await processes[victim].kill()
        processes[victim] = Process(tmp_path, open_stores)
        await processes[victim].start()

    handle = processes[0].runtime.handle
    async with asyncio.timeout(90):
        while (total := await handle.read(Sum, "all")) is None or len(total.heard) < DOCUMENTS * STEPS:
            await handle.changed(Sum, "all", timeout=0.2)
        while any([await open_ends(process) for process in processes]):
            await handle.changed(Sum, "all", timeout=0.1)

    assert sorted(total.heard) == sorted(f"{n}/{step}" for n in range(DOCUMENTS) for step in range(STEPS))
    told = await told_in_order(processes[0])
    assert told == {str(number): [str(step) for step in range(STEPS)] for number in range(DOCUMENTS)}
    order = defaultdict(list)
    for what in total.heard:
        number, step = what.split("/")
        order[number].append(step)
    assert order == told
    for process in processes:
        await process.kill()


async def test_replicas_that_are_replaced_one_after_another_lose_nothing_and_repeat_nothing(
    tmp_path: Path, open_stores: OpenStores
) -> None:
    """A rolling replacement: the new one starts, the old one is asked to stop, while work goes on."""
    ran: list[str] = []
    processes = [Process(tmp_path, open_stores, ran), Process(tmp_path, open_stores, ran)]
    for process in processes:
        await process.start()
    for number in range(DOCUMENTS):
        envelope = Envelope(f"e{number}", "test", UpdatePublished.TYPE, "", RELEASED)
        await processes[-1].transport.publish([encode(update(component=f"pkg:pypi/{number}"), envelope)])
        if number % 2:
            processes.append(Process(tmp_path, open_stores, ran))
            await processes[-1].start()
            await processes.pop(0).stop()

    handle = processes[0].runtime.handle
    async with asyncio.timeout(90):
        while (total := await handle.read(Sum, "all")) is None or len(total.heard) < DOCUMENTS * STEPS:
            await handle.changed(Sum, "all", timeout=0.2)
        while any([await open_ends(process) for process in processes]):
            await handle.changed(Sum, "all", timeout=0.1)
    once = sorted(f"{n}/{step}" for n in range(DOCUMENTS) for step in range(STEPS))
    assert sorted(total.heard) == once
    assert sorted(ran) == once, "no step ran twice"
    told = await told_in_order(processes[0])
    assert told == {str(number): [str(step) for step in range(STEPS)] for number in range(DOCUMENTS)}
    for process in processes:
        await process.stop()


async def open_ends(process: Process) -> list[str]:
    """What is still to do; the member that stands by never reads its topics."""
    return [what for what in await process.runtime.unsettled() if "not read up to now" not in what]


async def told_in_order(process: Process) -> dict[str, list[str]]:
    """What each document told the world, each event at its first delivery."""
    told: dict[str, list[str]] = defaultdict(list)
    seen = set()
    for record in await process.transport.read(AdvisoryPublished.TOPIC, limit=100_000):
        envelope, event = decode(record.headers, record.value)
        assert isinstance(event, AdvisoryPublished)
        if envelope.id not in seen:
            seen.add(envelope.id)
            told[event.update_id].append(event.version)
    return told
