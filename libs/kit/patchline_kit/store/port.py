"""The store port: documents, their inbox and outbox, claims and parked records.

A store is opened for one service; nothing that it holds is seen by another.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from patchline_kit.unavailable import Unavailable


class Outgoing(Struct, frozen=True):
    """Something a save emits: an event for a topic, or a local message (``topic`` is None)."""

    id: str
    topic: str | None
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


class Stored(Struct, frozen=True):
    """A document as it lies in the store."""

    collection: str
    id: str
    version: int
    body: bytes
    """JSON of the document, without what the store keeps beside it."""
    traceparent: str | None
    """Context of the step that saved it last."""
    cause_id: str | None
    """The event that made the last change."""
    wake_at: datetime | None = None
    """None while the document is claimed, unless somebody has set it since."""
    wake_priority: int = 0
    saved_at: datetime | None = None


class Save(Struct, frozen=True):
    """One write: a document, the record it handled, and all that is emitted, as a whole or not at all."""

    collection: str
    id: str
    expected_version: int
    """0 means: must not exist yet."""
    body: bytes | None
    """None deletes the document (its outbox is still sent)."""
    wake_at: datetime | None
    wake_priority: int
    tags: frozenset[str]
    handled: str | None
    """Id of the record this save is the effect of, for the inbox."""
    outgoing: tuple[Outgoing, ...]
    traceparent: str | None = None
    cause_id: str | None = None
    fence: int | None = None
    """For a woken document: the claim's fencing number; the save fails if another has claimed since."""
    release: bool = False
    """Give the claim back with this save."""
    at: datetime | None = None
    """The instant of the write, for :attr:`Stored.saved_at` and the age of what the inbox remembers; None
    is the store's own time."""


class Pending(Struct, frozen=True):
    """An outbox entry waiting for the relay."""

    collection: str
    document_id: str
    sequence: int
    """Order within the document."""
    outgoing: Outgoing
    cause_id: str | None
    traceparent: str | None


class Saved(Struct, frozen=True):
    """What a save made."""

    version: int
    pending: tuple[Pending, ...] = ()
    """What the save put into the outbox, in order."""
    earlier: tuple[int, ...] = ()
    """Sequences of the document's older entries that are not cleared yet, the newest
    :data:`EARLIER_SHOWN` of them."""


EARLIER_SHOWN = 64
"""Enough for a relay to see that it knows them: an older entry it does not know was among the newest at some
save before, and was taken up then."""


class Claim(Struct, frozen=True):
    """A document taken for work."""

    stored: Stored
    fence: int
    """Rises with every claim of any document in the database: a target that several documents and services
    work on, one after another, sees it rise too."""
    attempts: int = 0
    """How many wakes of this document failed in a row before this one."""
    due: datetime | None = None
    """The ``wake_at`` that made it due."""


class Beat(Struct, frozen=True):
    """A lease as an onlooker sees it."""

    collection: str
    id: str
    owner: str
    fence: int
    beat: int


class Parked(Struct, frozen=True):
    """A record set aside, in its lane (topic and key) and place."""

    lane: str
    sequence: int
    record: bytes
    """The whole record, encoded by the kit."""
    not_before: datetime | None
    """None: waits behind an earlier one of its lane."""
    attempts: int
    reason: str
    first_failed_at: datetime
    waits_for: str | None
    """``collection/id`` whose save makes it due at once."""


class VersionConflict(Exception):
    """The document was saved by somebody else since it was loaded."""


class AlreadyHandled(Exception):
    """The document's inbox knows this record."""


class FenceLost(Exception):
    """Another worker has claimed the document since."""


class StoreError(Unavailable):
    """The store cannot be reached or refuses; the text says what to do."""


class StoreFull(StoreError):
    """No room to write; nothing was stored."""


class Store(Protocol):
    """Documents of one service."""

    async def now(self) -> datetime:
        """The store's own time, in UTC, on which all replicas agree."""

    async def load(self, collection: str, id: str) -> Stored | None:
        """The document, or None."""

    async def load_unless_handled(self, collection: str, id: str, record_id: str) -> Stored | None:
        """Like :meth:`load`, in one look; raises :class:`AlreadyHandled` if its inbox knows ``record_id``."""

    async def handled(self, collection: str, id: str, record_id: str) -> bool:
        """Whether the document's inbox knows ``record_id``."""

    async def save(self, save: Save) -> Saved:
        """Store; durable on return. Concurrent saves share one commit.

        A save with ``fence`` but without ``release`` keeps the claim. Records parked for this document
        become due. Raises :class:`AlreadyHandled`, :class:`VersionConflict`, :class:`FenceLost` or
        :class:`StoreFull`; then nothing of it is stored.
        """

    async def save_all(self, saves: Sequence[Save]) -> Sequence[Saved | Exception]:
        """Store each of ``saves``, in one commit where that can be; durable on return.

        What became of each, in order: what :meth:`save` would return or raise. One that is refused does not
        keep the others from being stored.
        """

    async def note(
        self, collection: str, id: str, expected_version: int, record_id: str, at: datetime
    ) -> None:
        """Remember a record that had no effect in the document's inbox; the version stays as it is.

        Raises what :meth:`save` raises.
        """

    async def find(
        self, collection: str, tag: str | None, *, after: str = "", limit: int = 500
    ) -> Sequence[Stored]:
        """Documents with ``tag`` (all with None), by ascending id, beginning after ``after``."""

    async def count(self, collection: str, tag: str | None = None) -> int:
        """How many documents have ``tag``."""

    async def pending(
        self, *, document: tuple[str, str] | None = None, after: int = 0, limit: int = 500
    ) -> Sequence[Pending]:
        """Outbox entries in order, of one document or of all, with a sequence above ``after``."""

    async def clear(self, sent: Sequence[Pending]) -> None:
        """Forget outbox entries that were delivered; versions stay as they are."""

    async def claim_due(
        self, collections: Sequence[str], now: datetime, owner: str, limit: int
    ) -> Sequence[Claim]:
        """Take up to ``limit`` unclaimed documents with ``wake_at <= now``.

        Those of the highest priority come first, then those due the longest.
        """

    async def next_wake(self, collections: Sequence[str]) -> datetime | None:
        """The earliest ``wake_at`` of an unclaimed document."""

    async def beat(self, collection: str, id: str, fence: int) -> bool:
        """Show that the claim's owner lives; False when the claim is lost."""

    async def release(
        self, collection: str, id: str, fence: int, *, retry_at: datetime | None = None, done: bool = False
    ) -> None:
        """Give a claim back without a save; nothing happens if it is lost already.

        The document is due again at once, or, after a failure that counts, at ``retry_at``. With ``done``
        the wake counts as handled and only a ``wake_at`` that somebody has set since remains.
        """

    async def free_claims(self) -> int:
        """Free all claims of this service: for a sole owner at its start. How many there were."""

    async def claims(self) -> Sequence[Beat]:
        """All leases now held, for the onlooker that takes over those that stand still."""

    async def take_over(self, seen: Beat) -> bool:
        """Free a claim if its beat is still the one ``seen``; True when this call freed it."""

    async def park(self, parked: Parked) -> None:
        """Set a record aside.

        With ``not_before`` None it waits behind the earlier ones of its lane (and is due at once where there
        is none); a record that lies there already stays as it is. Else it replaces the entry with the same
        lane and sequence.
        """

    async def parked_lanes(self, lanes: Sequence[str]) -> frozenset[str]:
        """Which of ``lanes`` hold parked records."""

    async def claim_parked(self, now: datetime, until: datetime, limit: int = 100) -> Sequence[Parked]:
        """The first record of each lane whose time has come; nobody gets it again before ``until``."""

    async def next_parked(self) -> datetime | None:
        """When the next parked record is due."""

    async def parked(self, *, after: tuple[str, int] = ("", -1), limit: int = 100) -> Sequence[Parked]:
        """All parked records by lane and sequence, for looking."""

    async def unpark(self, parked: Parked) -> None:
        """Take a record out; the next of its lane becomes due."""

    async def let_go(self, documents: Sequence[str]) -> int:
        """Make the records that wait for any of these (``collection/id``) due at once; how many."""

    async def prune(self, before: datetime) -> int:
        """Forget what inboxes remember from before that instant; how many records."""

    async def wipe(self) -> None:
        """Delete everything of this service, bit by bit; nobody may work on it any more."""

    async def close(self) -> None:
        """Finish what was accepted and close."""
