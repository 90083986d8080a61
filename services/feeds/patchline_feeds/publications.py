"""What is known of an update from all who published it, and what one more item changes."""

from __future__ import annotations

from datetime import datetime

from patchline_kit.documents import Document
from patchline_schemas.advisories import merged, weightier_kind
from patchline_schemas.feed_items import Publication, Retraction
from patchline_schemas.feeds import Advisory, AdvisoryPublished, UpdatePublished, UpdateRetracted
from patchline_schemas.values import Kind

MAX_ADVISORIES_BYTES = 192 * 1024
"""All that is published of one update's advisories; together they must fit into one event."""


class KnownUpdate(Document, collection="updates", id_of="update"):
    """An update, merged from all publications of it; its id is the update's.

    Without ``kind`` nobody has published it: its vendor withdrew a version that never came through here.
    """

    component: str
    to_version: str
    vendor: str
    """Who was first."""
    kind: Kind | None = None
    released_at: datetime | None = None
    advisories: tuple[Advisory, ...] = ()
    notes_url: str | None = None
    restart_required: bool = False
    emergency: bool = False
    event_id: str = ""
    """Of the event that last said something new of it."""
    withdrawn_by: str | None = None
    """The vendor that took it back."""
    withdrawn_because: str | None = None


class Refusal(Document, collection="refusals"):
    """A request that was refused, so that it is answered once; its id is the request's."""


class NotTaken(Exception):
    """The item is valid but cannot be taken now."""

    def __init__(self, rule: str, explanation: str) -> None:
        super().__init__(explanation)
        self.rule = rule


def introduce(known: KnownUpdate, item: Publication, who: str) -> UpdatePublished:
    """Keep what the first publication says, and the event that tells it."""
    known.kind = item.kind
    known.released_at = item.released_at
    known.advisories = merged((), (each.as_advisory() for each in item.advisories))
    known.notes_url = item.notes_url
    known.restart_required = item.restart_required
    known.emergency = item.emergency
    return UpdatePublished(
        update_id=known.id,
        vendor=item.vendor,
        component=item.component,
        version=item.version,
        kind=item.kind,
        released_at=item.released_at,
        advisories=known.advisories,
        notes_url=item.notes_url,
        restart_required=item.restart_required,
        emergency=item.emergency,
        published_by=who,
    )


def amend(known: KnownUpdate, item: Publication) -> AdvisoryPublished | None:
    """Merge a further publication into ``known``; None if it says nothing new.

    Raises :class:`NotTaken` if the advisories would no longer fit into one event.
    """
    advisories = merged(known.advisories, (each.as_advisory() for each in item.advisories))
    size = sum(len(each.model_dump_json(exclude_none=True)) for each in advisories)
    if size > MAX_ADVISORIES_BYTES:
        raise NotTaken(
            "input",
            f"advisories: with these, {known.id} would have {size // 1024} KiB of advisories; "
            f"at most {MAX_ADVISORIES_BYTES // 1024} KiB are possible",
        )
    kind = weightier_kind(known.kind, item.kind) if known.kind else item.kind
    changed = tuple(each for each in advisories if each not in known.advisories)
    event = AdvisoryPublished(
        update_id=known.id,
        vendor=item.vendor,
        component=known.component,
        version=known.to_version,
        advisories=changed,
        kind=kind if kind != known.kind else None,
        notes_url=item.notes_url if known.notes_url is None else None,
        restart_required=item.restart_required and not known.restart_required,
        emergency=item.emergency and not known.emergency,
    )
    if not (changed or event.kind or event.notes_url or event.restart_required or event.emergency):
        return None
    known.advisories = advisories
    known.kind = kind
    known.notes_url = known.notes_url or item.notes_url
    known.restart_required = known.restart_required or item.restart_required
    known.emergency = known.emergency or item.emergency
    return event


def withdraw(known: KnownUpdate, item: Retraction, who: str) -> UpdateRetracted | None:
    """Keep that the version is withdrawn, and the event that tells it; None if that was known."""
    if known.withdrawn_by is not None:
        return None
    known.withdrawn_by, known.withdrawn_because = item.vendor, item.reason
    return UpdateRetracted(
        update_id=known.id,
        vendor=item.vendor,
        component=item.component,
        version=item.version,
        reason=item.reason,
        retracted_by=who,
    )


def refuse_withdrawn(known: KnownUpdate) -> None:
    """Raise :class:`NotTaken` if the version was withdrawn: it cannot be published again."""
    if known.withdrawn_by is not None:
        raise NotTaken(
            "state",
            f"{known.component} {known.to_version} was withdrawn by {known.withdrawn_by} "
            f"({known.withdrawn_because}); publish a newer version instead",
        )
