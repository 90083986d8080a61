"""Run services in a test as they run for real, on the embedded log and the SQLite store, with a manual clock.

::

    async def test_a_due_wave_is_backed_up(tmp_path):
        async with ServiceHarness(service, tmp_path=tmp_path) as h:
            await h.publish(wave_due)
            await h.settle()
            assert h.published(WaveBackedUp) == [...]
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from starlette.responses import PlainTextResponse
from uuid_utils import uuid7

from patchline_kit.clock import Clock, ManualClock
from patchline_kit.context import ServiceHandle
from patchline_kit.core import Activity
from patchline_kit.documents import Document, Message
from patchline_kit.process import Process
from patchline_kit.runtime import Runtime
from patchline_kit.service import Service
from patchline_kit.store.port import Parked, Store
from patchline_kit.store.sqlite import SqliteDatabase, SqliteStore
from patchline_kit.telemetry import Telemetry
from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_kit.transport.port import BatchHandler, Received, Subscription, Transport
from patchline_schemas import Envelope, Event, WireRecord, decode, encode
from patchline_schemas.dead_letters import DeadLettered

E = TypeVar("E", bound=Event)
D = TypeVar("D", bound=Document)

BEGINNING = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
"""Where a harness's own clock starts: a Monday, at noon."""
SOURCE = "test"
"""``source`` of the events that a test publishes."""
SETTLE_SECONDS = 10.0
LOOK_AGAIN_SECONDS = 0.02
"""The log tells nobody when a batch is fetched, so a waiter looks again after this."""


class Recording:
    """A transport that remembers, over restarts of what it wraps, what was published and handled."""

    def __init__(self) -> None:
        self.records: list[WireRecord] = []
        self.inner: Transport | None = None
        self._published: Counter[str] = Counter()
        self._handled: defaultdict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
        self._in_hand: set[asyncio.Future[None]] = set()

    async def start(self) -> None:
        """Start the wrapped transport."""
        await self._opened().start()

    async def stop(self) -> None:
        """Stop the wrapped transport."""
        await self._opened().stop()

    async def publish(self, records: Sequence[WireRecord]) -> None:
        """Publish, and remember."""
        await self._opened().publish(records)
        self.records += records
        self._published.update(record.topic for record in records)

    async def subscribe(
        self, group: str, topics: Sequence[str], handler: BatchHandler, *, from_end: bool = False
    ) -> Subscription:
        """Subscribe at the wrapped transport."""

        async def watched(records: Sequence[Received]) -> None:
            batch = asyncio.ensure_future(handler(records))
            self._in_hand.add(batch)
            try:
                await batch
                for record in records:
                    self._handled[group, record.topic].add((record.partition, record.offset))
            finally:
                self._in_hand.discard(batch)

        return await self._opened().subscribe(group, topics, watched, from_end=from_end)

    async def forget(self, group: str) -> None:
        """Forget a group at the wrapped transport."""
        await self._opened().forget(group)

    def unread(self, group: str, topics: Sequence[str]) -> int:
        """How many records were published here that the group has not handled."""
        return sum(max(0, self._published[topic] - len(self._handled[group, topic])) for topic in topics)

    def drop(self) -> None:
        """Let nothing that is in hand be committed any more."""
        for batch in self._in_hand:
            batch.cancel()

    async def read(self, topic: str, *, after: int | None = None, limit: int = 100) -> Sequence[Received]:
        """Read from the wrapped transport."""
        return await self._opened().read(topic, after=after, limit=limit)

    def _opened(self) -> Transport:
        if self.inner is None:
            raise RuntimeError("use the harness as an async context manager")
        return self.inner


class SystemHarness:
    """Several services on one log and one store.

    ``resources`` and ``settings`` are by service name. With a clock of its own (a :class:`ManualClock` at
    :data:`BEGINNING`) only :meth:`advance` moves time. An exception of a handler that is no outcome fails
    the test at the next :meth:`settle`, unless ``tolerate_errors``. ``transport`` makes another one than the
    embedded log, ``telemetry`` shows the spans.
    """

    def __init__(
        self,
        services: Iterable[Service],
        *,
        tmp_path: Path,
        clock: Clock | None = None,
        resources: Mapping[str, Mapping[type[Any], object]] | None = None,
        settings: Mapping[str, object] | None = None,
        tolerate_errors: bool = False,
        transport: Callable[[], Transport] | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.services = {service.name: service for service in services}
        self.clock: Clock = clock or ManualClock(BEGINNING)
        self.transport = Recording()
        self.runtimes: dict[str, Runtime] = {}
        self._folder = tmp_path
        self._resources = resources or {}
        self._settings = settings or {}
        self._tolerate_errors = tolerate_errors
        self._make_transport = transport or self._embedded
        self._telemetry = telemetry or Telemetry({})
        self._activity = Activity()
        self._database: SqliteDatabase | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start every service on what lies in the folder."""
        self.transport.inner = self._make_transport()
        await self.transport.start()
        self._database = SqliteDatabase(self._folder / "store.db")
        process = Process(self.transport, PlainTextResponse("no process of its own\n"))
        for name, service in self.services.items():
            runtime = Runtime(
                service,
                transport=self.transport,
                store=await self.store_of(name),
                clock=self.clock,
                settings=self._settings.get(name),
                resources={Process: process, **self._resources.get(name, {})},
                sole_owner=True,
                tracer=self._telemetry.tracer(name),
            )
            runtime.core.activity = self._activity
            self.runtimes[name] = runtime
            await runtime.start()

    async def store_of(self, service: str) -> Store:
        """Opens a service's documents at each start; a subclass may keep them elsewhere."""
        if self._database is None:
            raise RuntimeError("use the harness as an async context manager")
        return SqliteStore(self._database, service)

    async def stop(self) -> None:
        """Stop every service gracefully."""
        for runtime in self.runtimes.values():
            await runtime.stop(grace=1.0)
        await self._close()

    async def kill(self) -> None:
        """Drop everything as ``kill -9`` would; :meth:`start` goes on from the same files."""
        self.transport.drop()
        for runtime in self.runtimes.values():
            await runtime.kill()
        await self._close()

    async def restart(self) -> None:
        """Kill, and start again."""
        await self.kill()
        await self.start()

    async def publish(
        self, event: Event, *, id: str | None = None, cause: str | None = None, urgent: bool = False
    ) -> str:
        """Publish ``event`` as somebody else would; its id."""
        envelope = Envelope(
            id=id or str(uuid7()),
            source=SOURCE,
            type=event.TYPE,
            subject=event.subject(),
            time=self.clock.now(),
            causationid=cause,
            urgent=urgent,
        )
        await self.transport.publish([encode(event, envelope)])
        return envelope.id

    async def settle(self, timeout: float = SETTLE_SECONDS) -> None:
        """Return when all that can be done now is done: topics read, outboxes empty, due documents woken.

        Raises :class:`AssertionError` with what is still open after ``timeout`` seconds, or with the first
        unexpected error of a handler.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            with self._activity.watch() as changed:
                open_ends = await self.open_ends()
                self._fail_on_errors()
                if not open_ends and not changed.is_set():
                    return
                if asyncio.get_running_loop().time() > deadline:
                    raise AssertionError(f"not settled within {timeout} s: {'; '.join(open_ends)}")
                try:
                    await asyncio.wait_for(changed.wait(), LOOK_AGAIN_SECONDS)
                except TimeoutError:
                    continue

    async def open_ends(self) -> list[str]:
        """What is still to do now, in words."""
        found = []
        for name, runtime in self.runtimes.items():
            found += [f"{name}: {what}" for what in await runtime.unsettled()]
            unread = self.transport.unread(name, runtime.topics)
            if unread and runtime.takes_records and not found:
                found.append(f"{name}: {unread} records unread")
        return found

    async def until(self, condition: Callable[[], bool], *, timeout: float = SETTLE_SECONDS) -> None:
        """Return when ``condition`` holds; it is looked at whenever a service has done something.

        Raises :class:`TimeoutError` after ``timeout`` seconds.
        """
        async with asyncio.timeout(timeout):
            while True:
                with self._activity.watch() as changed:
                    if condition():
                        return
                    await changed.wait()

    async def advance(self, by: timedelta) -> None:
        """Move the clock by ``by``, with a stop, and a :meth:`settle`, wherever something is due."""
        if not isinstance(self.clock, ManualClock):
            raise TypeError("only a harness with a ManualClock moves time")
        until = self.clock.now() + by
        await self.settle()
        while True:
            dues = [await runtime.next_due() for runtime in self.runtimes.values()]
            due = min((due for due in dues if due is not None), default=None)
            if due is None or due > until:
                break
            self.clock.advance(max(due - self.clock.now(), timedelta(0)))
            await self.settle()
        self.clock.advance(until - self.clock.now())
        await self.settle()

    def published(self, kind: type[E]) -> list[E]:
        """The events of one kind that the services published, each once, in order."""
        return [event for _, event in self._events(kind)]

    def envelopes(self, kind: type[Event]) -> list[Envelope]:
        """The envelopes of :meth:`published`."""
        return [envelope for envelope, _ in self._events(kind)]

    def records(self, kind: type[Event]) -> list[WireRecord]:
        """What lies on the topics of one kind, repetitions and the test's own included."""
        return [record for record in self.transport.records if record.topic in kind.topics()]

    def dead_letters(self) -> list[DeadLettered]:
        """What the services gave up."""
        return self.published(DeadLettered)

    async def parked(self) -> list[Parked]:
        """What the services have set aside."""
        return [
            parked
            for runtime in self.runtimes.values()
            for parked in await runtime.core.store.parked(limit=10_000)
        ]

    async def document(self, kind: type[D], id: str, *, service: str | None = None) -> D | None:
        """A document, wherever it lies or in ``service``. Raises :class:`LookupError` if several have one."""
        names = [service] if service is not None else list(self.runtimes)
        found = [
            document for name in names if (document := await self.handle(name).read(kind, id)) is not None
        ]
        if len(found) > 1:
            raise LookupError(f"several services have {kind.__name__} {id}: name one")
        return found[0] if found else None

    async def documents(
        self, kind: type[D], tag: str | None = None, *, service: str | None = None
    ) -> list[D]:
        """Documents by tag, by ascending id (at most 10,000)."""
        names = [service] if service is not None else list(self.runtimes)
        return [
            document for name in names for document in await self.handle(name).find(kind, tag, limit=10_000)
        ]

    def handle(self, service: str) -> ServiceHandle:
        """A running service as its companions see it."""
        return self.runtimes[service].handle

    def _events(self, kind: type[E]) -> list[tuple[Envelope, E]]:
        found: dict[str, tuple[Envelope, E]] = {}
        for record in self.records(kind):
            envelope, event = decode(record.headers, record.value)
            if envelope.source != SOURCE and isinstance(event, kind):
                found.setdefault(envelope.id, (envelope, event))
        return list(found.values())

    def _fail_on_errors(self) -> None:
        for name, runtime in self.runtimes.items():
            if runtime.core.broken is not None:
                raise AssertionError(f"{name}: {runtime.core.broken}")
            if runtime.core.unexpected and not self._tolerate_errors:
                step, error = runtime.core.unexpected[0]
                raise AssertionError(f"{name}: {step} failed: {type(error).__name__}: {error}") from error

    def _embedded(self) -> Transport:
        return EmbeddedTransport(self._folder / "log.db", clock=self.clock)

    async def _close(self) -> None:
        await self.transport.stop()
        if self._database is not None:
            await self._database.close()


class ServiceHarness(SystemHarness):
    """One service on a log and a store; see :class:`SystemHarness`."""

    def __init__(
        self,
        service: Service,
        *,
        tmp_path: Path,
        clock: Clock | None = None,
        resources: Mapping[type[Any], object] | None = None,
        settings: object | None = None,
        tolerate_errors: bool = False,
        transport: Callable[[], Transport] | None = None,
    ) -> None:
        super().__init__(
            [service],
            tmp_path=tmp_path,
            clock=clock,
            resources={service.name: resources or {}},
            settings={service.name: settings},
            tolerate_errors=tolerate_errors,
            transport=transport,
        )
        self.service = service

    @property
    def runtime(self) -> Runtime:
        """The running service."""
        return self.runtimes[self.service.name]

    async def deliver(self, message: Message) -> None:
        """Hand a local message in, as a companion would."""
        await self.runtime.handle.deliver(message)
