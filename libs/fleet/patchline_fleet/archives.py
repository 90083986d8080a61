"""Where backups lie: the port, its adapter for a folder, and the rule by which old ones go."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol, TypeVar

from patchline_fleet.archive_format import ArchiveError, no_room, pack, unpack
from patchline_fleet.files import sha256_of, sync_folder

__all__ = [
    "Archive",
    "ArchiveError",
    "Archives",
    "FolderArchives",
    "KeptArchive",
    "StoredArchive",
    "expired",
]

R = TypeVar("R")

SCHEME = "folder:"
SUFFIX = ".tar.zst"
DRAFTS = ".drafts"
"""Folder of the archives being written, apart from the targets' so that looking through it stays cheap."""
ABANDONED_AFTER = timedelta(days=1)
"""A draft this old belongs to nobody any more."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*(/[A-Za-z0-9][A-Za-z0-9._@+-]*)*")


@dataclass(frozen=True, slots=True)
class Archive:
    """A stored backup."""

    address: str
    sha256: str
    """Of the archive's bytes."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class StoredArchive:
    """An archive as its store lists it."""

    address: str
    size: int
    """Bytes."""
    stored_at: datetime


class Archives(Protocol):
    """Keeps backups, each a folder's content under a name."""

    async def put(self, folder: Path, name: str) -> Archive:
        """Store the content of ``folder``; durable on return. Storing again makes another archive.

        Raises :class:`patchline_fleet.errors.NotEnoughSpace` or :class:`ArchiveError`.
        """

    async def fetch(self, address: str, sha256: str, into: Path) -> None:
        """Unpack an archive below the empty folder ``into``, once its digest and every file's fit.

        Raises :class:`ArchiveError` if it is not there or not whole,
        :class:`patchline_fleet.errors.NotEnoughSpace` if it does not fit in.
        """

    async def verify(self, address: str, sha256: str) -> None:
        """Read the archive and compare its digest, without unpacking it.

        Raises :class:`ArchiveError` if it is not there or not whole.
        """

    async def exists(self, address: str) -> bool:
        """Whether the archive is there."""

    async def delete(self, address: str) -> None:
        """Delete the archive if it is there."""

    async def list(self) -> Sequence[StoredArchive]:
        """All archives, oldest first."""


class FolderArchives:
    """Archives as files below one folder, which all of a host's services share."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, folder: Path, name: str) -> Archive:
        """Write ``NAME.UNIQUE.tar.zst``: two writers never share a file, even if they write the same."""
        if not _NAME.fullmatch(name):
            raise ArchiveError(f"{name!r} is no name for an archive")
        return await _in_thread(lambda stop: self._put(folder, name, stop))

    async def fetch(self, address: str, sha256: str, into: Path) -> None:
        """Check the whole file's digest first: nothing of an archive that does not fit is unpacked."""
        path = self._path(address)
        await _in_thread(lambda stop: _fetch(path, sha256, into, stop))

    async def verify(self, address: str, sha256: str) -> None:
        """Read the file once."""
        path = self._path(address)
        await _in_thread(lambda stop: _verify(path, sha256))

    async def exists(self, address: str) -> bool:
        """Whether the file is there."""
        return await asyncio.to_thread(self._path(address).is_file)

    async def delete(self, address: str) -> None:
        """Delete the file."""
        await asyncio.to_thread(self._path(address).unlink, missing_ok=True)

    async def list(self) -> Sequence[StoredArchive]:
        """All archive files, oldest first."""
        return await asyncio.to_thread(self._list)

    def _path(self, address: str) -> Path:
        name = address.removeprefix(SCHEME)
        if name == address or not _NAME.fullmatch(name) or not name.endswith(SUFFIX):
            raise ArchiveError(f"{address!r} is no address of an archive in a folder")
        return self._root / name

    def _put(self, folder: Path, name: str, stop: threading.Event) -> Archive:
        parent = (self._root / name).parent
        drafts = self._root / DRAFTS
        for needed in (parent, drafts):
            needed.mkdir(parents=True, exist_ok=True)
        _sweep(drafts)
        temporary = drafts / uuid.uuid4().hex
        try:
            with temporary.open("xb") as file:
                sha256, size = pack(folder, file, stop=stop)
                file.flush()
                os.fsync(file.fileno())
            final = self._root / f"{name}.{temporary.name}{SUFFIX}"
            temporary.replace(final)
            sync_folder(parent)
        except OSError as error:
            raise no_room(error, f"the backup {name}", self._root) from error
        finally:
            temporary.unlink(missing_ok=True)
        return Archive(address=SCHEME + str(final.relative_to(self._root)), sha256=sha256, size=size)

    def _list(self) -> Sequence[StoredArchive]:
        found = []
        for path in self._root.rglob(f"*{SUFFIX}"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            address = SCHEME + str(path.relative_to(self._root))
            found.append(StoredArchive(address, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC)))
        return sorted(found, key=lambda each: (each.stored_at, each.address))


def _sweep(drafts: Path) -> None:
    for path in drafts.iterdir():
        try:
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER.total_seconds():
                path.unlink()
        except FileNotFoundError:
            continue


@dataclass(frozen=True, slots=True)
class KeptArchive:
    """What the retention rule needs to know of an archive."""

    address: str
    target_id: str
    made_at: datetime


def expired(
    archives: Iterable[KeptArchive],
    *,
    now: datetime,
    keep_last: int,
    keep_for: timedelta,
    in_use: Collection[str] = (),
) -> list[KeptArchive]:
    """The archives that may go, oldest first.

    One stays while it is among its target's last ``keep_last``, younger than ``keep_for``, or ``in_use``
    (an update that may still be rolled back needs it).
    """
    of_target: dict[str, list[KeptArchive]] = {}
    for each in archives:
        of_target.setdefault(each.target_id, []).append(each)
    gone = []
    for kept in of_target.values():
        newest_first = sorted(kept, key=lambda each: (each.made_at, each.address), reverse=True)
        for each in newest_first[keep_last:]:
            if now - each.made_at >= keep_for and each.address not in in_use:
                gone.append(each)
    return sorted(gone, key=lambda each: (each.made_at, each.address))


def _verify(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise ArchiveError(f"the backup {path} is not there")
    found = sha256_of(path)
    if found != sha256:
        raise ArchiveError(f"the backup {path} was changed: its SHA-256 is {found}, not {sha256}")


def _fetch(path: Path, sha256: str, into: Path, stop: threading.Event) -> None:
    _verify(path, sha256)
    try:
        into.mkdir(parents=True, exist_ok=True)
        unpack(path, into, stop=stop)
    except OSError as error:
        raise no_room(error, f"the content of {path.name}", into) from error


async def _in_thread(work: Callable[[threading.Event], R]) -> R:
    """Run blocking work in a thread; when cancelled, tell it to stop and wait until it has."""
    stop = threading.Event()
    task = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.gather(task, return_exceptions=True)
        raise
