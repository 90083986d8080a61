"""Copies SQLite databases that a live application may be writing to."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from patchline_fleet.errors import DriverError

MAGIC = b"SQLite format 3\x00"
COMPANIONS = ("-wal", "-shm", "-journal")
"""Files beside a database that belong to its present state; the copy holds that state by itself."""
WAIT_SECONDS = 30


def is_database(path: Path) -> bool:
    """Whether the file is a SQLite database (by its first bytes)."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def is_companion(path: Path) -> bool:
    """Whether the file is a journal of a database beside it."""
    for ending in COMPANIONS:
        if path.name.endswith(ending):
            database = path.with_name(path.name.removesuffix(ending))
            return database.is_file() and is_database(database)
    return False


def companions(database: Path) -> list[Path]:
    """The journals that lie beside a database."""
    beside = [database.with_name(database.name + ending) for ending in COMPANIONS]
    return [path for path in beside if path.exists()]


def _give_up_after(seconds: float, source: Path) -> Callable[[int, int, int], None]:
    """A progress callback: by itself the online backup waits for a locked database for ever."""
    deadline = time.monotonic() + seconds

    def progress(_status: int, _remaining: int, _total: int) -> None:
        if time.monotonic() > deadline:
            raise DriverError(f"the database {source} stays locked for more than {seconds:g} s")

    return progress


def copy_database(source: Path, target: Path) -> None:
    """Copy one consistent state with SQLite's online backup (https://sqlite.org/backup.html).

    Raises :class:`DriverError` if the database cannot be read, for example because it stays locked.
    """
    target.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(
                sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=WAIT_SECONDS)
            ) as live,
            contextlib.closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy, progress=_give_up_after(WAIT_SECONDS, source))
    except sqlite3.Error as error:
        raise DriverError(f"the database {source} cannot be copied: {error}") from error
    shutil.copystat(source, target)
