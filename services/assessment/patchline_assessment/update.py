"""An update as assessment knows it: what was published of it, and what was said of it last."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, Field

from patchline_assessment.inventory import component_tag
from patchline_assessment.verdicts import Facts
from patchline_kit.documents import Document
from patchline_schemas.advisories import merged, weightier_kind
from patchline_schemas.feeds import Advisory, AdvisoryPublished, UpdatePublished
from patchline_schemas.values import Kind, UtcTime

UNSETTLED = "unsettled"
"""Tag of updates that some target needs, may need, or that nobody has assessed yet."""


class Published(BaseModel):
    """What vendors say of an update, merged."""

    vendor: str
    kind: Kind
    released_at: UtcTime
    published_at: UtcTime
    published_by: str
    advisories: tuple[Advisory, ...]
    origins: dict[str, str] = Field(default_factory=dict)
    """By advisory id, the vendor whose word on it came last."""
    notes_url: str | None = None
    restart_required: bool = False
    emergency: bool = False


class KnownUpdate(Document, collection="updates", id_of="update"):
    """An update; its id is the update's."""

    component: str
    to_version: str
    published: Published | None = None
    """Null when all that is known is that it was withdrawn."""
    withdrawn: str | None = None
    """Why its vendor took it back; then it is not assessed any more."""
    revision: int = 0
    """Of its assessment; 0 before the first."""
    digest: str | None = None
    """Of what was said last."""
    telling: bool = False
    """Whether pages of ``revision`` are being published; if so after a crash, a new revision follows."""
    affected_total: int = 0
    """How many targets need it; of a withdrawn version, how many have it."""
    unknown_total: int = 0
    groups: tuple[str, ...] = ()
    """Those with affected targets."""
    wait_until: datetime | None = None
    """How long the first assessment waits for targets that have not been asked yet."""

    def tags(self) -> frozenset[str]:
        """Component, the groups that it is for, and whether it is settled."""
        found = {component_tag(self.component), *(group_tag(name) for name in self.groups)}
        unassessed = self.revision == 0 and self.published is not None
        if unassessed or self.affected_total or self.unknown_total:
            found.add(UNSETTLED)
        return frozenset(found)

    def look_by(self, when: datetime) -> None:
        """Have it assessed at ``when`` at the latest."""
        self.wake_at = min(self.wake_at or when, when)

    def facts(self) -> Facts:
        """What decides whether a target needs it. It must be published."""
        if self.published is None:
            raise ValueError(f"{self.id} was never published")
        return Facts(self.component, self.to_version, self.published.kind, self.published.advisories)


def group_tag(name: str) -> str:
    """Tag of updates that a group has affected targets of."""
    return f"group:{name}"


def publish(update: KnownUpdate, event: UpdatePublished, published_at: datetime) -> None:
    """Keep a publication. A second one (not from our feeds service) is merged into the first."""
    advisories = merged((), event.advisories)
    if update.published is not None:
        _merge(update.published, event.vendor, advisories, event.kind)
        update.published.restart_required |= event.restart_required
        update.published.emergency |= event.emergency
        return
    update.published = Published(
        vendor=event.vendor,
        kind=event.kind,
        released_at=event.released_at,
        published_at=published_at,
        published_by=event.published_by,
        advisories=advisories,
        origins={each.id: event.vendor for each in advisories},
        notes_url=event.notes_url,
        restart_required=event.restart_required,
        emergency=event.emergency,
    )


def amend(published: Published, event: AdvisoryPublished) -> None:
    """Merge what a later publication added."""
    _merge(published, event.vendor, event.advisories, event.kind or published.kind)
    published.notes_url = published.notes_url or event.notes_url
    published.restart_required |= event.restart_required
    published.emergency |= event.emergency


def _merge(published: Published, vendor: str, advisories: Iterable[Advisory], kind: Kind) -> None:
    before = {each.id: each for each in published.advisories}
    published.advisories = merged(published.advisories, advisories)
    published.kind = weightier_kind(published.kind, kind)
    published.origins = {
        each.id: published.origins.get(each.id, vendor) if before.get(each.id) == each else vendor
        for each in published.advisories
    }
