"""When a deadline has really passed: only time in which the service was up and had heard all counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import Field

from patchline_kit.documents import Document

OUTAGE_FROM = timedelta(seconds=30)
"""A shorter gap is no outage."""
ALIVE_EVERY = timedelta(seconds=10)
"""How often the service notes that it is up."""
OUTAGES_KEPT = 200
ALIVE_ID = "alive"

Outage = tuple[datetime, datetime]


class Alive(Document, collection="_alive"):
    """When the service was last up, and when it was not."""

    last_seen: datetime
    outages: list[Outage] = Field(default_factory=list)


@dataclass(slots=True)
class Uptime:
    """What this process knows of its service's past and of how far it has heard its topics."""

    outages: list[Outage] = field(default_factory=list)
    heard_until: datetime | None = None
    """Everything published before this instant is handled; None: not once since the start."""

    def passed(self, since: datetime, limit: timedelta, now: datetime) -> bool:
        """Whether a step begun at ``since`` has had its ``limit`` of time in which it could be heard of."""
        if self.heard_until is None:
            return False
        until = min(now, self.heard_until)
        return until - since - downtime(self.outages, since, until) >= limit


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
