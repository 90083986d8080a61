"""Every topic there is, declared once: what Kafka's topics are made from and what the embedded log keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from patchline_schemas import event_types
from patchline_schemas.envelope import URGENT_SUFFIX

PARTITIONS = 6
"""Of a topic, where an installation sets nothing else: six members of a group can share the work, and a
broker with two cores still holds all topics easily."""
KEEP = timedelta(days=30)
"""How long a handled record is kept, where an installation sets nothing else."""
KEEP_DEAD_LETTERS = timedelta(days=90)
"""A person looks at these, and may be on holiday."""
STANDING_TOPICS = frozenset(
    {
        "fleet.group-registered",
        "fleet.target-registered",
        "fleet.target-removed",
        "fleet.inventory-reported",
        "fleet.inventory-failed",
    }
)
"""Topics that say what *is* rather than what happened: the newest record of each key is kept forever, so
that a service that is new reads the whole fleet."""
KEPT_FOREVER = frozenset({"ledger.sealed"})
"""Few and small, and the proof of what a store may have lost."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be. ``name`` is without the installation's prefix."""

    name: str
    partitions: int
    keep: timedelta | None
    """How long a record is kept at least; null for ever. Of a compacted topic: before a newer one of its key
    replaces it."""
    compacted: bool = False


def declared_topics(*, partitions: int = PARTITIONS, keep: timedelta = KEEP) -> dict[str, Topic]:
    """The topics of all event classes and their urgent twins, by name."""
    names = sorted({topic for kind in event_types().values() for topic in kind.topics()})
    return {name: _topic(name, partitions, keep) for name in names}


def is_urgent(topic: str) -> bool:
    """Whether a topic is the urgent twin of another, and so read before it."""
    return topic.endswith(URGENT_SUFFIX)


def _topic(name: str, partitions: int, keep: timedelta) -> Topic:
    if name in KEPT_FOREVER:
        return Topic(name, partitions, None)
    if name == "dead-letters":
        return Topic(name, partitions, max(keep, KEEP_DEAD_LETTERS))
    return Topic(name, partitions, keep, compacted=name in STANDING_TOPICS)
