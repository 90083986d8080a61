"""From the outbox to the topics, and from document to document of one service.

A document's entries go out in order, the next only after the one before is acknowledged; those of
different documents go together, urgent ones first. What a save emits is handed over in memory; the store is
read only for what a crash or another replica left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from patchline_kit.core import Core
from patchline_kit.dead_letters import TooManyDeadLetters
from patchline_kit.outbox import ENTRIES_PER_SEND, DocumentKey, Outbox
from patchline_kit.store.port import Pending, Save, Saved
from patchline_kit.transport.port import Transport
from patchline_kit.unavailable import Unavailable
from patchline_schemas import WireRecord

SENDS_AT_ONCE = 8
BACKLOG_FOR_ROOM = 5_000
"""Above so many waiting entries no further records are taken."""
SWEEP_SECONDS = 10.0
"""An entry that lies in the store at two sweeps in a row belongs to nobody who lives."""
FIRST_BACKOFF, LONGEST_BACKOFF = 0.05, 5.0
"""Seconds between attempts while the log or the store cannot be reached (real time: the outside world's)."""
BEHIND_SECONDS = 10.0
"""An outage of this length makes the service not ready."""
HANGS_SECONDS = 120.0
"""So does a send that has neither ended nor failed for so long: somewhere something waits for ever."""


class Relay:
    """Sends what saves have put into the outbox; see the module."""

    def __init__(
        self, core: Core, transport: Transport, deliver: Callable[[Pending], Awaitable[None]]
    ) -> None:
        self._core = core
        self._transport = transport
        self._deliver = deliver
        self._outboxes: dict[DocumentKey, Outbox] = {}
        self._ready: dict[Outbox, None] = {}
        self._urgent_ready: dict[Outbox, None] = {}
        self._count = 0
        self._seen_once: set[int] = set()
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._sends: dict[asyncio.Task[None], float] = {}
        """Those on their way: since when, by the monotonic clock; the oldest comes first."""
        self._clears: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []
        self._failures: dict[object, tuple[float, str]] = {}
        """Acts that do not succeed: since when, by the monotonic clock, and why; the oldest comes first."""

    @property
    def backlog(self) -> int:
        """How many entries are known not to be cleared yet."""
        return self._count

    @property
    def failing(self) -> str | None:
        """Why nothing goes out, while that is so."""
        hangs = "events are on their way for minutes, and neither arrive nor fail" if self._hangs else None
        return next((why for _since, why in self._failures.values()), hangs)

    @property
    def behind(self) -> bool:
        """Whether the log, or the store, has been out of reach for long."""
        since = next((since for since, _why in self._failures.values()), None)
        failing = since is not None and self._core.clock.monotonic() - since >= BEHIND_SECONDS
        return failing or self._hangs

    @property
    def _hangs(self) -> bool:
        began = next(iter(self._sends.values()), None)
        return began is not None and self._core.clock.monotonic() - began >= HANGS_SECONDS

    async def start(self) -> None:
        """Begin with what the last run left."""
        await self._sweep(at_once=True)
        self._loops = [
            asyncio.create_task(self._send_forever()),
            asyncio.create_task(self._sweep_forever()),
        ]

    async def stop(self, *, grace: float) -> None:
        """Send what is queued within ``grace`` seconds; the rest stays in the store."""
        try:
            async with asyncio.timeout(grace):
                while self.backlog and self.failing is None:
                    with self._core.activity.watch() as changed:
                        await changed.wait()
        except TimeoutError:
            self._core.log.info("%d events stay in the outbox until the next start", self.backlog)
        await self.kill()

    async def kill(self) -> None:
        """Stop at once."""
        tasks = [*self._loops, *self._sends, *self._clears]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def room(self) -> None:
        """Return when the backlog is small enough to take more records."""
        while self.backlog > BACKLOG_FOR_ROOM:
            self._room.clear()
            await self._room.wait()

    def accept(self, save: Save, saved: Saved) -> None:
        """Take over what a save has put into the outbox."""
        if not saved.pending:
            return
        document = (save.collection, save.id)
        outbox = self._outboxes.get(document)
        known = set() if outbox is None else outbox.uncleared
        if not known.issuperset(saved.earlier):
            self.reload(document)
            return
        if outbox is None:
            outbox = self._outboxes[document] = Outbox(document)
        self._count += outbox.add(saved.pending)
        self._make_ready(outbox)

    def reload(self, document: DocumentKey) -> None:
        """Send whatever the store still holds of a document."""
        outbox = self._outboxes.get(document)
        if outbox is None:
            outbox = self._outboxes[document] = Outbox(document)
        if not outbox.stale:
            outbox.stale = True
            self._count += 1
        self._make_ready(outbox)

    def _make_ready(self, outbox: Outbox) -> None:
        if outbox.busy or not (outbox.queue or outbox.stale):
            return
        if outbox.urgent:
            self._ready.pop(outbox, None)
            self._urgent_ready[outbox] = None
        else:
            self._ready[outbox] = None
        self._work.set()

    async def _send_forever(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while batch := self._take():
                task = asyncio.create_task(self._send(batch))
                self._sends[task] = self._core.clock.monotonic()
                task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sends.pop(task, None)
        self._work.set()
        self._fail_with(task)

    def _cleared(self, task: asyncio.Task[None]) -> None:
        self._clears.discard(task)
        self._fail_with(task)

    def _fail_with(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._core.fail("the relay", task.exception())

    def _take(self) -> dict[Outbox, list[Pending]]:
        """The next entries of ready documents, each document's only up to where it must wait.

        Those of urgent documents first and by themselves, and in one send more than there are for others.
        """
        ready = self._urgent_ready or self._ready
        batch: dict[Outbox, list[Pending]] = {}
        size = 0
        if len(self._sends) >= SENDS_AT_ONCE + bool(self._urgent_ready):
            return batch
        while ready and size < ENTRIES_PER_SEND:
            outbox = next(iter(ready))
            del ready[outbox]
            outbox.busy = True
            batch[outbox] = entries = outbox.first_run()
            size += max(1, len(entries))
        return batch

    async def _send(self, batch: dict[Outbox, list[Pending]]) -> None:
        events: dict[Outbox, list[Pending]] = {}
        steps: list[Awaitable[None]] = []
        for outbox, entries in batch.items():
            if not entries:
                steps.append(self._patiently(partial(self._load, outbox)))
            elif entries[0].outgoing.topic is None:
                steps.append(self._hand_over(outbox, entries))
            else:
                events[outbox] = entries
        if events:
            steps.append(self._publish(events))
        await asyncio.gather(*steps)

    async def _hand_over(self, outbox: Outbox, entries: list[Pending]) -> None:
        await asyncio.gather(*(self._patiently(partial(self._deliver, entry)) for entry in entries))
        self._delivered({outbox: entries})

    async def _publish(self, events: dict[Outbox, list[Pending]]) -> None:
        records = [
            WireRecord(
                topic=entry.outgoing.topic or "",
                key=entry.outgoing.key,
                headers=entry.outgoing.headers,
                value=entry.outgoing.value,
            )
            for run in events.values()
            for entry in run
        ]
        await self._patiently(lambda: self._transport.publish(records))
        self._delivered(events)

    def _delivered(self, runs: dict[Outbox, list[Pending]]) -> None:
        """Let the documents go on; what was delivered is cleared from the store beside that."""
        for outbox, run in runs.items():
            outbox.sent(len(run))
            self._make_ready(outbox)
        clearing = asyncio.create_task(self._clear(runs))
        self._clears.add(clearing)
        clearing.add_done_callback(self._cleared)

    async def _clear(self, runs: dict[Outbox, list[Pending]]) -> None:
        entries = [entry for run in runs.values() for entry in run]
        await self._patiently(lambda: self._core.store.clear(entries))
        for outbox, run in runs.items():
            self._count -= outbox.clear(run)
            self._forget_if_empty(outbox)
        if self._count <= BACKLOG_FOR_ROOM:
            self._room.set()
        self._core.activity.pulse()

    def _forget_if_empty(self, outbox: Outbox) -> None:
        if not outbox.uncleared and not outbox.stale and not outbox.busy:
            self._outboxes.pop(outbox.document, None)

    async def _load(self, outbox: Outbox) -> None:
        """Merge what the store holds of a document into its queue."""
        if outbox.stale:
            outbox.stale = False
            self._count -= 1
        after = 0
        found: list[Pending] = []
        while entries := await self._core.store.pending(document=outbox.document, after=after):
            after = entries[-1].sequence
            found += entries
        self._count += outbox.merge(found)
        outbox.busy = False
        self._make_ready(outbox)
        self._forget_if_empty(outbox)
        self._core.activity.pulse()

    async def _patiently(self, act: Callable[[], Awaitable[None]]) -> None:
        """Act until it works: the log, or the store, comes back."""
        backoff = FIRST_BACKOFF
        this = object()
        try:
            while True:
                try:
                    await act()
                except (Unavailable, TooManyDeadLetters) as error:
                    if not self._failures:
                        self._core.log.warning("nothing goes out: %s", error)
                    since, _why = self._failures.get(this, (self._core.clock.monotonic(), ""))
                    self._failures[this] = since, str(error)
                    await asyncio.sleep(backoff)
                    backoff = min(2 * backoff, LONGEST_BACKOFF)
                else:
                    break
        finally:
            if self._failures.pop(this, None) and not self._failures:
                self._core.log.info("events go out again")

    async def _sweep_forever(self) -> None:
        while True:
            await self._core.clock.sleep(SWEEP_SECONDS)
            await self._patiently(self._sweep)

    async def _sweep(self, *, at_once: bool = False) -> None:
        """Take up entries that nobody is sending."""
        after, seen = 0, set()
        while entries := await self._core.store.pending(after=after):
            after = entries[-1].sequence
            for entry in entries:
                document = (entry.collection, entry.document_id)
                outbox = self._outboxes.get(document)
                if outbox is not None and entry.sequence in outbox.uncleared:
                    continue
                if at_once or entry.sequence in self._seen_once:
                    self.reload(document)
                else:
                    seen.add(entry.sequence)
        self._seen_once = seen
