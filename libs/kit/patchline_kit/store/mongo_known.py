"""What a process remembers of documents it has read or written: what their next save has to name.

A save is one blind write, yet it numbers what it emits and tells which older entries still wait. Both follow
from the version it builds on, so what was seen at that version is enough, but for entries cleared since.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from patchline_kit.store.mongo_layout import Row

REMEMBERED = 20_000
"""Documents, the most recently used ones."""
TAIL_BITS = 11
"""Low bits of a sequence that tell processes apart."""


@dataclass(frozen=True, slots=True)
class Known:
    """What lies beside a document's body."""

    version: int
    """As it lies there: negative for a deleted document, 0 for one that never was."""
    last: int = 0
    """The sequence of the newest entry that was ever put into its outbox."""
    waiting: Mapping[int, int] = field(default_factory=dict)
    """What is in its outbox: bytes by sequence, ascending."""
    inbox: int = 0
    """How many records its inbox holds."""
    spills: int = 0
    """How often entries have left its inbox."""

    @property
    def waiting_bytes(self) -> int:
        """How much its outbox holds."""
        return sum(self.waiting.values())

    @classmethod
    def of(cls, row: Row) -> Known:
        """From a document as it was read."""
        waiting = {entry["sequence"]: entry["size"] for entry in row.get("outbox", ())}
        return cls(
            row["version"], row.get("sequence", 0), waiting, row.get("inbox_size", 0), row.get("spills", 0)
        )


class KnownDocuments:
    """The newest that is known of each document."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Known] = OrderedDict()

    def get(self, key: str) -> Known | None:
        """What is known, or None."""
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def learn(self, key: str, known: Known) -> None:
        """Something was read or written; what is older than the known is passed over."""
        old = self._known.get(key)
        if old is not None and abs(old.version) > abs(known.version):
            return
        if old is not None and old.version == known.version:
            both = {one: size for one, size in known.waiting.items() if one in old.waiting}
            known = replace(known, waiting=both)
        self._known[key] = known
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def cleared(self, key: str, sequences: Iterable[int]) -> None:
        """Entries have left the outbox."""
        known = self._known.get(key)
        if known is not None:
            gone = frozenset(sequences)
            left = {one: size for one, size in known.waiting.items() if one not in gone}
            self._known[key] = replace(known, waiting=left)

    def forget(self, key: str) -> None:
        """What is known has turned out to be old."""
        self._known.pop(key, None)


class Sequences:
    """Numbers outbox entries: rising within a document whoever writes, and roughly by time over all.

    A number is microseconds and, in its low bits, which process gave it.
    """

    def __init__(self, tail: int) -> None:
        self._tail = tail & ((1 << TAIL_BITS) - 1)
        self._last = 0

    def take(self, count: int, above: int) -> list[int]:
        """``count`` numbers above ``above`` and all that were taken before."""
        first = max(time.time_ns() // 1_000, self._last + 1, (above >> TAIL_BITS) + 1)
        self._last = first + max(0, count - 1)
        return [(micro << TAIL_BITS) | self._tail for micro in range(first, first + count)]
