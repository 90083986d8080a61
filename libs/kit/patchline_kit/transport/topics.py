"""Every topic there is, declared once: what Kafka's topics are made from and what the embedded log keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from patchline_kit.settings import ServiceSettings
from patchline_schemas import event_types
from patchline_schemas.envelope import URGENT_SUFFIX

PARTITIONS = 6
"""Of a topic, where an installation sets nothing else: six members of a group can share the work, and a
broker with two cores still holds all topics easily."""
KEEP = timedelta(days=30)
"""How long a handled record is kept, where an installation sets nothing else."""
KEEP_DEAD_LETTERS = timedelta(days=90)
"""A person looks at these, and may be on holiday."""
REGISTRATIONS = frozenset(
    {"fleet.group-registered", "fleet.group-removed", "fleet.target-registered", "fleet.target-removed"}
)
"""Topics that say what *is* rather than what happened: the newest record of each key is kept forever, so
that a service that is new reads the whole fleet (and what is no part of it any more)."""
PLAYBACK = "ledger.played-back"
"""Carries records of other topics from the ledger to one reader that builds its read models anew (see
:mod:`patchline_kit.playback`). No event has it as its own."""
KEEP_PLAYBACK = timedelta(days=2)
"""A reader that needs longer begins anew."""
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
    replication: int = 1
    """Copies, each on a broker of its own."""
    min_in_sync: int = 1
    """So many copies must have a record before it counts as stored."""


def declared_topics(
    *,
    partitions: int = PARTITIONS,
    keep: timedelta = KEEP,
    replication: int = 1,
    min_in_sync: int | None = None,
) -> dict[str, Topic]:
    """The topics of all event classes and their urgent twins, and that of playbacks, by name.

    By default one copy less than there are must have a record: one broker may be down.
    """
    names = sorted({topic for kind in event_types().values() for topic in kind.topics()})
    in_sync = max(1, replication - 1) if min_in_sync is None else min_in_sync
    return {
        name: Topic(name, partitions, _kept(name, keep), name in REGISTRATIONS, replication, in_sync)
        for name in [*names, PLAYBACK]
    }


def topics_set_by(settings: ServiceSettings) -> dict[str, Topic]:
    """The topics as an installation with these settings wants them."""
    return declared_topics(
        partitions=settings.kafka_partitions,
        keep=settings.keep,
        replication=settings.kafka_replication,
        min_in_sync=settings.kafka_min_in_sync,
    )


def is_urgent(topic: str) -> bool:
    """Whether a topic is the urgent twin of another, and so read before it."""
    return topic.endswith(URGENT_SUFFIX)


def _kept(name: str, keep: timedelta) -> timedelta | None:
    if name in KEPT_FOREVER:
        return None
    if name == PLAYBACK:
        return KEEP_PLAYBACK
    return max(keep, KEEP_DEAD_LETTERS) if name == "dead-letters" else keep
