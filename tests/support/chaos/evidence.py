"""What a run leaves behind, as plain data: events on topics, the sim fleet's apply log, the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

Outcome = Literal["completed", "failed-in-test", "rolled-back"]


@dataclass(frozen=True, slots=True)
class Told:
    """An event as it lies on a topic."""

    id: str
    topic: str
    """Without prefix, as read: an urgent one ends with ``.urgent``."""
    source: str
    key: str
    cause: str | None
    at: datetime
    """When the broker appended it, by the broker's clock."""
    place: tuple[int, int]
    """Partition and offset."""
    body: Mapping[str, Any]
    raw: tuple[object, ...] = ()
    """Headers and value as they came, to compare."""

    @property
    def kind(self) -> str:
        """The topic, whatever its lane."""
        return self.topic.removesuffix(".urgent")


@dataclass(frozen=True, slots=True)
class Touch:
    """A line of the sim fleet's apply log."""

    number: int
    target: str
    at: datetime
    event: Literal["begin", "end", "interrupted"]
    run: str
    operation: Literal["apply", "rollback"]
    component: str
    version: str
    fence: int
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry of the ledger."""

    event_id: str
    topic: str
    raw: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What was published, and how it must end."""

    component: str
    version: str
    before: str
    targets: tuple[str, ...]
    outcome: Outcome
    kept: frozenset[str] = frozenset()
    """Targets that have the version in the end although the update failed: their wave was verified before."""


@dataclass(frozen=True, slots=True)
class PulsedWindow:
    """A window that opens at second 0 of every ``minutes``-th minute since the epoch."""

    seconds: float
    """How long it stays open."""
    minutes: int = 1

    def open_at(self, at: datetime) -> bool:
        """Whether it is open then."""
        return at.timestamp() % (60 * self.minutes) < self.seconds


@dataclass(frozen=True)
class Evidence:
    """All of it."""

    told: Sequence[Told]
    """Every record that is an event, in the broker's order of time; one sent twice is there twice."""
    touches: Sequence[Touch]
    kept: Sequence[Kept]
    ledger_problems: Sequence[str]
    """What verifying the ledger's chains and seals says."""
    packages: Mapping[str, Mapping[str, str]]
    """What each target has in the end."""
    expected: Sequence[Expected]
    windows: Mapping[str, PulsedWindow] = field(default_factory=dict)
    """By target; one that is not named may be touched at any time."""
    poison: frozenset[str] = frozenset()
    """``topic/partition/offset`` of the records that were made to be unreadable."""
    unread: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """By topic and partition, the offset from which on the ledger had not read when it was ended.

    What was told there came after all had been quiet: a seal goes by the clock, and may be told last of all.
    """

    @cached_property
    def first(self) -> Mapping[str, Told]:
        """Each event at its first appearance, in order."""
        found: dict[str, Told] = {}
        for told in self.told:
            found.setdefault(told.id, told)
        return found

    def is_unread(self, told: Told) -> bool:
        """Whether the ledger was ended before its turn to read this came."""
        partition, offset = told.place
        read_to = self.unread.get((told.topic, partition))
        return read_to is not None and offset >= read_to

    def of_kind(self, *kinds: str) -> Iterable[Told]:
        """The first appearances of events of these topics, in order."""
        return (told for told in self.first.values() if told.kind in kinds)
