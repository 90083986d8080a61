"""When a newer update takes the place of an older one of the same component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    ready: bool
    """Tested, approved, neither paused nor ended."""
    starts: Mapping[str, datetime | None]
    """When it starts, or has started, in each group that it reaches; None when no window is in sight."""
    waiting: Mapping[str, datetime | None]
    """When it would start next in each group where a wave of it has not started."""


def takes_the_place_of(newer: Candidate, older: Candidate) -> bool:
    """Whether ``newer`` makes what has not started of ``older`` needless.

    Only once it is itself tested and approved, fixes all that the older one fixes, reaches the same groups,
    and starts no later in each of them. While it is paused, where versions cannot be compared, and where all
    of the older one has started, both stand.
    """
    if newer.update_id == older.update_id or newer.component != older.component or not newer.ready:
        return False
    try:
        if compare(newer.component, newer.version, older.version) <= 0:
            return False
    except UnknownVersion:
        return False
    if not older.waiting or not older.advisories <= newer.advisories:
        return False
    return all(
        _starts_in_time(newer.starts.get(group), next_start) for group, next_start in older.waiting.items()
    )


def _starts_in_time(start: datetime | None, older_start: datetime | None) -> bool:
    return start is not None and (older_start is None or start <= older_start)


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
