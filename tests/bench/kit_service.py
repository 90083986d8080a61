"""What the benchmarks of one service have in common: the service, its events, and what a run has cost."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from patchline_kit import Context, Document, Service
from patchline_schemas import Envelope, WireRecord, encode
from patchline_schemas.examples import examples
from patchline_schemas.updates import UpdateApproved, UpdateRejected

BODY_BYTES = 1_000
TOPICS = [UpdateRejected.TOPIC, UpdateApproved.TOPIC]
ANSWER = examples()[UpdateApproved].usual
ANSWERED = ANSWER.model_dump(exclude={"update_id"})


class Seen(Document, collection="seen"):
    """What the service under test keeps of each event."""

    reason: str


def make_service(name: str) -> Service:
    """A service that consumes, keeps, emits and publishes."""
    service = Service(name, emits=[UpdateApproved])

    @service.on(UpdateRejected)
    async def answer(event: UpdateRejected, ctx: Context) -> None:
        if await ctx.load(Seen, event.update_id) is None:
            ctx.create(Seen(id=event.update_id, reason=event.reason))
        ctx.emit(UpdateApproved(update_id=event.update_id, **ANSWERED))

    return service


def records(count: int) -> list[WireRecord]:
    """``count`` events of 1 KB, each of an update of its own, as the kit writes them."""
    usual, _ = examples()[UpdateRejected]
    now = datetime.now(UTC)
    made = []
    for number in range(count):
        event = usual.model_copy(update={"update_id": f"update-{number}", "reason": "x" * BODY_BYTES})
        envelope = Envelope(
            id=str(uuid.uuid4()), source="bench", type=event.TYPE, subject=event.subject(), time=now
        )
        made.append(encode(event, envelope))
    return made


@dataclass(frozen=True)
class Cost:
    """What a run cost."""

    events: int
    seconds: float
    cpu_seconds: float
    """Of the process that consumed and published, not of the broker."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_micros(self) -> float:
        """Microseconds of CPU an event."""
        return self.cpu_seconds / self.events * 1e6


class Stopwatch:
    """Measures from its making on."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def cost(self, events: int) -> Cost:
        """What ``events`` have cost."""
        return Cost(events, time.perf_counter() - self._wall, time.process_time() - self._cpu)
