"""When a deadline has really passed: only time in which the service was up and had heard all counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from patchline_kit.documents import Document

OUTAGE_FROM = timedelta(seconds=30)
"""A shorter gap is no outage."""
ALIVE_EVERY = timedelta(seconds=10)
"""How often the service notes that it is up."""
OUTAGES_KEPT = 200
ALIVE_ID = "alive"

Outage = tuple[datetime, datetime]


class Heard(BaseModel):
    """How far a replica has handled what it is assigned of the topics."""

    seen: datetime
    """When the replica said so."""
    until: datetime | None
    """Everything published before this instant is handled; null: not once since its start."""


class Alive(Document, collection="_alive"):
    """When the service was last up, and when it was not."""

    last_seen: datetime
    outages: list[Outage] = Field(default_factory=list)
    replicas: dict[str, Heard] = Field(default_factory=dict)
    """Those that read topics, where several may run."""


@dataclass(slots=True)
class Uptime:
    """What this process knows of its service's past and of how far its topics are handled."""

    outages: list[Outage] = field(default_factory=list)
    reads: bool = True
    """Whether this replica reads any of the topics; one that stands by leaves them to the others."""
    heard_until: datetime | None = None
    """Everything published before this instant is handled here; None: not once since the start."""
    others: tuple[datetime | None, ...] = ()
    """The same of the other replicas that read topics, as they said lately."""

    def passed(self, since: datetime, limit: timedelta, now: datetime) -> bool:
        """Whether a step begun at ``since`` has had its ``limit`` of time in which it could be heard of."""
        heard = (*self.others, self.heard_until) if self.reads else self.others
        known = [until for until in heard if until is not None]
        if not heard or len(known) < len(heard):
            return False
        until = min(now, *known)
        return until - since - downtime(self.outages, since, until) >= limit


def lately(replicas: Mapping[str, Heard], now: datetime) -> dict[str, Heard]:
    """Those of ``replicas`` that have said something lately; the others are gone."""
    return {name: heard for name, heard in replicas.items() if now - heard.seen <= OUTAGE_FROM}


def downtime(outages: Iterable[Outage], since: datetime, until: datetime) -> timedelta:
    """How much of the time between two instants lies in outages (which do not overlap each other)."""
    lost = timedelta(0)
    for began, ended in outages:
        overlap = min(ended, until) - max(began, since)
        if overlap > timedelta(0):
            lost += overlap
    return lost


def with_gap(outages: Iterable[Outage], last_seen: datetime, now: datetime) -> list[Outage]:
    """The outages with the gap since ``last_seen`` added, if it was one; the oldest are forgotten."""
    known = list(outages)
    if now - last_seen > OUTAGE_FROM:
        known.append((last_seen, now))
    return known[-OUTAGES_KEPT:]
