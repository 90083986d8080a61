"""When a newer update takes the place of an older one of the same component."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from patchline_schemas.versions import UnknownVersion, compare


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the rule needs to know of an update."""

    update_id: str
    component: str
    version: str
    advisories: frozenset[str]
    approved: bool
    """Tested, approved, and not ended."""
    starts_at: datetime | None
    """When its first wave starts or has started; None when no window is in sight."""
    next_start: datetime | None
    """When its next wave that has not started would start; None when no window is in sight."""
    groups_left: frozenset[str]
    """Groups of its waves that have not started."""
    groups: frozenset[str]
    """Groups that it reaches, or has reached."""


def takes_the_place_of(newer: Candidate, older: Candidate) -> bool:
    """Whether ``newer`` makes what has not started of ``older`` needless.

    Only once it is itself tested and approved, fixes all that the older one fixes, reaches the same groups,
    and starts no later. Versions that cannot be compared leave both standing.
    """
    if newer.update_id == older.update_id or newer.component != older.component or not newer.approved:
        return False
    try:
        if compare(newer.component, newer.version, older.version) <= 0:
            return False
    except UnknownVersion:
        return False
    if not older.advisories <= newer.advisories or not older.groups_left <= newer.groups:
        return False
    if newer.starts_at is None:
        return False
    return older.next_start is None or newer.starts_at <= older.next_start


def superseded(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Which updates of one component are superseded, each by the highest version that takes its place."""
    result: dict[str, str] = {}
    for older in candidates:
        best: Candidate | None = None
        for newer in candidates:
            if takes_the_place_of(newer, older) and (
                best is None or compare(newer.component, newer.version, best.version) > 0
            ):
                best = newer
        if best is not None:
            result[older.update_id] = best.update_id
    return result
