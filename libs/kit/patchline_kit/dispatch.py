"""A batch of records, or a local message, on its way to the handlers."""

from __future__ import annotations

from collections.abc import Sequence

from patchline_kit.batch import Batch
from patchline_kit.core import Core
from patchline_kit.dead_letters import DeadLetters
from patchline_kit.handling import Handling
from patchline_kit.outcomes import Poison
from patchline_kit.records import Job, job_of_message, jobs_of_record
from patchline_kit.store.port import Pending
from patchline_kit.transport.port import Received
from patchline_kit.turns import Turns
from patchline_schemas import EnvelopeError
from patchline_schemas.envelope import read_envelope


class Dispatch:
    """Brings records and messages to their handlers: one key in order, different keys together."""

    def __init__(self, core: Core, handling: Handling, dead_letters: DeadLetters) -> None:
        self._core = core
        self._handling = handling
        self._dead_letters = dead_letters
        self._receivers = Turns()

    async def batch(self, records: Sequence[Received]) -> None:
        """Handle ``records``; on return each is stored, parked or a dead letter.

        Raises the first error that is no fault of a record (the store's, say); then the same records may
        come again.
        """
        keys: dict[object, list[Job]] = {}
        for record in records:
            try:
                jobs = jobs_of_record(self._core.service, record)
            except Poison as poison:
                await self._give_up(record, poison)
                continue
            for job in jobs:
                keys.setdefault(record.key if record.key is not None else job.lane, []).append(job)
        if not keys:
            return
        lanes = {job.lane for jobs in keys.values() for job in jobs}
        blocked = set(await self._core.store.parked_lanes(list(lanes)))
        await Batch(self._handling, keys.values(), blocked).run()

    async def message(self, pending: Pending) -> None:
        """Handle a local message; on return it is handled, parked or a dead letter.

        Raises as :meth:`batch`.
        """
        try:
            job = job_of_message(self._core.service, pending)
        except Poison as poison:
            await self._give_up(pending, poison)
            return
        async with self._receivers.turn(job.lane):
            if await self._core.store.parked_lanes([job.lane]):
                await self._handling.park_behind(job)
            else:
                await self._handling.handle(job)

    async def _give_up(self, source: Received | Pending, poison: Poison) -> None:
        event_id = _event_id(source)
        await self._dead_letters.give_up(
            source,
            what=source.topic if isinstance(source, Received) else "a local message",
            reason=str(poison),
            error=poison.__cause__ or poison,
            attempts=1,
            event_id=event_id,
            first_failed_at=self._core.clock.now(),
        )


def _event_id(source: Received | Pending) -> str | None:
    if not isinstance(source, Received):
        return None
    try:
        envelope, _body = read_envelope(source.headers, source.value)
    except EnvelopeError:
        return None
    return envelope.id
