"""What every SQLite file of the kit has in common: durable commits, a layout with a number, a full disk."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import TypeVar

C = TypeVar("C", bound=sqlite3.Connection)

BUSY_TIMEOUT_MS = 30_000
"""How long a commit waits for another process's commit."""
ROOM_BYTES = 1 << 20
"""Below this much free disk an I/O error counts as a full disk."""


class NewerLayout(Exception):
    """The file was written by a newer Patchline."""

    def __init__(self, path: Path, layout: int) -> None:
        super().__init__(f"{path} was written by a newer Patchline (layout {layout}); update this one")


def connect(path: Path, kind: type[C]) -> C:
    """A connection, to be used from any thread, whose commits are on the disk when they return."""
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256, factory=kind
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def lay_out(connection: sqlite3.Connection, path: Path, *, schema: str, layout: int) -> None:
    """Make the tables of ``schema`` in a file that has none.

    Raises :class:`NewerLayout` if it has those of a higher number than ``layout``.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found == 0:
            for statement in schema.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {layout}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    if found > layout:
        raise NewerLayout(path, found)


def code_of(error: Exception) -> int:
    """SQLite's primary result code; 0 where there is none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def disk_is_full(error: Exception, path: Path) -> bool:
    """Whether ``error`` means that there is no room left for the file."""
    code = code_of(error)
    if code != sqlite3.SQLITE_IOERR:
        return code == sqlite3.SQLITE_FULL
    try:
        return shutil.disk_usage(path.parent).free < ROOM_BYTES
    except OSError:
        return False
