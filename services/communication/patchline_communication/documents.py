"""What communication keeps: whom to tell, what it knows of an update and a wave, and each notice."""

from __future__ import annotations

from datetime import datetime

from patchline_kit.documents import Document, Message
from patchline_schemas.notices import Occasion


class KnownGroup(Document, collection="groups"):
    """A group's contacts; its id is the group's name."""

    revision: int
    """Of the fleet file; older news is stale."""
    contacts: tuple[str, ...]
    required_notice: bool


class UpdateNews(Document, collection="updates"):
    """What a notice says of an update, and which groups it concerns; its id is the update's."""

    revision: int
    component: str
    to_version: str
    groups: tuple[str, ...]
    """Of the newest plan, in the order of its waves."""
    advisories: tuple[str, ...] = ()
    notes_url: str | None = None
    approval: str = ""
    """Who must approve, as a sentence."""
    told: frozenset[str] = frozenset()
    """What was told once already: occasion and what tells it from another of its kind."""


class WaveNews(Document, collection="waves"):
    """A wave's calendar entry; its id is the wave's."""

    update_id: str
    group: str
    component: str
    to_version: str
    targets_total: int
    starts_at: datetime | None
    ends_at: datetime | None
    cancelled: bool = False
    sequence: int = 0
    """Rises with each change of the entry (RFC 5545, section 3.8.7.4)."""
    changed_at: datetime


class Notice(Document, collection="notices"):
    """One notice for one contact, until it is delivered or given up; its id is the notice's."""

    update_id: str
    wave_id: str | None = None
    group: str
    contact: str
    """With its secrets."""
    required: bool
    occasion: Occasion
    subject_line: str
    body: str
    about_at: datetime | None = None
    """The instant that the notice announces, if any."""
    attempts: int = 0
    error: str | None = None
    done: bool = False

    def tags(self) -> frozenset[str]:
        """Found by update."""
        return frozenset({self.update_id})


class Tell(Message):
    """A notice to make, unless it exists; ``to`` is its id."""

    update_id: str
    wave_id: str | None = None
    group: str
    contact: str
    required: bool
    occasion: Occasion
    subject_line: str
    body: str
    about_at: datetime | None = None
