"""The state of a simulated fleet: one SQLite file, which several processes may use.

It holds the packages of every target and the apply log: append-only, with the fence inside the append.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from patchline_fleet.errors import Fenced, TooLate

FILE = "sim.db"
BUSY_SECONDS = 30
SCHEMA = """
CREATE TABLE IF NOT EXISTS targets (target TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS packages (
    target TEXT, component TEXT, version TEXT NOT NULL, PRIMARY KEY (target, component)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fences (
    target TEXT, scope TEXT, fence INTEGER NOT NULL, PRIMARY KEY (target, scope)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS faults (
    target TEXT, step TEXT, times INTEGER NOT NULL, PRIMARY KEY (target, step)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS applies (
    number INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, at TEXT NOT NULL, event TEXT NOT NULL,
    run TEXT NOT NULL, operation TEXT NOT NULL, component TEXT NOT NULL, version TEXT NOT NULL,
    scope TEXT NOT NULL, fence INTEGER NOT NULL, outcome TEXT, packages TEXT
);
CREATE INDEX IF NOT EXISTS applies_of_target ON applies (target, number);
"""


@dataclass(frozen=True, slots=True)
class Change:
    """A change to one simulated target."""

    target: str
    operation: Literal["apply", "rollback"]
    component: str
    version: str
    scope: str
    fence: int
    run: str = ""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the apply log."""

    target: str
    event: Literal["begin", "end", "interrupted"]
    run: str
    operation: str
    component: str
    version: str
    fence: int
    outcome: str | None
    packages: Mapping[str, str]
    """After an end that succeeded: all of the target's packages."""


class SimFleet:
    """The state below one folder. Its methods block briefly; one thread may use it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            folder / FILE, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def packages(self, target: str, first: Mapping[str, str]) -> dict[str, str]:
        """What the target has; ``first`` if it was never looked at."""
        found = self._packages(target)
        if found or self._db.execute("SELECT 1 FROM targets WHERE target = ?", (target,)).fetchone():
            return found
        with self._write():
            if self._db.execute("INSERT OR IGNORE INTO targets VALUES (?)", (target,)).rowcount:
                self._put(target, first)
        return self._packages(target)

    def begin_unless_in_effect(self, change: Change, *, deadline: float | None = None) -> Change | None:
        """Append the begin, or raise :class:`Fenced`; None if the change was made already.

        A change that was cut off before is noted as such first, and is never taken for one in effect. From
        ``deadline`` on (of the monotonic clock) only that is begun again; else raises :class:`TooLate`.
        """
        begun = replace(change, run=uuid.uuid4().hex)
        with self._write():
            self._admit(change)
            last = self.last(change.target)
            cut_off = last is not None and last.event == "begin"
            if not cut_off and self._in_effect(change, last):
                return None
            at = _now()
            if deadline is not None and time.monotonic() >= deadline and not _carries_on(change, last):
                raise TooLate(f"sim: the time in which {change.target} could be changed is over")
            if last is not None and cut_off:
                self._db.execute(_INTERRUPT, (at, last.run))
            self._append(begun, "begin", None, None, at=at)
        return begun

    def succeed(self, begun: Change, packages: Mapping[str, str]) -> None:
        """Put the packages and the end in one write. Raises :class:`Fenced` if another change began since."""
        with self._write():
            self._still_last(begun)
            self._db.execute("DELETE FROM packages WHERE target = ?", (begun.target,))
            self._put(begun.target, packages)
            self._append(begun, "end", "succeeded", packages)

    def fail(self, begun: Change) -> None:
        """Append an end that failed. Raises :class:`Fenced` if another change began since."""
        with self._write():
            self._still_last(begun)
            self._append(begun, "end", "failed", None)

    def fault_is_due(self, target: str, step: str, times: int | None) -> bool:
        """Whether a set fault happens once more; counts it."""
        if times is None:
            return True
        with self._write():
            row = self._db.execute(
                "SELECT times FROM faults WHERE target = ? AND step = ?", (target, step)
            ).fetchone()
            seen = row[0] if row else 0
            if seen < times:
                self._db.execute("INSERT OR REPLACE INTO faults VALUES (?, ?, ?)", (target, step, seen + 1))
        return bool(seen < times)

    def log(self, target: str | None = None) -> list[LogLine]:
        """The apply log, of one target or of all, in order."""
        where, values = ("WHERE target = ?", (target,)) if target is not None else ("", ())
        rows = self._db.execute(f"{_LINE} {where} ORDER BY number", values)
        return [_line(row) for row in rows]

    def last(self, target: str) -> LogLine | None:
        """The target's last line."""
        row = self._db.execute(f"{_LINE} WHERE target = ? ORDER BY number DESC LIMIT 1", (target,)).fetchone()
        return _line(row) if row else None

    def _in_effect(self, change: Change, last: LogLine | None) -> bool:
        if change.operation == "apply":
            return self._packages(change.target).get(change.component) == change.version
        if last is None or last.outcome != "succeeded":
            return False
        wanted = ("rollback", change.component, change.version)
        return (last.operation, last.component, last.version) == wanted

    def _admit(self, change: Change) -> None:
        row = self._db.execute(
            "SELECT fence FROM fences WHERE target = ? AND scope = ?", (change.target, change.scope)
        ).fetchone()
        if row and change.fence < row[0]:
            raise Fenced(
                f"sim: a newer worker (fence {row[0]}) has been on {change.target} since; "
                f"this one (fence {change.fence}) must leave it alone"
            )
        self._db.execute(
            "INSERT OR REPLACE INTO fences VALUES (?, ?, ?)", (change.target, change.scope, change.fence)
        )

    def _still_last(self, begun: Change) -> None:
        last = self.last(begun.target)
        if last is None or last.run != begun.run:
            raise Fenced(f"sim: another change of {begun.target} began since")

    def _packages(self, target: str) -> dict[str, str]:
        return dict(
            self._db.execute(
                "SELECT component, version FROM packages WHERE target = ? ORDER BY component", (target,)
            )
        )

    def _put(self, target: str, packages: Mapping[str, str]) -> None:
        self._db.executemany(
            "INSERT INTO packages VALUES (?, ?, ?)",
            [(target, component, version) for component, version in packages.items()],
        )

    def _append(
        self,
        change: Change,
        event: str,
        outcome: str | None,
        packages: Mapping[str, str] | None,
        *,
        at: str | None = None,
    ) -> None:
        self._db.execute(
            "INSERT INTO applies (target, at, event, run, operation, component, version, scope, fence,"
            " outcome, packages) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                change.target,
                at or _now(),
                event,
                change.run,
                change.operation,
                change.component,
                change.version,
                change.scope,
                change.fence,
                outcome,
                None if packages is None else json.dumps(dict(packages)),
            ),
        )

    @contextmanager
    def _write(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


_INTERRUPT = """
INSERT INTO applies (target, at, event, run, operation, component, version, scope, fence)
SELECT target, ?, 'interrupted', run, operation, component, version, scope, fence
FROM applies WHERE run = ? AND event = 'begin'
"""
_LINE = "SELECT target, event, run, operation, component, version, fence, outcome, packages FROM applies"


def _line(row: Sequence[Any]) -> LogLine:
    target, event, run, operation, component, version, fence, outcome, packages = row
    return LogLine(
        target=target,
        event=event,
        run=run,
        operation=operation,
        component=component,
        version=version,
        fence=fence,
        outcome=outcome,
        packages=json.loads(packages) if packages else {},
    )


def _carries_on(change: Change, last: LogLine | None) -> bool:
    """Whether ``change`` is what was cut off."""
    return (
        last is not None
        and last.event == "begin"
        and (last.operation, last.component, last.version)
        == (change.operation, change.component, change.version)
    )


def _now() -> str:
    return datetime.now(UTC).isoformat()
