"""The hash chains of the ledger: one per record key, each with a head that alone may append.

A head is a document whose saves compare its version, so two writers cannot fork a chain; its inbox
knows the event, so a redelivery appends nothing. The entry goes to a document of its own with the
same write, as a local message.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from patchline_kit.documents import Document, Message
from patchline_kit.ledger import ORIGIN, LedgerLine, entry_hash
from patchline_schemas import Event
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished, UpdateRetracted
from patchline_schemas.requests import RequestAccepted
from patchline_schemas.waves import WaveEvent

UNSEALED = "unsealed"
SHARED_CHAINS = {"updates": "update", "waves": "update", "notices": "update", "policies": "update"}
"""Entities whose records have the same key, the update's id, and so share a chain."""

Headers = Iterable[tuple[str, bytes | None]]


class Head(Document, collection="heads"):
    """The end of a chain; its id is the chain's name."""

    sequence: int = 0
    hash: str = ORIGIN
    sealed_sequence: int = 0

    @property
    def unsealed(self) -> bool:
        """Whether it has entries that no seal covers."""
        return self.sequence > self.sealed_sequence

    def tags(self) -> frozenset[str]:
        """``unsealed`` while it is."""
        return frozenset({UNSEALED}) if self.unsealed else frozenset()

    def append(
        self, *, event_id: str, topic: str, key: str, headers: Headers, value: bytes, at: datetime
    ) -> LedgerLine:
        """The next entry of the chain, which becomes its head."""
        line = LedgerLine(
            chain=self.id,
            sequence=self.sequence + 1,
            previous=self.hash,
            hash="",
            event_id=event_id,
            recorded_at=at,
            topic=topic,
            key=key,
            headers=tuple((name, raw.decode()) for name, raw in headers if raw is not None),
            body=value.decode(),
        )
        line = line.model_copy(update={"hash": entry_hash(line)})
        self.sequence, self.hash = line.sequence, line.hash
        return line

    def sealed(self, sequence: int) -> None:
        """A seal covers the chain up to ``sequence``."""
        self.sealed_sequence = max(self.sealed_sequence, sequence)


class Entry(Document, collection="entries"):
    """An entry of a chain, written once."""

    line: LedgerLine
    update_id: str | None = None

    def tags(self) -> frozenset[str]:
        """Found by its event, and by the update that it is about."""
        found = {event_tag(self.line.event_id)}
        if self.update_id:
            found.add(update_tag(self.update_id))
        return frozenset(found)


class KeepEntry(Message):
    """Write an entry, unless it is written."""

    line: LedgerLine
    update_id: str | None = None


class MarkSealed(Message):
    """Tell a head that a seal covers it."""

    sequence: int


def chain_of(topic: str, key: str) -> str:
    """The chain of a record: its key, behind what kind of thing the key names."""
    entity = topic.partition(".")[0]
    return f"{SHARED_CHAINS.get(entity, entity)}/{key}"


def entry_id(chain: str, sequence: int) -> str:
    """The id of an entry's document; those of one chain sort by sequence."""
    return f"{chain}/{sequence:010d}"


def update_of(event: Event) -> str | None:
    """The update that an event is about, or None."""
    if isinstance(event, WaveEvent):
        return event.order.update_id
    if isinstance(event, UpdatePublished | AdvisoryPublished | UpdateRetracted):
        return event.update_id
    if isinstance(event, RequestAccepted) and event.published:
        return event.published.update_id
    found = getattr(event, "update_id", None)
    return found if isinstance(found, str) else None


def event_tag(event_id: str) -> str:
    """The tag of the entries of one event."""
    return f"event:{event_id}"


def update_tag(update_id: str) -> str:
    """The tag of the entries of one update."""
    return f"update:{update_id}"
