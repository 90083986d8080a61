"""The internal record of what is installed where, since when, and by which update."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel, Field

from patchline_kit.documents import Document, Message
from patchline_schemas import Event
from patchline_schemas.fleet import InstalledPackage, InventoryReported
from patchline_schemas.waves import WaveRollbackVerified, WaveRolledBack, WaveVerified


class Installation(BaseModel):
    """One component on one target."""

    version: str
    since: datetime
    """When it was first known to be there."""
    update_id: str | None = None
    """The update that brought it, or whose rollback brought it back; None when it was there before."""
    event_id: str
    """The evidence."""


class Installed(Document, collection="installed", id_of="target"):
    """What a target has; its id is the target's. Grows with a target's packages, not with its history."""

    components: dict[str, Installation] = Field(default_factory=dict)
    inventory_at: datetime | None = None


class Observed(Message):
    """What an event says of a target's packages; ``to`` is the target."""

    at: datetime
    event_id: str
    update_id: str | None = None
    packages: tuple[InstalledPackage, ...]
    whole: bool = False
    """Whether these are all packages that the target has."""


def observations(event: Event, event_id: str, at: datetime) -> Iterator[Observed]:
    """What ``event`` says of the packages of its targets; nothing for most events."""
    if isinstance(event, InventoryReported):
        yield Observed(
            to=event.target_id, at=event.collected_at, event_id=event_id, packages=event.packages, whole=True
        )
    if not isinstance(event, WaveVerified | WaveRolledBack | WaveRollbackVerified):
        return
    for result in event.results:
        versions = {change.component: change.after for change in result.changes if change.after}
        if result.to_version:
            versions[event.order.component] = result.to_version
        packages = tuple(InstalledPackage(component=name, version=text) for name, text in versions.items())
        if packages:
            yield Observed(
                to=result.target_id,
                at=result.ended_at or at,
                event_id=event_id,
                update_id=event.order.update_id,
                packages=packages,
            )


def observe(installed: Installed, seen: Observed) -> None:
    """Take over what was observed, unless it is older than what is known.

    A version that stays keeps its ``since``. Only a whole inventory shows that a component is gone.
    """
    if seen.whole and installed.inventory_at is not None and seen.at < installed.inventory_at:
        return
    components = dict(installed.components)
    for package in seen.packages:
        known = components.get(package.component)
        if known is not None and (known.version == package.version or known.since > seen.at):
            continue
        components[package.component] = Installation(
            version=package.version, since=seen.at, update_id=seen.update_id, event_id=seen.event_id
        )
    if seen.whole:
        present = {package.component for package in seen.packages}
        components = {
            name: installation
            for name, installation in components.items()
            if name in present or installation.since > seen.at
        }
        installed.inventory_at = seen.at
    installed.components = components
