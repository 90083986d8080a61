"""Records at work: those of one key one after another, those of different keys together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable

from patchline_kit.handling import Handling
from patchline_kit.records import Job
from patchline_kit.store.port import Saved, StoreError

KEYS_AT_ONCE = 256
"""So many keys of a batch are handled at the same time."""
JOBS_A_TURN = 512
"""After so many jobs a worker that never had to wait lets others go on: what it has saved until then is
stored while it handles the next."""


class Batch:
    """Jobs by key, handled to their ends.

    A worker takes key after key without waiting for what it saves: that is stored together, and a key whose
    job is stored comes back with its next. Only when a worker has to wait does another one come.
    ``blocked`` are the lanes in which records are parked.
    """

    def __init__(self, handling: Handling, keys: Iterable[Iterable[Job]], blocked: set[str]) -> None:
        self._handling = handling
        self._blocked = blocked
        self._ready = deque(_Key(self, jobs) for jobs in keys)
        self._open = len(self._ready)
        self._workers: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()
        self._error: Exception | None = None
        self._given_up = False

    async def run(self) -> None:
        """Handle all. Raises the first error that is no fault of a job, when nothing is at work any more."""
        self._call_worker()
        try:
            await self._over.wait()
        finally:
            self._given_up = True
            for worker in self._workers:
                worker.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)
        if self._error is not None:
            raise self._error

    def _call_worker(self) -> None:
        if len(self._workers) < KEYS_AT_ONCE:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        if len(self._ready) > 1:
            self._call_worker()  # it gets a turn when this one has to wait
        handled = 0
        while self._ready:
            key = self._ready.popleft()
            try:
                await self._advance(key)
            except Exception as error:
                self._fail(error)
            handled += 1
            if handled % JOBS_A_TURN == 0:
                await asyncio.sleep(0)

    async def _advance(self, key: _Key) -> None:
        """Handle the jobs of a key, up to one whose save is on its way."""
        while key.jobs and self._error is None:
            job = key.jobs[-1]
            if job.lane in self._blocked:
                await self._handling.park_behind(job)
            else:
                over = await (
                    self._handling.handle(job) if key.again else self._handling.begin(job, key.stored)
                )
                if over is None:
                    return
                if not over:
                    self._blocked.add(job.lane)
            key.jobs.pop()
            key.again = False
        self._close()

    def stored(self, key: _Key, result: Saved | Exception) -> None:
        """What became of the save of a key's first job."""
        if self._given_up:
            return
        if isinstance(result, StoreError):
            self._fail(result)
            return
        if isinstance(result, Saved):
            key.jobs.pop()
        else:
            key.again = True
        if key.jobs:
            self._ready.append(key)
            self._call_worker()
        else:
            self._close()

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._close()

    def _close(self) -> None:
        """A key is over."""
        self._open -= 1
        if not self._open:
            self._over.set()


class _Key:
    """The jobs of one key that are left."""

    __slots__ = ("_batch", "again", "jobs")

    def __init__(self, batch: Batch, jobs: Iterable[Job]) -> None:
        self._batch = batch
        self.jobs = list(jobs)[::-1]
        """The next is the last: most keys have but one, and a list of one is cheap."""
        self.again = False
        """Whether the first was refused by the store, for a conflict say, and is handled alone."""

    def stored(self, result: Saved | Exception) -> None:
        """What became of the first one's save."""
        self._batch.stored(self, result)
