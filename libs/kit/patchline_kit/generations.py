"""Building a read model anew: the same service beside itself, under the next generation's name.

A generation has documents and a consumer group of its own. The new one reads its topics from the beginning,
and what is no longer on them the ledger plays back to it; both may bring the same event, as any topic may.
Meanwhile the old one answers. When all is taken in, the new one takes its place: the record of the
generations says so, and every replica follows. What the old one still has to publish goes out, then it is
deleted. All of it goes on after a crash, since documents, positions and the record are stored.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Callable, MutableMapping
from datetime import datetime

from patchline_kit.clock import Clock
from patchline_kit.context import Context
from patchline_kit.documents import Document
from patchline_kit.generation_record import (
    LEFT_FOR,
    Generations,
    Rebuild,
    RebuildStatus,
    Retired,
    change,
    generation_name,
    load,
    record_name,
)
from patchline_kit.runtime import Runtime
from patchline_kit.service import Service
from patchline_kit.store.opening import StoreOf
from patchline_kit.store.port import Store
from patchline_kit.transport.port import Transport
from patchline_kit.unavailable import Unavailable
from patchline_schemas import Envelope, WireRecord, derived_id, encode
from patchline_schemas.ledger import PlaybackAdvanced, PlaybackRequested

LOOK_SECONDS = 0.5
"""How often a replica looks at the record."""

MakeRuntime = Callable[[Service, Store, str, bool], Runtime]
"""Makes a replica of a service on a store, as a member of a group; with True one that reads what is played
back, and of which nobody outside takes notice."""

log = logging.getLogger("patchline.generations")


class Played(Document, collection="_playback"):
    """How far the ledger has played back to this generation; its id is the rebuild's."""

    entries_done: int = 0
    entries_total: int = 0
    ended_at: datetime | None = None
    """When the last was on its topic."""


class ReadModel:
    """A service that can be built anew, in this process.

    ``runtimes`` is where its host keeps who answers. :meth:`prepare` comes first, then :meth:`begin`.
    """

    def __init__(
        self,
        service: Service,
        *,
        transport: Transport,
        store_of: StoreOf,
        clock: Clock,
        make: MakeRuntime,
        runtimes: MutableMapping[str, Runtime],
    ) -> None:
        self.service = service
        self._transport = transport
        self._store_of = store_of
        self._clock = clock
        self._make = make
        self._runtimes = runtimes
        self._current = 0
        self._next: tuple[Rebuild, Runtime] | None = None
        self._leaving: dict[int, Runtime] = {}
        self._on_their_way: set[tuple[str, str, int]] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._trouble: str | None = None

    async def prepare(self) -> None:
        """Make the replica that answers; its host starts it with the others."""
        self._records = await self._store_of(record_name(self.service.name))
        self._current = (await load(self._records)).current
        self._runtimes[self.service.name] = await self._replica(self._current, self.service, aside=False)

    def begin(self) -> None:
        """Begin to look after the generations."""
        self._loop = asyncio.create_task(self._forever(), name=f"generations of {self.service.name}")

    async def pause(self) -> None:
        """Look no more after the generations."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def stop(self, *, grace: float) -> None:
        """Stop all but the replica that answers, which is the host's; after :meth:`pause`."""
        beside = [*self._leaving.values(), *([self._next[1]] if self._next else [])]
        await asyncio.gather(*(runtime.stop(grace=grace) for runtime in beside), return_exceptions=True)

    async def request(self, who: str) -> RebuildStatus:
        """Ask for a rebuild, unless one is going on; how far it is."""
        record = await change(self._records, lambda record: record.begin(who, self._clock.now()))
        return await self._status(record)

    async def status(self) -> RebuildStatus:
        """How far a rebuild is, or that the last one has ended."""
        return await self._status(await load(self._records))

    async def _status(self, record: Generations) -> RebuildStatus:
        name, rebuild, finished = self.service.name, record.rebuild, record.finished
        if rebuild is None and finished is None:
            return RebuildStatus(service=name, state="never")
        if rebuild is None:
            assert finished is not None
            return RebuildStatus(
                service=name,
                state="rebuilt",
                rebuild_id=finished.id,
                requested_by=finished.requested_by,
                requested_at=finished.requested_at,
                entries_done=finished.entries_total,
                entries_total=finished.entries_total,
                records_left=0,
                ended_at=finished.ended_at,
            )
        played, left, trouble = None, None, [self._trouble] if self._trouble else []
        if self._next is not None and self._next[0].id == rebuild.id:
            runtime = self._next[1]
            played = await runtime.handle.read(Played, rebuild.id)
            left = (await runtime.lag()).records + runtime.readiness().backlog
            trouble += runtime.readiness().reasons
        return RebuildStatus(
            service=name,
            state="rebuilding",
            rebuild_id=rebuild.id,
            requested_by=rebuild.requested_by,
            requested_at=rebuild.requested_at,
            entries_done=played.entries_done if played else 0,
            entries_total=played.entries_total if played else None,
            records_left=left,
            trouble=tuple(trouble),
        )

    async def _forever(self) -> None:
        while True:
            try:
                await self._look()
                self._trouble = None
            except Unavailable as error:
                if self._trouble is None:
                    log.warning("the generations of %s wait: %s", self.service.name, error)
                self._trouble = str(error)
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        record = await change(self._records, lambda record: record.begin_anew_if_too_old(self._clock.now()))
        if record.current != self._current:
            await self._follow(record)
        await self._build(record.rebuild)
        for retired in record.retired:
            await self._let_go(retired)

    async def _build(self, rebuild: Rebuild | None) -> None:
        """Keep the generation that is being built at work, and see whether it is complete."""
        if self._next is not None and (rebuild is None or self._next[0].id != rebuild.id):
            (_, runtime), self._next = self._next, None
            await runtime.stop(grace=0.0)
        if rebuild is None:
            return
        if self._next is None:
            self._on_their_way = None
            runtime = await self._replica(rebuild.generation, _aside(self.service, rebuild), aside=True)
            await runtime.start()
            self._next = rebuild, runtime
            await self._transport.publish([_asked(self.service.name, rebuild, runtime.group)])
            log.info("%s is built anew as %s", self.service.name, runtime.group)
        runtime = self._next[1]
        played = await runtime.handle.read(Played, rebuild.id)
        if played is None or played.ended_at is None or not await self._complete(runtime, played.ended_at):
            return
        total = played.entries_total
        await self._follow(
            await change(self._records, lambda record: record.replace(rebuild.id, total, self._clock.now()))
        )

    async def _complete(self, runtime: Runtime, ended_at: datetime) -> bool:
        """Whether all that lay on the topics at ``ended_at``, and what followed from it, is taken in."""
        if not await runtime.heard(ended_at):
            return False
        waiting = await _outbox(runtime.core.store)
        if self._on_their_way is None:
            self._on_their_way = waiting
        return not (self._on_their_way & waiting) and await runtime.core.store.next_parked() is None

    async def _follow(self, record: Generations) -> None:
        """Let the generation answer that the record names."""
        if record.current == self._current:
            return
        name = self.service.name
        old = self._runtimes[name]
        if self._next is not None and self._next[0].generation == record.current:
            (_, new), self._next = self._next, None
        else:
            new = await self._replica(record.current, _silent(self.service), aside=False)
            await new.start()
        self._runtimes[name], self._leaving[self._current] = new, old
        self._current = record.current
        new.service.emits = self.service.emits
        new.succeed(old)
        log.info("%s answers for %s now", new.group, old.group)
        await old.leave_topics()

    async def _let_go(self, retired: Retired) -> None:
        """Send what a retired generation still has to send; delete it when its time is over."""
        runtime = self._leaving.get(retired.generation)
        if runtime is None and retired.answered:
            runtime = await self._replica(retired.generation, _without_companions(self.service), aside=False)
            await runtime.start()
            self._leaving[retired.generation] = runtime
            await runtime.leave_topics()
        if self._clock.now() - retired.since < LEFT_FOR or (runtime and await runtime.owes()):
            return
        if runtime is not None:
            await runtime.stop(grace=LOOK_SECONDS)
            del self._leaving[retired.generation]
        group = generation_name(self.service.name, retired.generation)
        store = await self._store_of(group)
        await store.wipe()
        await self._transport.forget(group)
        await change(self._records, lambda record: record.gone(retired.generation))
        log.info("%s, which was replaced, is deleted", group)

    async def _replica(self, generation: int, service: Service, *, aside: bool) -> Runtime:
        name = generation_name(self.service.name, generation)
        return self._make(service, await self._store_of(name), name, aside)


def _without_companions(service: Service) -> Service:
    found = copy.copy(service)
    found.companions = []
    return found


def _silent(service: Service) -> Service:
    """The service without companions, and such that whatever it would publish is an error."""
    found = _without_companions(service)
    found.emits = frozenset()
    return found


def _aside(service: Service, rebuild: Rebuild) -> Service:
    """The service as it is built anew: silent, and it notes how far the ledger has played back."""

    async def note_progress(event: PlaybackAdvanced, ctx: Context) -> None:
        if event.playback_id != rebuild.id:
            return
        played = await ctx.load(Played, rebuild.id) or ctx.create(Played(id=rebuild.id))
        if event.entries_done >= played.entries_done:
            played.entries_done, played.entries_total = event.entries_done, event.entries_total
            played.ended_at = ctx.now if event.ended else None

    found = _silent(service)
    found.events = {**service.events, PlaybackAdvanced: note_progress}
    return found


def _asked(service: str, rebuild: Rebuild, reader: str) -> WireRecord:
    """The request for a playback; the same each time, so that it may be repeated."""
    event = PlaybackRequested(playback_id=rebuild.id, reader=reader)
    envelope = Envelope(
        id=derived_id(rebuild.id, event.TYPE),
        source=service,
        type=event.TYPE,
        subject=event.subject(),
        time=rebuild.requested_at,
    )
    return encode(event, envelope)


async def _outbox(store: Store) -> set[tuple[str, str, int]]:
    found: set[tuple[str, str, int]] = set()
    after = 0
    while entries := await store.pending(after=after):
        after = entries[-1].sequence
        found |= {(entry.collection, entry.document_id, entry.sequence) for entry in entries}
    return found
