"""What vendors say: a version is out, it fixes these advisories, it is withdrawn."""

from __future__ import annotations

from patchline_schemas.envelope import Event
from patchline_schemas.values import Kind, Severity, UtcTime, Value


class AffectedRange(Value):
    """Versions ``introduced`` (inclusive) up to ``fixed`` (exclusive) or ``last_affected`` (inclusive).

    The meaning is that of an OSV range (OSV schema, "affected[].ranges[].events").
    """

    introduced: str = "0"
    """First affected version; ``"0"`` is before any version."""
    fixed: str | None = None
    """First version no longer affected."""
    last_affected: str | None = None
    """Last affected version, where no fix is known."""


class Advisory(Value):
    """A known weakness that an update removes."""

    id: str
    """For example ``CVE-2025-27516`` or ``GHSA-cpwx-vrp4-4pq7``."""
    aliases: tuple[str, ...] = ()
    """Other ids of the same weakness."""
    severity: Severity | None = None
    """Null when nobody has scored it: unknown, not harmless."""
    affected: tuple[AffectedRange, ...] = ()
    """Empty means: every version before the update's own."""
    exploited: bool | None = None
    """Whether it is known to be exploited; null when the feed does not say."""
    summary: str | None = None
    """One line about it."""


class UpdatePublished(Event, topic="feeds.update-published", urgent_lane=True):
    """A vendor's new version, validated. What a later item adds comes as :class:`AdvisoryPublished`."""

    update_id: str
    """Follows from component and version alone, not from the vendor."""
    vendor: str
    """Who publishes the component, as the feed names it."""
    component: str
    """Package URL without version, in normal form: ``pkg:pypi/jinja2``."""
    version: str
    """As the vendor writes it."""
    kind: Kind
    """What the update is for."""
    released_at: UtcTime
    """When the vendor released it."""
    advisories: tuple[Advisory, ...] = ()
    """What it fixes; empty for nothing that is known."""
    notes_url: str | None = None
    """Where the vendor's release notes are."""
    restart_required: bool = False
    """Whether a target must be restarted for the version to be in effect."""
    emergency: bool = False
    """The publisher asks for the urgent lane."""
    published_by: str = "feed"
    """Who handed the item in; an approval policy may exclude this person."""

    def key(self) -> str:
        return self.component

    def subject(self) -> str:
        return self.update_id


class AdvisoryPublished(Event, topic="feeds.advisory-published", urgent_lane=True):
    """What a later publication added to a known update; merged by :mod:`patchline_schemas.advisories`."""

    update_id: str
    """Names the update: it follows from component and version."""
    vendor: str
    """Who publishes the component, as the feed names it."""
    component: str
    """Package URL without version, in normal form: ``pkg:pypi/jinja2``."""
    version: str
    """As the vendor writes it."""
    advisories: tuple[Advisory, ...]
    """Only the new and the changed ones, each whole."""
    kind: Kind | None = None
    """The update's kind, where the publication changed it."""
    notes_url: str | None = None
    """Where the update had none."""
    restart_required: bool = False
    """Whether the publication says so; it cannot take that back."""
    emergency: bool = False
    """Whether the publication asks for the urgent lane."""

    def key(self) -> str:
        return self.component

    def subject(self) -> str:
        return self.update_id


class UpdateRetracted(Event, topic="feeds.update-retracted"):
    """The vendor withdrew a version: what has not started must not start."""

    update_id: str
    """Names the update: it follows from component and version."""
    vendor: str
    """Who publishes the component, as the feed names it."""
    component: str
    """Package URL without version, in normal form: ``pkg:pypi/jinja2``."""
    version: str
    """The version that was withdrawn."""
    reason: str
    """The vendor's words."""
    retracted_by: str = "feed"
    """Who handed the retraction in."""

    def key(self) -> str:
        return self.component

    def subject(self) -> str:
        return self.update_id
