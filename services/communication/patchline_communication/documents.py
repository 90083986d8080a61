"""What communication keeps: whom to tell, what it knows of an update and a wave, and each notice."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal

from pydantic import Field

from patchline_kit.documents import Document, Message
from patchline_schemas.notices import Occasion
from patchline_schemas.waves import WavePlanned


class KnownGroup(Document, collection="groups"):
    """A group's contacts; its id is the group's name."""

    revision: int
    """Of the fleet file; older news is stale."""
    contacts: tuple[str, ...]
    """With their secrets; nothing else holds those."""
    required_notice: bool

    def contact(self, key: str) -> str | None:
        """The contact of that :func:`contact_key`; None if the fleet file has it no more."""
        return next((contact for contact in self.contacts if contact_key(contact) == key), None)


class UpdateNews(Document, collection="updates", id_of="update"):
    """What a notice says of an update, and which groups it concerns; its id is the update's."""

    revision: int
    component: str
    to_version: str
    groups: tuple[str, ...]
    """Of the newest plan, in the order of its waves; before there is one, those with affected targets."""
    waves_total: int = 0
    advisories: tuple[str, ...] = ()
    notes_url: str | None = None
    approval: str = ""
    """Who must approve, as a sentence."""
    told: frozenset[str] = frozenset()
    """What was told once already: occasion and what tells it from another of its kind."""
    withdrawn_from: dict[str, str] = Field(default_factory=dict)
    """What each group was told last of where the withdrawn version is."""


class WaveNews(Document, collection="waves", id_of="wave"):
    """A wave's calendar entry; its id is the wave's."""

    update_id: str
    group: str
    component: str
    to_version: str
    targets_total: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    shown_at: datetime | None = None
    """The last start that was known, which the calendar entry shows; None before there was any."""
    cancelled: bool = False
    sequence: int = -1
    """Rises with each change of the entry, from 0 (RFC 5545, section 3.8.7.4)."""
    changed_at: datetime

    def plan(self, event: WavePlanned, now: datetime) -> Literal["planned", "rescheduled"] | None:
        """Take over a plan: whether it is the first with a time, a change, or None for nothing new."""
        known = (self.starts_at, self.ends_at, self.cancelled)
        if self.sequence >= 0 and known == (event.starts_at, event.ends_at, False):
            return None
        first = self.shown_at is None
        self.starts_at, self.ends_at, self.cancelled = event.starts_at, event.ends_at, False
        self.shown_at = event.starts_at or self.shown_at
        self.targets_total = len(event.targets)
        self._changed(now)
        return "planned" if first else "rescheduled"

    def cancel(self, now: datetime) -> None:
        """The wave will not be."""
        self.cancelled = True
        self._changed(now)

    def _changed(self, now: datetime) -> None:
        self.sequence, self.changed_at = self.sequence + 1, now
        self.wake_at = now if self.shown_at else None


class Notice(Document, collection="notices"):
    """One notice for one contact, until it is delivered or given up; its id is the notice's."""

    update_id: str
    wave_id: str | None = None
    group: str
    contact: str
    """Its :func:`contact_key`."""
    required: bool
    occasion: Occasion
    subject_line: str
    body: str
    about_at: datetime
    """The instant that the notice announces, or that it tells of."""
    contact_shown: str = ""
    """Without its secrets, since the first attempt failed: for when the fleet file has it no more."""
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
    about_at: datetime


def contact_key(contact: str) -> str:
    """What stands for a contact where its secrets must not be: in messages, and so in dead letters."""
    return hashlib.sha256(contact.encode()).hexdigest()[:16]
