"""(a) Events per second through one kit service, against a bare loop on the same transport.

The kit service consumes, saves a document, emits one event and publishes it. The bare loop consumes,
reads the JSON, makes the same record and publishes it: no store, no inbox, no outbox, no trace.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.bench.transports import Place, place

from patchline_kit import Context, Document, Service
from patchline_kit.clock import SystemClock
from patchline_kit.runtime import Runtime
from patchline_kit.store.sqlite import SqliteDatabase, SqliteStore
from patchline_kit.transport.port import Received, Transport
from patchline_schemas import Envelope, WireRecord, encode
from patchline_schemas.examples import examples
from patchline_schemas.updates import UpdateApproved, UpdateRejected

EVENTS = 10_000
BODY_BYTES = 1_000
TOPICS = [UpdateRejected.TOPIC, UpdateApproved.TOPIC]
ANSWER = examples()[UpdateApproved].usual


class Seen(Document, collection="seen"):
    """What the service under test keeps of each event."""

    reason: str


service = Service("bench", emits=[UpdateApproved])


@service.on(UpdateRejected)
async def answer(event: UpdateRejected, ctx: Context) -> None:
    """Consume, save, emit."""
    if await ctx.load(Seen, event.update_id) is None:
        ctx.create(Seen(id=event.update_id, reason=event.reason))
    ctx.emit(ANSWER.model_copy(update={"update_id": event.update_id}))


class Counter:
    """Counts answers at the far end."""

    def __init__(self, expected: int) -> None:
        self.left = expected
        self.done = asyncio.Event()

    async def __call__(self, records: Sequence[Received]) -> None:
        self.left -= len(records)
        if self.left <= 0:
            self.done.set()


def measure(kind: str) -> tuple[float, float]:
    """Events per second of the kit service, and of the bare loop."""
    rates = []
    for side in (_kit, _bare):
        with place(kind, TOPICS) as here:
            rates.append(asyncio.run(_rate(here, side)))
    return rates[0], rates[1]


async def _rate(here: Place, side: object) -> float:
    transport = here.transport()
    await transport.start()
    await transport.publish(_events())
    counter = Counter(EVENTS)
    await transport.subscribe("far-end", [UpdateApproved.TOPIC], counter)
    start = time.perf_counter()
    stop = await side(here, transport)  # type: ignore[operator]
    await counter.done.wait()
    seconds = time.perf_counter() - start
    await stop()
    await transport.stop()
    return EVENTS / seconds


async def _kit(here: Place, transport: Transport) -> object:
    database = SqliteDatabase(here.folder / "store.db")
    runtime = Runtime(
        service, transport=transport, store=SqliteStore(database, service.name), clock=SystemClock()
    )
    await runtime.start()

    async def stop() -> None:
        await runtime.stop()
        await database.close()

    return stop


async def _bare(here: Place, transport: Transport) -> object:
    async def loop(records: Sequence[Received]) -> None:
        out = []
        for record in records:
            body = json.loads(record.value)
            value = ANSWER.model_copy(update={"update_id": body["update_id"]}).model_dump_json().encode()
            out.append(WireRecord(UpdateApproved.TOPIC, record.key or b"", record.headers, value))
        await transport.publish(out)

    subscription = await transport.subscribe("bare", [UpdateRejected.TOPIC], loop)
    return subscription.stop


def _events() -> list[WireRecord]:
    usual, _ = examples()[UpdateRejected]
    now = datetime.now(UTC)
    records = []
    for number in range(EVENTS):
        event = usual.model_copy(update={"update_id": f"update-{number}", "reason": "x" * BODY_BYTES})
        envelope = Envelope(
            id=str(uuid.uuid4()), source="bench", type=event.TYPE, subject=event.subject(), time=now
        )
        records.append(encode(event, envelope))
    return records
