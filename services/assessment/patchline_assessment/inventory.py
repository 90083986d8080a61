"""What a target has installed, as far as it is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from patchline_fleet.driver import Inventory as Answer
from patchline_kit.documents import Document
from patchline_schemas.components import BadComponent, ecosystem, normal_form
from patchline_schemas.fleet import InstalledPackage, InventoryReported, Target

ANSWERED = "answered"
"""Tag of inventories whose target was asked, with or without success."""
FAILURES_TO_UNKNOWN = 2
"""So many failures in a row make a target unknown that has answered before."""
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(minutes=5)

Versions = tuple[str, ...]


class Inventory(Document, collection="inventories", id_of="target", shared=True):
    """The packages of one target; its id is the target's."""

    revision: int
    """Of the fleet file."""
    target: Target
    removed: bool = False
    state: Literal["awaited", "known", "unknown"] = "awaited"
    """``awaited`` until the target was asked for the first time."""
    packages: dict[str, Versions] = Field(default_factory=dict)
    """Installed versions by component; those of the last answer while ``unknown``."""
    runtime: str | None = None
    environment: str | None = None
    collected_at: datetime | None = None
    """When the target was asked for its last answer: what changed since may not be in it."""
    ecosystems: tuple[str, ...] | None = None
    """Those that the target's driver can have; null when it does not say."""
    failure: str | None = None
    """Why the last attempt failed; null if it did not."""
    failures: int = 0
    """In a row."""

    def tags(self) -> frozenset[str]:
        """Components where they are known; where they are not, the ecosystems that may hide there."""
        if self.removed:
            return frozenset()
        if self.state == "known":
            return frozenset({ANSWERED, *(component_tag(name) for name in self.packages)})
        hidden = {unknown_tag(name) for name in self.ecosystems} if self.ecosystems else {unknown_tag(None)}
        return frozenset(hidden) if self.state == "awaited" else frozenset({ANSWERED, *hidden})


def component_tag(component: str) -> str:
    """Tag of what has to do with a component."""
    return f"component:{component}"


def unknown_tag(ecosystem: str | None) -> str:
    """Tag of targets of which it is unknown what they have of an ecosystem (None: of any)."""
    return f"unknown:{ecosystem or '*'}"


def hiding_tags(component: str) -> tuple[str, str]:
    """Tags of the targets that may have ``component`` without anybody knowing."""
    return (unknown_tag(None), unknown_tag(ecosystem(component)))


def packages_of(answer: Answer) -> dict[str, Versions]:
    """Versions by component in normal form; a name that has none is kept as the target says it."""
    packages: dict[str, set[str]] = {}
    for package in answer.packages:
        packages.setdefault(_component(package), set()).add(package.version)
    return {name: tuple(sorted(versions)) for name, versions in sorted(packages.items())}


def changed(before: Mapping[str, Versions], after: Mapping[str, Versions]) -> dict[str, Versions]:
    """The versions before of each component that has others after."""
    return {
        name: before.get(name, ())
        for name in sorted(before.keys() | after.keys())
        if before.get(name, ()) != after.get(name, ())
    }


def report(inventory: Inventory) -> InventoryReported:
    """The event that tells what is installed. Its ``collected_at`` must be known."""
    if inventory.collected_at is None:
        raise ValueError(f"{inventory.id} was never collected")
    return InventoryReported(
        target_id=inventory.id,
        group=inventory.target.group,
        collected_at=inventory.collected_at,
        runtime=inventory.runtime,
        packages=tuple(
            InstalledPackage(component=name, version=version)
            for name, versions in inventory.packages.items()
            for version in versions
        ),
        environment=inventory.environment or "",
    )


def next_ask(target_id: str, asked_at: datetime, every: timedelta) -> datetime:
    """When a target that answered is asked again: after ``every`` and up to a tenth of it, by its id."""
    share = int.from_bytes(hashlib.sha256(target_id.encode()).digest()[:4], "big") / 2**32
    return asked_at + every * (1 + share / 10)


def retry_after(failures: int, every: timedelta) -> timedelta:
    """How long after so many failures in a row a target is asked again."""
    doubled: timedelta = FIRST_RETRY * 2 ** min(failures - 1, 20)
    return min(doubled, LONGEST_RETRY, every)


def size_of(packages: Mapping[str, Versions]) -> int:
    """About how many bytes a report of ``packages`` has."""
    return len(json.dumps(packages)) + 30 * sum(len(versions) for versions in packages.values())


def _component(package: InstalledPackage) -> str:
    try:
        return normal_form(package.component)
    except BadComponent:
        return package.component
