"""(a) Events through one kit service on the embedded log, with the SQLite store, against a bare loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

from tests.bench.kit_service import ANSWER, TOPICS, make_service, records
from tests.bench.transports import Place, place

from patchline_kit.clock import SystemClock
from patchline_kit.runtime import Runtime
from patchline_kit.store.sqlite import SqliteDatabase, SqliteStore
from patchline_kit.transport.port import Received, Transport
from patchline_schemas import WireRecord
from patchline_schemas.updates import UpdateApproved, UpdateRejected

EVENTS = 10_000
Stop = Callable[[], Awaitable[None]]


class Counter:
    """Counts answers at the far end."""

    def __init__(self, expected: int) -> None:
        self.left = expected
        self.done = asyncio.Event()

    async def __call__(self, records: Sequence[Received]) -> None:
        self.left -= len(records)
        if self.left <= 0:
            self.done.set()


def report() -> None:
    """Print the ratio."""
    rates = []
    for side in (_kit, _bare):
        with place("embedded", TOPICS) as here:
            rates.append(asyncio.run(_rate(here, side)))
    kit, bare = rates
    print(
        f"(a) one kit service with SQLite on the embedded log: {kit / bare:.2f} of a bare loop, no store "
        f"({kit:,.0f} against {bare:,.0f} events a second)"
    )


async def _rate(here: Place, side: Callable[[Place, Transport], Awaitable[Stop]]) -> float:
    transport = here.transport()
    await transport.start()
    await transport.publish(records(EVENTS))
    counter = Counter(EVENTS)
    await transport.subscribe("far-end", [UpdateApproved.TOPIC], counter)
    loop = asyncio.get_running_loop()
    start = loop.time()
    stop = await side(here, transport)
    await counter.done.wait()
    seconds = loop.time() - start
    await stop()
    await transport.stop()
    return EVENTS / seconds


async def _kit(here: Place, transport: Transport) -> Stop:
    database = SqliteDatabase(here.folder / "store.db")
    service = make_service("bench")
    runtime = Runtime(
        service, transport=transport, store=SqliteStore(database, service.name), clock=SystemClock()
    )
    await runtime.start()

    async def stop() -> None:
        await runtime.stop()
        await database.close()

    return stop


async def _bare(here: Place, transport: Transport) -> Stop:
    async def loop(received: Sequence[Received]) -> None:
        out = []
        for record in received:
            body = json.loads(record.value)
            value = ANSWER.model_copy(update={"update_id": body["update_id"]}).model_dump_json().encode()
            out.append(WireRecord(UpdateApproved.TOPIC, record.key or b"", record.headers, value))
        await transport.publish(out)

    subscription = await transport.subscribe("bare", [UpdateRejected.TOPIC], loop)
    return subscription.stop
