"""Running one job to an end: done, parked, or given up. Used by the batch, the relay and the parking lot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from patchline_kit import tracing
from patchline_kit.commits import Told
from patchline_kit.core import Core, collection_of
from patchline_kit.dead_letters import DeadLetters
from patchline_kit.outcomes import Early, Outcome, Poison, RetryLater, Stale
from patchline_kit.records import Job, dump_source
from patchline_kit.retry import GiveUp, verdict
from patchline_kit.store.port import AlreadyHandled, Parked, Save, Saved, StoreError, VersionConflict
from patchline_kit.unit import Trigger, Unit

CONFLICTS_AT_MOST = 50
"""So many conflicts in a row mean a handler that cannot win, such as one that creates what exists already."""


class Attempt(Struct, frozen=True):
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
        call = _Call(self._core, argument, trigger, name)
        try:
            for _ in range(CONFLICTS_AT_MOST):
                unit = Unit(self._core, trigger, call.span)
                try:
                    save = await call.run(handler, unit)
                    if save is not None:
                        unit.stored(save, await self._core.commit(save))
                except VersionConflict:
                    await asyncio.sleep(0)
                except Exception as error:
                    return self._failed(call, unit, error)
                else:
                    call.done()
                    return Attempt(unit, None)
                finally:
                    unit.close()
            why = f"{name} met {CONFLICTS_AT_MOST} conflicts in a row; does it create what exists already?"
            return Attempt(unit, RetryLater(why))
        finally:
            call.end()

    async def handle(self, job: Job, parked: Parked | None = None) -> bool:
        """Run ``job``; False when it is parked for another attempt, True when it is over.

        ``parked`` is what is known of earlier attempts. Raises :class:`StoreError`, and
        :class:`patchline_kit.dead_letters.TooManyDeadLetters`.
        """
        attempt = await self.attempt(job.handler, job.argument, job.trigger, name=job.name)
        return await self._ended(job, attempt, parked)

    async def begin(self, job: Job, told: Told) -> bool | None:
        """Run ``job`` without waiting until it is stored: None, and ``told`` hears what became of its save.

        If it is anything but :class:`Saved` or the store's own error, ``job`` is to be handled again. Where
        there is nothing to save the answer is that of :meth:`handle`; raises as that does.
        """
        call = _Call(self._core, job.argument, job.trigger, job.name)
        unit = Unit(self._core, job.trigger, call.span)
        save = None
        try:
            save = await call.run(job.handler, unit)
            if save is not None:
                self._core.commits.add(save, _Begun(call, unit, self._dead_letters, told).stored)
                return None
            call.done()
            attempt = Attempt(unit, None)
        except VersionConflict:
            attempt = None
        except Exception as error:
            attempt = self._failed(call, unit, error)
        finally:
            if save is None:
                unit.close()
                call.end()
        return await self.handle(job) if attempt is None else await self._ended(job, attempt)

    def _failed(self, call: _Call, unit: Unit, error: Exception) -> Attempt:
        """What a call ended with that raised ``error``. Raises it again if it is the store's."""
        if isinstance(error, AlreadyHandled):
            key, _version = unit.seen
            if key is not None:
                self.on_repeated(key)
            call.done()
            return Attempt(unit, None)
        if isinstance(error, Outcome):
            call.span.set_attribute("outcome", f"{type(error).__name__}: {error}")
            if isinstance(error, Poison):
                tracing.failed(call.span, error)
            return Attempt(unit, error)
        tracing.failed(call.span, error)
        if isinstance(error, StoreError):
            raise error
        core = self._core
        core.measures.failed(call.name)
        core.unexpected.append((call.name, error))
        with trace.use_span(call.span):
            core.log.error("%s failed", call.name, exc_info=error)
        return Attempt(unit, error)

    async def _ended(self, job: Job, attempt: Attempt, parked: Parked | None = None) -> bool:
        if attempt.error is None:
            self._dead_letters.succeeded()
            return True
        with tracing.after(job.trigger.traceparent):
            return await self._set_aside(job, attempt.unit, attempt.error, parked)

    async def _set_aside(self, job: Job, unit: Unit, error: Exception, parked: Parked | None) -> bool:
        now = self._core.clock.now()
        attempts = (parked.attempts if parked else 0) + 1
        first_failed_at = parked.first_failed_at if parked else now
        decision = verdict(
            self._core.service.retry,
            error,
            attempts=attempts,
            patience_over=self._core.uptime.passed(first_failed_at, self._core.service.retry.early_for, now),
            now=now,
            seed=f"{job.lane}/{job.sequence}",
        )
        if isinstance(decision, GiveUp):
            envelope = job.trigger.envelope
            await self._dead_letters.give_up(
                job.source,
                what=job.name,
                reason=decision.reason,
                error=error,
                attempts=attempts,
                event_id=envelope.id if envelope else None,
                first_failed_at=first_failed_at,
            )
            return True
        self._core.measures.retried(job.name)
        self._core.log.info("%s is parked until %s: %s", job.name, decision.at.isoformat(), error)
        waits_for = _waits_for(error)
        await self._core.store.park(
            Parked(
                lane=job.lane,
                sequence=job.sequence,
                record=dump_source(job.source),
                not_before=decision.at,
                attempts=attempts,
                reason=str(error) or type(error).__name__,
                first_failed_at=first_failed_at,
                waits_for=None if waits_for is None else "/".join(waits_for),
            )
        )
        if waits_for is not None:
            await self._unless_saved_meanwhile(unit, waits_for)
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
            await self._core.store.let_go(["/".join(waits_for)])


class _Begun(Struct, frozen=True):
    """A call that has returned and whose save is on its way."""

    call: _Call
    unit: Unit
    dead_letters: DeadLetters
    told: Told

    def stored(self, result: Saved | Exception) -> None:
        """The store has answered."""
        self.unit.close()
        if isinstance(result, Saved):
            self.call.done()
            self.dead_letters.succeeded()
        self.call.end()
        self.told(result)


class _Call:
    """One call of a handler: its span, and its time until all is stored."""

    __slots__ = ("_argument", "_core", "_started", "name", "span")

    def __init__(self, core: Core, argument: Any, trigger: Trigger, name: str) -> None:
        self._core = core
        self._argument = argument
        self._started = core.clock.monotonic()
        self.name = name
        self.span = tracing.Step(
            core.tracer,
            tracing.span_name(name),
            about=argument,
            parent=trigger.traceparent,
            parent_at=trigger.caused_at,
            now=core.clock.now(),
            kind=SpanKind.CONSUMER if trigger.kind == "event" else SpanKind.INTERNAL,
            seed=trigger.id if trigger.kind == "event" else None,
            urgent=trigger.urgent,
        )

    async def run(self, handler: Callable[[Any, Unit], Awaitable[None]], unit: Unit) -> Save | None:
        """Call the handler; the save that it asks for, or None where the record had no effect."""
        self.span.enter()
        try:
            try:
                await handler(self._argument, unit)
                save = unit.changes()
            except Stale as stale:
                unit.log.debug("stale: %s", stale)
                save = None
            if save is None:
                await unit.note()
            return save
        finally:
            self.span.leave()

    def done(self) -> None:
        """All is stored."""
        self._core.measures.handled(self.name, self._core.clock.monotonic() - self._started)

    def end(self) -> None:
        """It is over, however it went."""
        self.span.end()


def _waits_for(error: Exception) -> tuple[str, str] | None:
    if isinstance(error, Early) and error.waits_for is not None:
        kind, id_ = error.waits_for
        return collection_of(kind), id_
    return None
