"""Whether a topic on Kafka is as it is declared: plain rules on plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from patchline_kit.transport.topics import Topic
from patchline_schemas.envelope import MAX_MESSAGE_BYTES

HEADER_BYTES = 64 * 1024
"""What a record may have in headers beside its value."""
AT_LEAST = frozenset({"max.message.bytes"})
"""Settings of which more is fine too."""
TIMES = frozenset({"retention.ms", "min.compaction.lag.ms"})


@dataclass(frozen=True, slots=True)
class Found:
    """A topic as Kafka has it."""

    partitions: int
    replication: int
    configs: Mapping[str, str | None] | None
    """Its settings; None where we may not ask."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One way in which a topic is not as declared."""

    topic: str
    """Its name on Kafka, with the prefix."""
    what: str
    """What it is and what it should be, for a person."""
    fix: str
    """What to do about it."""


def configs_of(topic: Topic) -> dict[str, str]:
    """The settings on Kafka that make a topic what it is declared to be."""
    keep_ms = -1 if topic.keep is None else int(topic.keep.total_seconds() * 1000)
    configs = {
        "max.message.bytes": str(MAX_MESSAGE_BYTES + HEADER_BYTES),
        # The broker's own time: it never runs backwards within a partition, whoever publishes.
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(topic.min_in_sync),
    }
    if topic.compacted:
        return configs | {"cleanup.policy": "compact", "min.compaction.lag.ms": str(max(keep_ms, 0))}
    return configs | {"cleanup.policy": "delete", "retention.ms": str(keep_ms)}


def drifts(topics: Iterable[Topic], found: Mapping[str, Found], *, prefix: str) -> list[Drift]:
    """Every way in which ``found`` (by name with the prefix) is not as ``topics`` declare.

    More partitions or replicas than declared are fine, and so is room for larger records.
    """
    return [each for topic in topics for each in _drifts_of(topic, prefix + topic.name, found)]


def _drifts_of(topic: Topic, name: str, found: Mapping[str, Found]) -> list[Drift]:
    there = found.get(name)
    if there is None:
        return [Drift(name, "is missing", "patchline topics create")]
    drift: list[Drift] = []
    if there.partitions < topic.partitions:
        drift.append(
            Drift(
                name,
                f"has {_count(there.partitions, 'partition')}, should have {topic.partitions}",
                "once all services have read it to its end, stop Patchline, then kafka-topics.sh --alter"
                f" --topic {name} --partitions {topic.partitions} (which moves keys);"
                f" or keep them with PATCHLINE_KAFKA_PARTITIONS={there.partitions}",
            )
        )
    if there.replication < topic.replication:
        drift.append(
            Drift(
                name,
                f"has {_count(there.replication, 'replica')}, should have {topic.replication}",
                "kafka-reassign-partitions.sh, or another PATCHLINE_KAFKA_REPLICATION",
            )
        )
    if there.configs is None:
        return drift
    wrong = {
        key: value
        for key, value in configs_of(topic).items()
        if not _fits(key, there.configs.get(key), value)
    }
    if wrong:
        what = "; ".join(
            f"{key} is {_shown(key, there.configs.get(key))}, should be {_shown(key, value)}"
            for key, value in wrong.items()
        )
        changes = ",".join(f"{key}={value}" for key, value in wrong.items())
        drift.append(
            Drift(
                name,
                what,
                f"kafka-configs.sh --alter --entity-type topics --entity-name {name} --add-config {changes}"
                + _or_setting(wrong),
            )
        )
    return drift


def _fits(key: str, found: str | None, declared: str) -> bool:
    if found is not None and key in AT_LEAST and found.lstrip("-").isdigit():
        return int(found) >= int(declared)
    return found == declared


def _shown(key: str, value: str | None) -> str:
    if value is None:
        return "not set"
    if key not in TIMES or not value.lstrip("-").isdigit():
        return value
    if int(value) < 0:
        return "for ever"
    time = timedelta(milliseconds=int(value))
    return _count(time.days, "day") if time == timedelta(days=time.days) else f"{time.total_seconds():g} s"


def _or_setting(wrong: Mapping[str, str]) -> str:
    settings = {
        "retention.ms": "PATCHLINE_KEEP",
        "min.compaction.lag.ms": "PATCHLINE_KEEP",
        "min.insync.replicas": "PATCHLINE_KAFKA_MIN_IN_SYNC",
    }
    named = sorted({settings[key] for key in wrong if key in settings})
    return f"; or another {' and '.join(named)}" if set(wrong) <= set(settings) else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
