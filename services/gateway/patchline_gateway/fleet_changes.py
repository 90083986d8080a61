"""What one fleet file changes against another, or against what is registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from patchline_fleet.fleetfile import FleetFile
from patchline_gateway.routing import digest
from patchline_gateway.shapes import FleetChange


def changes_between(old: FleetFile | None, new: FleetFile) -> list[FleetChange]:
    """What ``new`` adds, changes and removes; without an old one all of it is added."""
    changes = [
        *_differences("group", groups_of(old), groups_of(new)),
        *_differences("target", targets_of(old), targets_of(new)),
    ]
    if (old.freezes if old else ()) != new.freezes:
        changes.append(FleetChange(kind="freezes", name="freezes", change="changed"))
    return changes


def not_registered(
    new: FleetFile, groups: Mapping[str, str], targets: Mapping[str, str]
) -> list[FleetChange]:
    """What ``new`` says and the digests of registered ``groups`` and ``targets`` do not show yet.

    A group that left the file is no event, so it is not waited for.
    """
    wanted = groups_of(new)
    present = {name: digest for name, digest in groups.items() if name in wanted}
    return [*_differences("group", present, wanted), *_differences("target", targets, targets_of(new))]


def groups_of(file: FleetFile | None) -> dict[str, str]:
    """The digest of each group's definition."""
    return {group.name: digest(group) for group in file.groups} if file else {}


def targets_of(file: FleetFile | None) -> dict[str, str]:
    """The digest of each target's definition."""
    return {target.id: digest(target) for target in file.targets} if file else {}


def _differences(
    kind: Literal["group", "target"], old: Mapping[str, str], new: Mapping[str, str]
) -> list[FleetChange]:
    added = [FleetChange(kind=kind, name=name, change="added") for name in new if name not in old]
    changed = [
        FleetChange(kind=kind, name=name, change="changed")
        for name in new
        if name in old and new[name] != old[name]
    ]
    removed = [FleetChange(kind=kind, name=name, change="removed") for name in old if name not in new]
    return added + changed + removed
