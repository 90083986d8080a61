"""(b) The time of one event through ten idle services, against ten bare loops on the same transport."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median

from tests.bench.transports import Place, kinds, place

from patchline_kit import Context, Document, Service
from patchline_kit.clock import SystemClock
from patchline_kit.runtime import Runtime
from patchline_kit.store.sqlite import SqliteDatabase, SqliteStore
from patchline_kit.transport.port import Received, Transport
from patchline_schemas import Envelope, Event, WireRecord, encode

HOPS = 10
EVENTS = 20


class Passed(Document, collection="passed"):
    """What a service of the chain keeps."""


def _hop_class(number: int) -> type[Event]:
    class Hop(Event, topic=f"bench.hop-{number}"):
        update_id: str

        def key(self) -> str:
            return self.update_id

    return Hop


CHAIN = [_hop_class(number) for number in range(HOPS + 1)]
TOPICS = [kind.TOPIC for kind in CHAIN]


def _service(number: int) -> Service:
    service = Service(f"hop-{number}", emits=[CHAIN[number + 1]])

    @service.on(CHAIN[number])
    async def on(event: Event, ctx: Context) -> None:
        if await ctx.load(Passed, event.key()) is None:
            ctx.create(Passed(id=event.key()))
        ctx.emit(CHAIN[number + 1](update_id=event.key()))  # type: ignore[call-arg]

    return service


class FarEnd:
    """Knows when an event has arrived."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()

    async def __call__(self, records: Sequence[Received]) -> None:
        self.arrived.set()


def report() -> None:
    """Print the ratio on each transport."""
    for kind in kinds():
        kit, bare = measure(kind)
        print(
            f"(b) one event through {HOPS} idle services on {kind}: {kit / bare:.1f} times bare loops "
            f"({kit * 1000:.0f} ms against {bare * 1000:.0f} ms)"
        )


def measure(kind: str) -> tuple[float, float]:
    """Median seconds through ten kit services, and through ten bare loops."""
    times = []
    for side in (_kit, _bare):
        with place(kind, TOPICS) as here:
            times.append(asyncio.run(_seconds(here, side)))
    return times[0], times[1]


async def _seconds(here: Place, side: object) -> float:
    transport = here.transport()
    await transport.start()
    stop = await side(here, transport)  # type: ignore[operator]
    far_end = FarEnd()
    await transport.subscribe("far-end", [TOPICS[-1]], far_end)
    times = []
    for _ in range(EVENTS):
        far_end.arrived.clear()
        start = time.perf_counter()
        await transport.publish([_first()])
        await far_end.arrived.wait()
        times.append(time.perf_counter() - start)
    await stop()
    await transport.stop()
    return median(times[2:])


async def _kit(here: Place, transport: Transport) -> object:
    database = SqliteDatabase(here.folder / "store.db")
    runtimes = []
    for service in map(_service, range(HOPS)):
        store = SqliteStore(database, service.name)
        runtimes.append(Runtime(service, transport=transport, store=store, clock=SystemClock()))
    for runtime in runtimes:
        await runtime.start()

    async def stop() -> None:
        for runtime in runtimes:
            await runtime.stop()
        await database.close()

    return stop


async def _bare(here: Place, transport: Transport) -> object:
    async def passing(number: int) -> None:
        async def loop(records: Sequence[Received]) -> None:
            topic = TOPICS[number + 1]
            await transport.publish([WireRecord(topic, r.key or b"", r.headers, r.value) for r in records])

        await transport.subscribe(f"bare-{number}", [TOPICS[number]], loop)

    for number in range(HOPS):
        await passing(number)

    async def nothing() -> None:
        pass

    return nothing


def _first() -> WireRecord:
    event = CHAIN[0](update_id=uuid.uuid4().hex)  # type: ignore[call-arg]
    envelope = Envelope(
        id=str(uuid.uuid4()), source="bench", type=event.TYPE, subject=event.key(), time=datetime.now(UTC)
    )
    return encode(event, envelope)
