"""A service at work: puts the parts together, starts and stops them in order, and says how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from opentelemetry.trace import Tracer
from uuid_utils import uuid7

from patchline_kit import tracing
from patchline_kit.clock import Clock
from patchline_kit.context import ServiceHandle
from patchline_kit.core import Core
from patchline_kit.dead_letters import DeadLetters, TooManyDeadLetters
from patchline_kit.dispatch import Dispatch
from patchline_kit.handle import Handle
from patchline_kit.handling import Handling
from patchline_kit.measures import Measures, NoMeasures
from patchline_kit.parking import ParkingLot
from patchline_kit.playback import original
from patchline_kit.relay import Relay
from patchline_kit.service import Service
from patchline_kit.store.port import Store, StoreError
from patchline_kit.store_time import LOOK_EVERY, StoreClock
from patchline_kit.transport.port import Lag, Received, Subscription, Transport
from patchline_kit.transport.topics import PLAYBACK, is_urgent
from patchline_kit.unit import Trigger
from patchline_kit.uptime import UptimeKeeper
from patchline_kit.wake import Wakers
from patchline_schemas import event_types
from patchline_schemas.envelope import URGENT_SUFFIX

GRACE_SECONDS = 10.0
"""How long running wakes, and what is on its way out, may take at stop."""
LAST_WORDS_SECONDS = 1.0
"""What the relay has at least, at stop, for what the last handlers emitted; and the parking lot at most."""
STORE_BACKOFF_SECONDS = 1.0
"""Pause before records come again that met a store without room."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a service says of itself."""

    ready: bool
    reasons: tuple[str, ...]
    """Why it is not ready, for a person."""
    assigned: bool
    caught_up: bool
    """Whether it has handled all its topics up to now once since it started."""
    backlog: int
    """Events and messages on their way out."""
    stuck: tuple[str, ...]
    """Documents (``collection/id: error``) whose wake fails again and again; they are still tried."""


class Runtime:
    """One replica of a service.

    ``resources`` win over the service's own factories. ``sole_owner`` says that no other process works on
    this store (the folder's lock is held): leases that a predecessor left are freed at once. ``group`` is the
    consumer group, by default the service's name; with ``playback`` it also reads what the ledger plays back
    to that group. With ``by_store_time`` the time is the store's, and nothing is begun while ``clock`` is far
    from it.
    """

    def __init__(
        self,
        service: Service,
        *,
        transport: Transport,
        store: Store,
        clock: Clock,
        settings: object | None = None,
        resources: Mapping[type[Any], object] | None = None,
        tracer: Tracer | None = None,
        metrics: Measures | None = None,
        sole_owner: bool = False,
        group: str | None = None,
        playback: bool = False,
        by_store_time: bool = False,
    ) -> None:
        self.service = service
        self._store_clock = StoreClock(clock) if by_store_time else None
        self.group = group or service.name
        self._transport = transport
        self._given = dict(resources or {})
        self._core = Core(
            service,
            store=store,
            clock=self._store_clock or clock,
            settings=settings,
            tracer=tracer or tracing.default_tracer(),
            measures=metrics or NoMeasures(),
        )
        self._dead_letters = DeadLetters(self._core)
        self._handling = Handling(self._core, self._dead_letters)
        self._dispatch = Dispatch(self._core, self._handling, self._dead_letters)
        self._relay = Relay(self._core, transport, self._dispatch.message)
        self._parking = ParkingLot(self._core, self._handling, self._dead_letters)
        owner = f"{service.name}-{uuid7()}"
        self._uptime = UptimeKeeper(self._core, self._lag, owner=owner, alone=sole_owner)
        self._wakers = Wakers(
            self._core,
            owner=owner,
            alone=sole_owner,
            before_each=self._uptime.hear,
            may_begin=lambda: self._clock_trouble is None and not self._relay.behind,
        )
        self._handling.on_parked = self._parking.nudge
        self._handling.on_repeated = self._relay.reload
        self._core.on_saved.append(self._relay.accept)
        self._core.on_saved.append(self._parking.saved)
        self._handle = Handle(self._core, self._handling)
        self._exits = AsyncExitStack()
        self._subscription: Subscription | None = None
        self._companions: list[asyncio.Task[None]] = []
        self._looking_at_time: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self._in_hand = 0
        self._batches: set[asyncio.Future[None]] = set()
        self.topics = (*topics_of(service), *([PLAYBACK] if playback else []))

    @property
    def handle(self) -> ServiceHandle:
        """The service as its companions see it."""
        return self._handle

    @property
    def core(self) -> Core:
        """What the parts share; for a test harness."""
        return self._core

    async def start(self) -> None:
        """Make the resources, send what the last run left, and begin to work.

        The transport is started by whoever made it. Raises what the store, the transport, a resource
        factory or an ``at_start`` handler raises; then nothing runs.
        """
        try:
            await self._start()
        except BaseException:
            await self.kill()
            raise

    async def stop(self, *, grace: float = GRACE_SECONDS) -> None:
        """Finish what is in hand, within ``grace`` seconds; the rest is left as a crash would leave it."""
        until = asyncio.get_running_loop().time() + grace
        self._stopping.set()
        await _cancel(self._companions)
        leaving = [] if self._subscription is None else [self._subscription.stop()]
        await asyncio.gather(self._wakers.stop(grace=grace), *leaving)
        await self._parking.stop(grace=min(grace, LAST_WORDS_SECONDS))
        await self._uptime.stop()
        await _cancel(self._looking_at_time)
        left = until - asyncio.get_running_loop().time()
        await self._relay.stop(grace=max(left, min(grace, LAST_WORDS_SECONDS)))
        await self._exits.aclose()

    async def kill(self) -> None:
        """Drop everything at once, as a crash would; what the transport holds is its owner's to drop."""
        self._stopping.set()
        await _cancel([*self._companions, *self._batches, *self._looking_at_time])
        await self._parking.kill()
        await self._wakers.kill()
        await self._uptime.stop()
        await self._relay.kill()
        await self._core.commits.kill()
        await self._exits.aclose()

    def succeed(self, other: Runtime) -> None:
        """Take over the companions of another replica, which see this one's documents from now on, and what
        they share with the handlers."""
        self._companions, other._companions = other._companions, []
        self._core.resources, self._core.changes = other._core.resources, other._core.changes
        self._exits.push_async_callback(other._exits.pop_all().aclose)
        self._handle = other._handle
        self._handle.show(self._core, self._handling)

    async def leave_topics(self) -> None:
        """Read no more; what was taken in goes on, and goes out."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.stop()

    async def owes(self) -> bool:
        """Whether something is still to be sent, or a document to be woken now."""
        return bool(self._relay.backlog or self._wakers.running or await self._wakers.due())

    async def heard(self, instant: datetime) -> bool:
        """Whether all replicas have handled what was published on the topics before ``instant``."""
        await self._uptime.hear()
        return self._core.uptime.passed(instant, timedelta(0), self._core.clock.now())

    @property
    def cut_off(self) -> tuple[str, ...]:
        """After :meth:`stop`: documents whose work did not end in the grace time; it goes on elsewhere."""
        return self._wakers.cut_off

    @property
    def takes_records(self) -> bool:
        """False once too many dead letters in a row have stopped it."""
        return self._dead_letters.stopped is None

    def readiness(self) -> Readiness:
        """Whether the service does its work, and if not, why."""
        assigned = not self.topics or (self._subscription is not None and self._subscription.assigned())
        reasons = [
            reason
            for reason in (
                self._core.broken,
                self._dead_letters.stopped,
                self._core.store_trouble,
                self._clock_trouble,
                f"nothing goes out: {self._relay.failing}" if self._relay.behind else None,
                None if assigned else "it reads no topic yet",
            )
            if reason is not None
        ]
        return Readiness(
            ready=not reasons,
            reasons=tuple(reasons),
            assigned=assigned,
            caught_up=self._uptime.caught_up.is_set(),
            backlog=self._relay.backlog,
            stuck=tuple(f"{'/'.join(key)}: {error}" for key, error in self._wakers.stuck.items()),
        )

    async def lag(self) -> Lag:
        """How far this replica is behind on its topics; nothing before it reads them."""
        return await self._lag() or Lag(0, None)

    async def unsettled(self) -> list[str]:
        """What is still to do now, in words; empty when only time or a new event can bring more."""
        core, open_ends = self._core, []
        if self._in_hand:
            open_ends.append(f"{self._in_hand} records in hand")
        lag = await self._lag()
        if lag is not None and lag.records and self.takes_records:
            open_ends.append(f"{lag.records} records unread")
        if self._relay.backlog:
            failing = f" ({self._relay.failing})" if self._relay.failing else ""
            open_ends.append(f"{self._relay.backlog} events or messages on their way{failing}")
        open_ends += [f"{document} at work" for document in self._wakers.running]
        if await self._wakers.due():
            open_ends.append("a document is due")
        next_parked = await core.store.next_parked()
        if self._parking.busy or (next_parked is not None and next_parked <= core.clock.now()):
            open_ends.append("a parked record is due")
        if not self._uptime.caught_up.is_set() and self.takes_records:
            open_ends.append("the topics are not read up to now yet")
        busy = self._wakers.running or self._wakers.looking or self._parking.busy
        if not open_ends and (self._in_hand or self._relay.backlog or busy):
            open_ends.append("something has begun meanwhile")
        return open_ends

    async def next_due(self) -> datetime | None:
        """When the next document wakes or the next parked record is tried again."""
        found = [await self._wakers.next_wake(), await self._core.store.next_parked()]
        return min((instant for instant in found if instant is not None), default=None)

    async def _start(self) -> None:
        core = self._core
        resources = dict(self._given)
        for kind, factory in self.service.resources.items():
            if kind not in resources:
                resources[kind] = await self._exits.enter_async_context(factory(core.settings))
        core.resources = resources
        if self._store_clock is not None:
            await self._store_clock.look(core.store)
            self._looking_at_time.append(asyncio.create_task(self._look_at_time(self._store_clock)))
        await self._uptime.start()
        await self._relay.start()
        for starter in self.service.starters:
            await self._run_starter(starter)
        await self._wakers.start()
        self._parking.start()
        if self.topics:
            self._subscription = await self._transport.subscribe(
                self.group, self.topics, self._batch, from_end=not self.service.replay_history
            )
        self._uptime.watch()
        for companion in self.service.companions:
            self._companions.append(asyncio.create_task(self._accompany(companion)))

    @property
    def _clock_trouble(self) -> str | None:
        return None if self._store_clock is None else self._store_clock.trouble

    async def _look_at_time(self, clock: StoreClock) -> None:
        while True:
            await clock.sleep(LOOK_EVERY.total_seconds())
            try:
                await clock.look(self._core.store)
            except StoreError as error:
                self._core.store_fails("the store's time is not known anew", error)
            except Exception as error:
                self._core.fail("the look at the store's time", error)
                raise
            if clock.trouble is not None:
                self._core.log.error("%s: %s", self.service.name, clock.trouble)

    async def _run_starter(self, starter: Any) -> None:
        async def handler(_argument: object, unit: Any) -> None:
            await starter(unit)

        name = getattr(starter, "__name__", "start")
        attempt = await self._handling.attempt(
            handler, None, Trigger(kind="start", id=str(uuid7())), name=name
        )
        if attempt.error is not None:
            raise attempt.error

    async def _accompany(self, companion: Any) -> None:
        try:
            await companion(self._handle)
        except Exception as error:
            self._handle.fail(f"the companion {getattr(companion, '__name__', companion)}", error)

    async def _batch(self, records: Sequence[Received]) -> None:
        if not is_urgent(records[0].topic):
            await self._relay.room()
        if self._dead_letters.stopped is not None:
            await self._stopping.wait()
            raise TooManyDeadLetters(self._dead_letters.stopped)
        if PLAYBACK in self.topics:
            records = [once for record in records if (once := original(record, self.group)) is not None]
        self._in_hand += len(records)
        batch = asyncio.ensure_future(self._dispatch.batch(records))
        self._batches.add(batch)
        try:
            await batch
        except StoreError as error:
            self._core.store_fails("no records are taken", error)
            await asyncio.sleep(STORE_BACKOFF_SECONDS)
            raise
        else:
            self._core.store_works()
        finally:
            self._batches.discard(batch)
            self._in_hand -= len(records)
            self._core.activity.pulse()

    async def _lag(self) -> Lag | None:
        """None: not known yet, because nothing is assigned."""
        if not self.topics:
            return Lag(0, None)
        if self._subscription is None or not self._subscription.assigned():
            return None
        return await self._subscription.lag()


def topics_of(service: Service) -> tuple[str, ...]:
    """The topics a service reads, urgent ones first."""
    kinds = list(service.events)
    if service.every_event is not None:
        kinds += event_types().values()
    names = dict.fromkeys(topic for kind in kinds for topic in kind.topics())
    return tuple(sorted(names, key=lambda topic: not topic.endswith(URGENT_SUFFIX)))


async def _cancel(tasks: Sequence[asyncio.Future[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
