"""What people were told."""

from __future__ import annotations

from typing import Literal

from patchline_schemas.envelope import Event
from patchline_schemas.values import UtcTime

Occasion = Literal[
    "planned",
    "rescheduled",
    "cancelled",
    "awaiting-approval",
    "started",
    "ended",
    "failed",
    "needs-person",
    "due-soon",
    "overdue",
    "retracted",
]


class NoticeEvent(Event):
    """Base of a notice's events."""

    notice_id: str
    """The same for every attempt, so a receiver can tell a repetition."""
    update_id: str
    """Names the update: it follows from component and version."""
    wave_id: str | None = None
    """Null when the notice is about the whole update."""
    group: str
    """Name of the group in the fleet file."""
    contact: str
    """Without its secrets."""
    occasion: Occasion
    """What the notice is about."""

    def key(self) -> str:
        return self.update_id


class NoticeSent(NoticeEvent, topic="notices.sent"):
    """A contact was told."""

    subject_line: str
    """The notice's subject."""
    sent_at: UtcTime
    """When the contact took it."""


class NoticeDelayed(NoticeEvent, topic="notices.delayed"):
    """A contact could not be told yet; sent for every failed attempt but the last."""

    error: str
    """What the contact's service said."""
    attempts: int
    """How often it was tried so far."""
    required: bool
    """Whether the group's policy holds up the rollout until the contact is told."""
    next_attempt_at: UtcTime | None = None
    """When it is tried again; null when it is not, since the fleet file has the contact no more."""


class NoticeFailed(NoticeEvent, topic="notices.failed"):
    """A contact could not be told after all attempts."""

    error: str
    """What the contact's service said."""
    attempts: int
    """How often it was tried."""
    required: bool
    """Whether the group's policy holds up the rollout for it."""
