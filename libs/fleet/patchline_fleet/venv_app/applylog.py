"""The apply log of an application's folder: ``.patchline/applies.jsonl``, append-only, an object a line.

A change writes a ``begin`` and an ``end`` under the folder's lock. A ``begin`` that the next change finds
without its end gets an ``interrupted``, so that the file alone shows that no two changes overlapped.
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from patchline_fleet.errors import Busy

Operation = Literal["apply", "rollback"]
FILE = "applies.jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line."""

    event: Literal["begin", "end", "interrupted"]
    run: str
    """Id of the change; the same in its begin and its end."""
    operation: Operation
    component: str
    version: str
    """To bring into effect; of a rollback, the version that is undone."""
    fence: int
    scope: str
    at: str = ""
    """RFC 3339, UTC."""
    pid: int = 0
    outcome: Literal["succeeded", "failed"] | None = None
    error: str | None = None
    changes: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    """Package, version before, version after."""
    packages: dict[str, str] = field(default_factory=dict)
    """In an end that succeeded: the whole package set the change left."""
    files: dict[str, str] = field(default_factory=dict)
    """In an end that succeeded: digests of the paths that a rollback puts back."""


class ApplyLog:
    """Reads and appends; the caller holds the folder's lock."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE

    def entries(self) -> list[Entry]:
        """All lines in order; a line that a power cut left half-written is passed over."""
        if not self._path.exists():
            return []
        found = []
        for line in self._path.read_bytes().split(b"\n"):
            try:
                found.append(Entry(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found

    def unfinished(self) -> Entry | None:
        """The change that began last, if it has no end."""
        entries = self.entries()
        return entries[-1] if entries and entries[-1].event == "begin" else None

    def begin(self, operation: Operation, component: str, version: str, *, fence: int, scope: str) -> Entry:
        """Note that a change begins, and first that the one before was cut off, if it was."""
        cut_off = self.unfinished()
        if cut_off:
            self._append(replace(cut_off, event="interrupted"))
        entry = Entry("begin", uuid.uuid4().hex, operation, component, version, fence, scope)
        self._append(entry)
        return entry

    def succeeded(
        self,
        begun: Entry,
        *,
        changes: list[tuple[str, str | None, str | None]],
        packages: dict[str, str],
        files: dict[str, str],
    ) -> None:
        """Note that the change ended well."""
        self._append(
            replace(begun, event="end", outcome="succeeded", changes=changes, packages=packages, files=files)
        )

    def failed(self, begun: Entry, error: str) -> None:
        """Note that the change failed."""
        self._append(replace(begun, event="end", outcome="failed", error=error[-2000:]))

    def _append(self, entry: Entry) -> None:
        stamped = replace(entry, at=datetime.now(UTC).isoformat(), pid=os.getpid())
        line = json.dumps(asdict(stamped), separators=(",", ":")).encode() + b"\n"
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def refuse_half_changed(folder: Path, state: Path) -> None:
    """Raise :class:`Busy` if a change of the application was cut off and nobody has put it right yet."""
    cut_off = ApplyLog(state).unfinished()
    if cut_off:
        raise Busy(
            f"the {cut_off.operation} of {cut_off.component} {cut_off.version} on {folder} was cut off; "
            "what is installed is not certain until it is applied again or rolled back"
        )
