"""Folders for work that must leave nothing behind, not even after a crash."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

CONTENT = "content"
"""What of the folder the work sees."""
LOCK = ".lock"
"""Held by ``flock`` while the folder is in use, so that a sweep knows who lives; the kernel frees it."""


@asynccontextmanager
async def scratch(work: Path, purpose: str) -> AsyncIterator[Path]:
    """An empty folder below ``work`` whose name begins with ``purpose``; removed at the end.

    Raises :class:`OSError` if it cannot be made.
    """
    folder, lock = await asyncio.to_thread(_make, work, purpose)
    try:
        content = folder / CONTENT
        content.mkdir()
        yield content
    finally:
        await asyncio.shield(asyncio.to_thread(_remove, folder, lock))


async def sweep(work: Path, purpose: str) -> int:
    """Remove what crashed processes left of ``purpose`` below ``work``; how many folders that were."""
    return await asyncio.to_thread(_sweep, work, purpose)


def _make(work: Path, purpose: str) -> tuple[Path, int]:
    work.mkdir(parents=True, exist_ok=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=work))
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # a sweep of another process came between
        if _locked(folder, lock):
            return folder, lock
        os.close(lock)


def _remove(folder: Path, lock: int) -> None:
    try:
        _rmtree(folder)
    finally:
        os.close(lock)


def _sweep(work: Path, purpose: str) -> int:
    removed = 0
    for folder in work.glob(f"{purpose}-*"):
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            if _locked(folder, lock):
                _rmtree(folder)
                removed += 1
        finally:
            os.close(lock)
    return removed


def _locked(folder: Path, lock: int) -> bool:
    """Whether the folder is this process's now: nobody else holds the lock, and it is still the folder's."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock), (folder / LOCK).stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _rmtree(folder: Path) -> None:
    """Remove a folder, its lock last: until then nobody else touches it.

    From then on another process may find it unlocked, and puts a lock of its own there: one that makes the
    folder then has it, one that sweeps removes it.
    """
    content = folder / CONTENT
    if content.is_dir():
        _allow_removal(content)
        shutil.rmtree(content)
    with suppress(FileNotFoundError):
        (folder / LOCK).unlink()
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise


def _allow_removal(tree: Path) -> None:
    """Give write permission back to folders that a copy has left without it."""
    for path, subfolders, _files in os.walk(tree):
        for subfolder in (Path(path, name) for name in subfolders):
            if not subfolder.is_symlink():
                subfolder.chmod(0o700)
