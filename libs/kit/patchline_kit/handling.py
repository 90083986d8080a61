"""Running one job to an end: done, parked, or given up. Used by the batch, the relay and the parking lot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import SpanKind

from patchline_kit import tracing
from patchline_kit.core import Core, collection_of
from patchline_kit.dead_letters import DeadLetters
from patchline_kit.outcomes import Early, Outcome, RetryLater, Stale
from patchline_kit.records import Job, dump_source
from patchline_kit.retry import GiveUp, verdict
from patchline_kit.store.port import AlreadyHandled, Parked, StoreError, VersionConflict
from patchline_kit.unit import Trigger, Unit

CONFLICTS_AT_MOST = 50
"""So many conflicts in a row mean a handler that cannot win, such as one that creates what exists already."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a call ended."""

    unit: Unit
    error: Exception | None
    """None: done, or recorded without effect."""


class Handling:
    """Calls handlers, and decides by their outcome."""

    def __init__(self, core: Core, dead_letters: DeadLetters) -> None:
        self._core = core
        self._dead_letters = dead_letters
        self.on_parked: Callable[[], None] = lambda: None
        self.on_repeated: Callable[[tuple[str, str]], None] = lambda _document: None
        """Told of a document whose inbox knew the record: the crash may have left its outbox full."""

    async def attempt(
        self,
        handler: Callable[[Any, Unit], Awaitable[None]],
        argument: Any,
        trigger: Trigger,
        *,
        name: str,
    ) -> Attempt:
        """Run a handler once as a unit of work, again on the fresh document after a conflict.

        Raises :class:`StoreError`: that is no fault of the handler or the record.
        """
        core = self._core
        started = core.clock.monotonic()
        with tracing.step(
            core.tracer,
            f"{core.service.name} {name}",
            about=argument,
            parent=trigger.traceparent,
            parent_at=trigger.caused_at,
            now=core.clock.now(),
            kind=SpanKind.CONSUMER if trigger.kind == "event" else SpanKind.INTERNAL,
        ) as span:
            for _ in range(CONFLICTS_AT_MOST):
                unit = Unit(core, trigger)
                try:
                    await _run(handler, argument, unit)
                except VersionConflict:
                    await asyncio.sleep(0)
                    continue
                except AlreadyHandled:
                    self._repeated(unit)
                except StoreError as error:
                    tracing.failed(span, error)
                    raise
                except Outcome as outcome:
                    span.set_attribute("outcome", f"{type(outcome).__name__}: {outcome}")
                    return Attempt(unit, outcome)
                except Exception as error:
                    tracing.failed(span, error)
                    core.measures.failed(name)
                    core.unexpected.append((name, error))
                    core.log.exception("%s failed", name)
                    return Attempt(unit, error)
                core.measures.handled(name, core.clock.monotonic() - started)
                return Attempt(unit, None)
            why = f"{name} met {CONFLICTS_AT_MOST} conflicts in a row; does it create what exists already?"
            return Attempt(unit, RetryLater(why))

    async def handle(self, job: Job, parked: Parked | None = None) -> bool:
        """Run ``job``; False when it is parked for another attempt, True when it is over.

        ``parked`` is what is known of earlier attempts. Raises :class:`StoreError`, and
        :class:`patchline_kit.dead_letters.TooManyDeadLetters`.
        """
        attempt = await self.attempt(job.handler, job.argument, job.trigger, name=job.name)
        if attempt.error is None:
            self._dead_letters.succeeded()
            return True
        now = self._core.clock.now()
        attempts = (parked.attempts if parked else 0) + 1
        first_failed_at = parked.first_failed_at if parked else now
        decision = verdict(
            self._core.service.retry,
            attempt.error,
            attempts=attempts,
            first_failed_at=first_failed_at,
            now=now,
            seed=f"{job.lane}/{job.sequence}",
        )
        if isinstance(decision, GiveUp):
            envelope = job.trigger.envelope
            await self._dead_letters.give_up(
                job.source,
                what=job.name,
                reason=decision.reason,
                error=attempt.error,
                attempts=attempts,
                event_id=envelope.id if envelope else None,
                first_failed_at=first_failed_at,
            )
            return True
        self._core.measures.retried(job.name)
        self._core.log.info("%s is parked until %s: %s", job.name, decision.at.isoformat(), attempt.error)
        waits_for = _waits_for(attempt.error)
        await self._core.store.park(
            Parked(
                lane=job.lane,
                sequence=job.sequence,
                record=dump_source(job.source),
                not_before=decision.at,
                attempts=attempts,
                reason=str(attempt.error) or type(attempt.error).__name__,
                first_failed_at=first_failed_at,
                waits_for=None if waits_for is None else "/".join(waits_for),
            )
        )
        if waits_for is not None:
            await self._unless_saved_meanwhile(attempt.unit, waits_for)
        self.on_parked()
        return False

    async def park_behind(self, job: Job) -> None:
        """Set ``job`` aside behind the earlier ones of its lane."""
        await self._core.store.park(
            Parked(
                lane=job.lane,
                sequence=job.sequence,
                record=dump_source(job.source),
                not_before=None,
                attempts=0,
                reason="waits behind an earlier record of its key",
                first_failed_at=self._core.clock.now(),
                waits_for=None,
            )
        )
        self.on_parked()

    async def _unless_saved_meanwhile(self, unit: Unit, waits_for: tuple[str, str]) -> None:
        """A save between the handler's look and the parking would wake nobody: look again."""
        key, version = unit.seen
        if key != waits_for:
            return
        stored = await self._core.store.load(*waits_for)
        if stored is not None and stored.version != version:
            await self._core.store.parked_waiting_for("/".join(waits_for))

    def _repeated(self, unit: Unit) -> None:
        key, _version = unit.seen
        if key is not None:
            self.on_repeated(key)


async def _run(handler: Callable[[Any, Unit], Awaitable[None]], argument: Any, unit: Unit) -> None:
    async with unit:
        try:
            await handler(argument, unit)
        except Stale as stale:
            unit.log.debug("stale: %s", stale)
            await unit.note()
        else:
            await unit.commit()


def _waits_for(error: Exception) -> tuple[str, str] | None:
    if isinstance(error, Early) and error.waits_for is not None:
        kind, id_ = error.waits_for
        return collection_of(kind), id_
    return None
