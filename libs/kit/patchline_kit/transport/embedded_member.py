"""One member of a group that reads the embedded log."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from patchline_kit.transport.embedded_log import LogFile
from patchline_kit.transport.port import BatchHandler, Lag, Received, TransportError
from patchline_kit.transport.topics import is_urgent

BATCH_RECORDS = 500
BATCH_BYTES = 8 << 20
STAND_BY_SECONDS = 0.2
"""How often a member that stands by tries to take over."""
RETRY_SECONDS = (0.1, 5.0)
"""First and longest pause before records whose handling failed come again."""

log = logging.getLogger(__name__)


class EmbeddedSubscription:
    """One member of a group; implements :class:`patchline_kit.transport.port.Subscription`."""

    def __init__(
        self,
        *,
        file: LogFile,
        lock: Path,
        group: str,
        topics: tuple[str, ...],
        handler: BatchHandler,
        from_end: bool,
        grace: float,
        members: list[EmbeddedSubscription],
    ) -> None:
        self._file = file
        self._lock = lock
        self._group = group
        self._urgent = tuple(topic for topic in topics if is_urgent(topic))
        self._routine = tuple(topic for topic in topics if not is_urgent(topic))
        self._handler = handler
        self._from_end = from_end
        self._grace = grace
        self._members = members
        self._positions: dict[str, int] = {}
        self._active = False
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._commit: asyncio.Task[None] | None = None
        self._uncommitted: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Become the active member if nobody else is; go on in the background."""
        descriptor = self._open_lock()
        try:
            self._active = await self._try_to_lead(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._members.append(self)
        self._task = asyncio.create_task(self._serve(descriptor), name=f"embedded log: {self._group}")

    async def stop(self) -> None:
        """Let the batch in hand finish, or cancel it after the grace time; store positions; leave."""
        self._stopping.set()
        self._changed.set()
        task, self._task = self._task, None
        if task is None:
            return
        done, _ = await asyncio.wait([task], timeout=self._grace)
        if not done:
            log.warning("%s: a batch did not finish in %s s and is delivered again", self._group, self._grace)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def lag(self) -> Lag:
        """How many records wait to be handled; none while this member stands by."""
        if not self._active:
            return Lag(0, None)
        parts = [self._file.behind(topic, place) for topic, place in self._behind(self._all()).items()]
        oldest = [at for _, at in parts if at is not None]
        return Lag(sum(count for count, _ in parts), min(oldest, default=None))

    def assigned(self) -> bool:
        """Whether this member is the active one of its group."""
        return self._active

    def wake(self) -> None:
        """Look for records: something was appended."""
        self._changed.set()

    async def _serve(self, descriptor: int) -> None:
        try:
            await self._stand_by(descriptor)
            await self._handle_batches()
        finally:
            try:
                await self._finish_commits()
            finally:  # whatever becomes of the positions, the lock is for the next member
                self._active = False
                os.close(descriptor)
                if self in self._members:
                    self._members.remove(self)

    async def _stand_by(self, descriptor: int) -> None:
        while not self._active and not self._stopping.is_set():
            await _wait_at_most(STAND_BY_SECONDS, self._stopping.wait())
            try:
                self._active = await self._try_to_lead(descriptor)
            except TransportError as error:
                log.warning("%s: cannot take over yet: %s", self._group, error)

    async def _handle_batches(self) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            self._changed.clear()
            try:
                batch = self._next_batch()
                if not batch:
                    await self._changed.wait()
                    continue
                await self._handler(batch)
            except Exception:
                pause = min(max(pause * 2, RETRY_SECONDS[0]), RETRY_SECONDS[1])
                log.exception("%s: records could not be handled; again in %.1f s", self._group, pause)
                await _wait_at_most(pause, self._stopping.wait())
                continue
            pause = 0.0
            handled = {record.topic: record.offset for record in batch}
            self._positions |= handled
            self._uncommitted |= handled
            self._commit_in_background()

    def _next_batch(self) -> list[Received]:
        """Urgent records if there are any, else routine ones, in the order in which they were appended."""
        behind = self._behind(self._urgent) or self._behind(self._routine)
        return self._file.after(behind, limit=BATCH_RECORDS, most_bytes=BATCH_BYTES)

    def _behind(self, topics: Sequence[str]) -> Mapping[str, int]:
        """This member's position in each of ``topics`` that has records after it."""
        ends = self._file.ends()
        return {
            topic: self._positions[topic] for topic in topics if ends.get(topic, 0) > self._positions[topic]
        }

    def _all(self) -> tuple[str, ...]:
        return self._urgent + self._routine

    def _commit_in_background(self) -> None:
        if self._commit is None or self._commit.done():
            self._commit = asyncio.create_task(self._commit_all(), name=f"embedded log: commit {self._group}")

    async def _commit_all(self) -> None:
        while self._uncommitted:
            positions, self._uncommitted = self._uncommitted, {}
            try:
                await self._file.commit(self._group, positions)
            except TransportError as error:
                self._uncommitted = positions | self._uncommitted
                log.warning("%s: positions are not stored yet: %s", self._group, error)
                return

    async def _finish_commits(self) -> None:
        if self._commit is not None:
            await self._commit
        if self._uncommitted:
            await self._commit_all()

    def _open_lock(self) -> int:
        try:
            self._lock.parent.mkdir(exist_ok=True)
            return os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise TransportError(f"the lock file {self._lock} cannot be opened: {error.strerror}") from error

    async def _try_to_lead(self, descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        stored = self._file.positions(self._group)
        ends = self._file.ends() if self._from_end else {}
        fresh = {topic: ends.get(topic, 0) for topic in self._all() if topic not in stored}
        self._positions = {topic: stored[topic] for topic in self._all() if topic in stored} | fresh
        if fresh:  # a position from the first moment on: retention waits for it, and `from_end` is kept
            await self._file.commit(self._group, fresh, lazy=False)
        return True


async def _wait_at_most(seconds: float, event: Coroutine[Any, Any, Any]) -> None:
    try:
        await asyncio.wait_for(event, seconds)
    except TimeoutError:
        return
