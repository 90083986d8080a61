"""The state folder: who may use it at the same time, and under which name it is known."""

from __future__ import annotations

import errno
import fcntl
import os
import uuid
from pathlib import Path

LOCK_FILE = "patchline.lock"
NAME_FILE = "patchline.id"


class FolderTaken(Exception):
    """Another Patchline works on the folder; the text names it and says what to do."""


class FolderLock:
    """A hold on a state folder, given back by :meth:`release` or by the end of the process.

    With ``alone`` nobody else may hold it: so a whole Patchline knows that it is the only one. Services in
    processes of their own hold it together. Raises :class:`FolderTaken`, or :class:`OSError` for a folder
    that cannot be used.
    """

    def __init__(self, folder: Path, *, alone: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / LOCK_FILE
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise FolderTaken(
                f"Patchline already runs on {folder.resolve()}{f' (pid {holder})' if holder else ''}."
                " Stop it first, or choose another folder with --dir or PATCHLINE_DIR."
            ) from None
        if alone:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others use the folder."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def name_of(folder: Path) -> str:
    """A name that stays with the folder, made the first time."""
    path = folder / NAME_FILE
    if not path.exists():
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(f"{uuid.uuid4()}\n")
        fresh.replace(path)
    return path.read_text().strip()
