"""Folders for work that must leave nothing behind, not even after a crash."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

LOCK = ".lock"
"""Held by ``flock`` while the folder is in use, so that a sweep knows who lives; the kernel frees it."""


@asynccontextmanager
async def scratch(work: Path, purpose: str) -> AsyncIterator[Path]:
    """An empty folder below ``work`` whose name begins with ``purpose``; removed at the end.

    Raises :class:`OSError` if it cannot be made.
    """
    folder, lock = await asyncio.to_thread(_make, work, purpose)
    try:
        content = folder / "content"
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
        if _locked(lock) and folder.is_dir():
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
            if _locked(lock):
                _rmtree(folder)
                removed += 1
        finally:
            os.close(lock)
    return removed


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _rmtree(folder: Path) -> None:
    """Remove a tree whose folders a copy may have left without write permission."""
    for path, subfolders, _files in os.walk(folder):
        for subfolder in (Path(path, name) for name in subfolders):
            if not subfolder.is_symlink():
                subfolder.chmod(0o700)
    shutil.rmtree(folder)
