"""The lock and the fence of an application's folder.

The lock is ``flock`` on ``.patchline/lock``, held by the process that does the work and, through the
inherited descriptor, by the tool it runs: an orphan keeps it. The fence is the highest number seen in each
scope.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from patchline_fleet.errors import Busy, Fenced
from patchline_fleet.files import write_atomically

STATE = ".patchline"
"""Folder in the application's folder: the lock, the fences, the apply log, what was kept aside."""
SCOPES_KEPT = 200
_TAKEN = "another change holds {} for more than {:g} s; wait for it or stop it"


@dataclass(frozen=True, slots=True)
class Held:
    """The lock, while it is held exclusively."""

    state: Path
    descriptor: int
    """For the commands that have to keep the lock should this process die."""

    def admit(self, scope: str, fence: int) -> None:
        """Let the caller pass and remember its fence. Raises :class:`Fenced` if a higher one was here."""
        path = self.state / "fences.json"
        fences: dict[str, int] = json.loads(path.read_bytes()) if path.exists() else {}
        highest = fences.pop(scope, 0)
        if fence < highest:
            raise Fenced(
                f"a newer worker (fence {highest}) has been on {self.state.parent} since; "
                f"this one (fence {fence}) must leave it alone"
            )
        fences[scope] = fence
        newest = dict(list(fences.items())[-SCOPES_KEPT:])
        write_atomically(path, json.dumps(newest).encode())


@contextlib.contextmanager
def exclusive(folder: Path, *, wait: float) -> Iterator[Held]:
    """Hold the folder's lock alone. Raises :class:`Busy` if it is not free within ``wait`` seconds."""
    state = folder / STATE
    if not state.is_dir():
        state.mkdir(exist_ok=True)
        write_atomically(state / ".gitignore", b"*\n")
    with _locked(state / "lock", fcntl.LOCK_EX, wait) as descriptor:
        yield Held(state, descriptor)


@contextlib.contextmanager
def shared(folder: Path, *, wait: float) -> Iterator[None]:
    """Keep changes away while looking. Raises :class:`Busy` if one does not end within ``wait`` seconds."""
    lock = folder / STATE / "lock"
    if not lock.exists():
        yield
        return
    with _locked(lock, fcntl.LOCK_SH, wait):
        yield


@contextlib.asynccontextmanager
async def shared_in_loop(folder: Path, *, wait: float) -> AsyncIterator[None]:
    """Like :func:`shared`, for a process with an event loop: it asks again every tenth of a second."""
    lock = folder / STATE / "lock"
    if not lock.exists():
        yield
        return
    descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            async with asyncio.timeout(wait):
                while not _taken(descriptor):  # noqa: ASYNC110 - another process holds it
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise Busy(_TAKEN.format(lock, wait)) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _locked(path: Path, mode: int, wait: float) -> Iterator[int]:
    descriptor = _open_locked(path, mode, wait)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_locked(path: Path, mode: int, wait: float) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _flock(descriptor, mode, wait, path)
            if _is_still(path, descriptor):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether ``path`` is still the file that was opened: a lock on a deleted file excludes nobody."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _flock(descriptor: int, mode: int, wait: float, path: Path) -> None:
    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise Busy(_TAKEN.format(path, wait))

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, max(wait, 0.001))
    try:
        fcntl.flock(descriptor, mode)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
