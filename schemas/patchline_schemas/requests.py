"""What people ask for, and what the owning service answers."""

from __future__ import annotations

from typing import Any, Literal

from patchline_schemas.envelope import Event
from patchline_schemas.values import Value

Action = Literal["publish", "approve", "reject", "cancel", "retry", "pause", "resume", "halt"]
"""``publish`` is answered by feeds, all others by planning."""


class RequestSubmitted(Event, topic="requests.submitted"):
    """A person, or a program with a token, asks for something. The event's id is the request's id."""

    action: Action
    """What is asked for."""
    who: str
    """The person, or the program's name."""
    reason: str
    """In the asker's words."""
    update_id: str | None = None
    """Null for ``publish``, and for ``halt`` of everything."""
    plan_revision: int | None = None
    """The plan that an approval means; another one is refused."""
    item: dict[str, Any] | None = None
    """For ``publish``: one feed item (see :mod:`patchline_schemas.feed_items`)."""

    def key(self) -> str:
        """``update_id``; without one the item's component, or ``halt`` for a halt of everything."""
        if self.update_id:
            return self.update_id
        return str(self.item.get("component", "publish")) if self.item else "halt"


class PublishResult(Value):
    """What became of a published item."""

    event_id: str
    """Of the event that was published."""
    update_id: str
    """Names the update: it follows from component and version."""
    result: Literal["accepted", "duplicate", "amended"]
    """``accepted`` is new, ``duplicate`` was known, ``amended`` added to a known one."""


class RequestAccepted(Event, topic="requests.accepted"):
    """The request was carried out."""

    request_id: str
    """The ``ce_id`` of ``requests.submitted``."""
    action: Action
    """What is asked for."""
    update_id: str | None = None
    """Null for ``halt`` of everything."""
    who: str
    """Who asked."""
    effect: str
    """A sentence."""
    published: PublishResult | None = None
    """For ``publish``: what became of the item."""

    def key(self) -> str:
        return self.update_id or self.request_id


class RequestRefused(Event, topic="requests.refused"):
    """The request was not carried out."""

    request_id: str
    """The ``ce_id`` of ``requests.submitted``."""
    action: Action
    """What is asked for."""
    update_id: str | None = None
    """Null for ``halt`` of everything, and for an item that names none."""
    who: str
    """Who asked."""
    rule: str
    """``state`` when it is not possible now, ``input`` for a bad item, else the policy that refuses."""
    explanation: str
    """A sentence for who asked."""

    def key(self) -> str:
        return self.update_id or self.request_id
