"""The state folder: who may use it at the same time, and under which name it is known."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import uuid
from collections.abc import Sequence
from pathlib import Path

LOCK_FILE = "patchline.lock"
LOCK_FOLDER = "locks"
NAME_FILE = "patchline.id"


class FolderTaken(Exception):
    """Another Patchline works on the folder; the text names it and says what to do."""


class FolderLock:
    """A hold on ``services`` in a state folder, given back by :meth:`release` or by the end of the process.

    With ``alone`` nobody else may run any of them there, nor another whole Patchline: its services know
    that nobody works beside them. Replicas in processes of their own hold their service together, and a
    service that a whole Patchline does not have runs beside it. With ``shared`` transport and store (servers)
    replicas of any service run beside a whole Patchline too. Raises :class:`FolderTaken`, or
    :class:`OSError` for a folder that cannot be used.
    """

    def __init__(
        self, folder: Path, *, alone: bool, services: Sequence[str] = (), shared: bool = False
    ) -> None:
        locks = folder / LOCK_FOLDER
        locks.mkdir(parents=True, exist_ok=True)
        self._descriptors: list[int] = []
        try:
            if alone:
                self._hold(folder, folder / LOCK_FILE, alone=True)
            for name in services:
                self._hold(folder, locks / name, alone=alone and not shared)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let others use the folder."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _hold(self, folder: Path, path: Path, *, alone: bool) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._descriptors.append(descriptor)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
            what = "Patchline" if path.name == LOCK_FILE else f"Patchline's service {path.name}"
            raise FolderTaken(
                f"{what} already runs on {folder.resolve()}{f' (pid {holder})' if holder else ''}."
                " Stop it first, or choose another folder with --dir or PATCHLINE_DIR."
            ) from None
        if alone:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def name_of(folder: Path) -> str:
    """A name that stays with the folder, made the first time, by whichever process comes first."""
    path = folder / NAME_FILE
    if not path.exists():
        name = uuid.uuid4()
        fresh = path.with_suffix(f".{name}")  # no process id: each container's first process has the same
        fresh.write_text(f"{name}\n")
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text().strip()
