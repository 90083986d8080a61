"""The unit of work: one call of one handler over one document.

Implements :class:`patchline_kit.context.Context`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from patchline_kit import tracing
from patchline_kit.core import Core, body_of, collection_of, to_document
from patchline_kit.documents import Document, Message
from patchline_kit.outcomes import Early, LeaseLost
from patchline_kit.store.port import FenceLost, Outgoing, Save, Saved, VersionConflict
from patchline_kit.transport.port import Received
from patchline_kit.urgency import URGENT_HEADER, is_raised, raised
from patchline_schemas import Envelope, Event, derived_id, encode

D = TypeVar("D", bound=Document)
R = TypeVar("R")

MESSAGE_HEADER = "message"
"""Header of a local message: its class."""


class Trigger(Struct, frozen=True):
    """Why a handler is called."""

    kind: Literal["event", "message", "wake", "start", "call"]
    id: str
    """What ids of emitted events are derived from."""
    cause_id: str | None = None
    """The event that this follows from; None where it follows from none."""
    inbox_id: str | None = None
    """What the document's inbox remembers; None where a repetition cannot be told."""
    envelope: Envelope | None = None
    record: Received | None = None
    urgent: bool = False
    fence: int = 0
    traceparent: str | None = None
    caused_at: datetime | None = None


class Unit:
    """See :class:`patchline_kit.context.Context`.

    What it has loaded is its own in this process until :meth:`close` (but for woken documents, whose handlers
    work long). When the handler has returned either :meth:`commit` is called, or :meth:`changes` and, once
    that is stored, :meth:`stored`.
    """

    def __init__(self, core: Core, trigger: Trigger, step: tracing.Step) -> None:
        self._core = core
        self._step = step
        self._trigger = trigger
        self._key: tuple[str, str] | None = None
        self._document: Document | None = None
        self._before: tuple[bytes, datetime | None, int] | None = None
        self._version = 0
        self._deleted = False
        self._wakes_urgently = False
        self._outgoing: list[Outgoing] = []
        self._emitted: set[str] = set()
        self._sent: dict[tuple[str, str], int] = {}
        self._turn: tuple[str, str] | None = None
        self._traceparent: str | None = None
        self.log = core.log
        self.envelope = trigger.envelope
        self.record = trigger.record
        self.cause_id = trigger.cause_id or trigger.id
        self.fence = trigger.fence

    def close(self) -> None:
        """Let others have what this unit has loaded."""
        if self._turn is not None:
            self._core.turns.give(self._turn)
            self._turn = None

    @property
    def now(self) -> datetime:
        """The instant, in UTC, by the injected clock."""
        return self._core.clock.now()

    @property
    def seen(self) -> tuple[tuple[str, str] | None, int]:
        """Which document this unit works on, and the version it saw (0: none)."""
        return self._key, self._version

    async def load(self, kind: type[D], id: str) -> D | None:
        """See :meth:`patchline_kit.context.Context.load`."""
        key = self._take(kind, id)
        if isinstance(self._document, kind):
            return self._document
        if self._turn is None:
            await self._core.turns.take(key)
            self._turn = key
        inbox_id = self._trigger.inbox_id
        if inbox_id is None:
            stored = await self._core.store.load(*key)
        else:
            stored = await self._core.store.load_unless_handled(*key, inbox_id)
        if stored is None:
            return None
        document = to_document(kind, stored)
        self._wakes_urgently = stored.wake_at is not None and is_raised(stored.wake_priority)
        self._step.take_up(document, stored.traceparent, stored.saved_at)
        self.hold(document, stored.body)
        return document

    async def require(self, kind: type[D], id: str) -> D:
        """Like :meth:`load`; where the document does not exist yet the record is *early*."""
        document = await self.load(kind, id)
        if document is None:
            raise Early(f"{kind.__name__} {id} does not exist yet", waits_for=(kind, id))
        return document

    def create(self, document: D) -> D:
        """Make ``document`` the one this handler changes; it must not exist yet."""
        self._take(type(document), document.id)
        if self._document is not None:
            raise TypeError(
                f"{type(document).__name__} {document.id} exists already: change what load returned"
            )
        self._document = document
        self._step.take_up(document, None, None)
        return document

    def delete(self, document: Document) -> None:
        """Delete the loaded document with this write."""
        if document is not self._document:
            raise TypeError("delete takes the document that this handler has loaded")
        self._deleted = True

    async def read(self, kind: type[D], id: str) -> D | None:
        """Look at any document without changing it."""
        stored = await self._core.store.load(collection_of(kind), id)
        return None if stored is None else to_document(kind, stored)

    async def find(
        self, kind: type[D], tag: str | None = None, *, after: str = "", limit: int = 500
    ) -> Sequence[D]:
        """Look at documents by tag, by ascending id after ``after``."""
        found = await self._core.store.find(collection_of(kind), tag, after=after, limit=limit)
        return [to_document(kind, stored) for stored in found]

    async def count(self, kind: type[Document], tag: str | None = None) -> int:
        """How many documents have ``tag``."""
        return await self._core.store.count(collection_of(kind), tag)

    def emit(self, event: Event, *, part: str = "", urgent: bool = False) -> str:
        """See :meth:`patchline_kit.context.Context.emit`."""
        kind = type(event)
        service = self._core.service
        if kind not in service.emits:
            raise TypeError(f"{service.name} does not declare {kind.__name__} in its emits")
        event_id = derived_id(self._trigger.id, kind.TYPE, part)
        if event_id in self._emitted:
            raise TypeError(
                f"{kind.__name__} is emitted twice with the part {part!r}: give each its own part"
            )
        self._emitted.add(event_id)
        envelope = Envelope(
            id=event_id,
            source=service.name,
            type=kind.TYPE,
            subject=event.subject(),
            time=self.now,
            causationid=self._trigger.cause_id,
            traceparent=self._trace(),
            urgent=kind.HAS_URGENT_LANE and (urgent or self._trigger.urgent),
        )
        tracing.emitted(event)
        record = encode(event, envelope)
        self._outgoing.append(
            Outgoing(
                id=event_id, topic=record.topic, key=record.key, headers=record.headers, value=record.value
            )
        )
        return event_id

    def send(self, message: Message) -> None:
        """Send a local message to another document of this service with this write."""
        service = self._core.service
        if type(message) not in service.messages:
            raise TypeError(f"{service.name} has no handler for the message {type(message).__name__}")
        addressee = (message.NAME, message.to)
        number = self._sent.get(addressee, 0)
        self._sent[addressee] = number + 1
        headers = [(MESSAGE_HEADER, message.NAME.encode())]
        if self._trigger.urgent:
            headers.append((URGENT_HEADER, b"1"))
        self._outgoing.append(
            Outgoing(
                id=derived_id(
                    self._trigger.inbox_id or self._trigger.id,
                    f"{service.name}/{message.NAME}",
                    f"{message.to}/{number}",
                ),
                topic=None,
                key=message.to.encode(),
                headers=tuple(headers),
                value=message.model_dump_json().encode(),
            )
        )

    async def checkpoint(self) -> None:
        """See :meth:`patchline_kit.context.Context.checkpoint`."""
        if self._trigger.kind != "wake" or self._document is None or self._key is None:
            raise TypeError("checkpoint belongs into a wakes handler")
        save = self._save(self._key, self._document, release=False)
        if self._changed(self._document, save):
            await self._commit(save)
            return
        if not await self._core.store.beat(*self._key, self.fence):
            raise LeaseLost(f"another worker has taken {'/'.join(self._key)} over")
        stored = await self._core.store.load(*self._key)
        if stored is None or stored.version != self._version:
            raise VersionConflict(f"{'/'.join(self._key)} was changed meanwhile")

    def deadline_passed(self, since: datetime, limit: timedelta) -> bool:
        """See :meth:`patchline_kit.context.Context.deadline_passed`."""
        return self._core.uptime.passed(since, limit, self.now)

    def resource(self, kind: type[R]) -> R:
        """What was registered for ``kind`` with :meth:`Service.resource`."""
        return self._core.resource(kind)

    def setting(self, kind: type[R]) -> R:
        """The service's settings object."""
        return self._core.setting(kind)

    def hold(self, document: Document, body: bytes) -> None:
        """Make ``document``, as it lies in the store with ``body``, the one this unit changes."""
        self._key = (collection_of(type(document)), document.id)
        self._document = document
        self._version = document.version
        self._before = (body, document.wake_at, document.wake_priority)

    def changes(self) -> Save | None:
        """The write that stores the document with all that was emitted, and the record in its inbox.

        None where nothing was changed or emitted. Raises :class:`TypeError` if something is emitted without
        a document.
        """
        if self._document is None or self._key is None:
            if self._outgoing:
                raise TypeError(
                    "a handler emits and sends only together with the document that it loaded or created"
                )
            return None
        woken = self._trigger.kind == "wake"
        save = self._save(self._key, self._document, release=woken)
        return save if woken or self._changed(self._document, save) else None

    def stored(self, save: Save, saved: Saved) -> None:
        """Go on from what is in the store now."""
        document, trigger = self._document, self._trigger
        if document is None:
            return
        document.version = saved.version
        self.hold(document, save.body or b"")
        self._outgoing.clear()
        if trigger.kind == "wake":
            base = wake_id(self._core.service.name, save.collection, save.id, saved.version, save.at)
            self._trigger = replace(trigger, id=base)

    async def commit(self) -> None:
        """Store :meth:`changes`, or, where there are none, only the record in the inbox.

        Raises what the store raises, and :class:`LeaseLost`.
        """
        save = self.changes()
        if save is None:
            await self.note()
        else:
            await self._commit(save)

    async def note(self) -> None:
        """Remember the record as handled without effect."""
        if self._key is not None and self._trigger.inbox_id is not None:
            await self._core.store.note(*self._key, self._version, self._trigger.inbox_id, self.now)

    def _take(self, kind: type[Document], id_: str) -> tuple[str, str]:
        key = (collection_of(kind), id_)
        if self._key not in (None, key):
            raise TypeError(
                f"one handler changes one document: it has {'/'.join(self._key or ())} already and asks for"
                f" {'/'.join(key)}; read() looks without changing, send() asks another document to change"
            )
        self._key = key
        return key

    def _changed(self, document: Document, save: Save) -> bool:
        now = (save.body, document.wake_at, document.wake_priority)
        return self._deleted or bool(self._outgoing) or now != self._before

    def _save(self, key: tuple[str, str], document: Document, *, release: bool) -> Save:
        trigger = self._trigger
        urgent = document.wake_at is not None and (trigger.urgent or self._wakes_urgently)
        return Save(
            collection=key[0],
            id=key[1],
            expected_version=self._version,
            body=None if self._deleted else body_of(document),
            wake_at=document.wake_at,
            wake_priority=raised(document.wake_priority) if urgent else document.wake_priority,
            tags=document.tags(),
            handled=trigger.inbox_id,
            outgoing=tuple(self._outgoing),
            traceparent=self._trace(),
            cause_id=trigger.cause_id,
            fence=trigger.fence if trigger.kind == "wake" else None,
            release=release,
            at=self.now,
        )

    async def _commit(self, save: Save) -> None:
        try:
            saved = await self._core.commit(save)
        except FenceLost as lost:
            raise LeaseLost(str(lost)) from lost
        self.stored(save, saved)

    def _trace(self) -> str:
        """The W3C header that makes what follows a child of this step."""
        if self._traceparent is None:
            self._traceparent = self._step.header()
        return self._traceparent


def wake_id(service: str, collection: str, id_: str, version: int, saved_at: datetime | None) -> str:
    """What the ids of all that a woken document emits are derived from.

    ``saved_at`` tells a document from one that was deleted and made again under the same id.
    """
    return derived_id(f"{service}/{collection}/{id_}", "wake", f"{version}/{saved_at}")
