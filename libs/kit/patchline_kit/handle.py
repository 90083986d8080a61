"""A running service as its companion sees it. Implements :class:`patchline_kit.context.ServiceHandle`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from uuid_utils import uuid7

from patchline_kit.core import Core, collection_of, to_document
from patchline_kit.documents import Document, Message
from patchline_kit.handling import Handling
from patchline_kit.unit import Trigger

D = TypeVar("D", bound=Document)
R = TypeVar("R")


class Handle:
    """See :class:`patchline_kit.context.ServiceHandle`."""

    def __init__(self, core: Core, handling: Handling) -> None:
        self._core = core
        self._handling = handling

    def show(self, core: Core, handling: Handling) -> None:
        """Show another replica's documents from now on."""
        self._core, self._handling = core, handling

    def fail(self, part: str, error: BaseException) -> None:
        """Say that a companion has ended with an error."""
        self._core.fail(part, error)

    @property
    def now(self) -> datetime:
        """The instant, in UTC, by the injected clock."""
        return self._core.clock.now()

    async def deliver(self, message: Message, *, follows: tuple[type[Document], str] | None = None) -> None:
        """See :meth:`patchline_kit.context.ServiceHandle.deliver`."""
        kind = type(message)
        handler = self._core.service.messages.get(kind)
        if handler is None:
            raise TypeError(f"{self._core.service.name} has no handler for the message {kind.__name__}")
        message_id = str(uuid7())
        before = (
            None if follows is None else await self._core.store.load(collection_of(follows[0]), follows[1])
        )
        attempt = await self._handling.attempt(
            handler,
            message,
            Trigger(
                kind="call",
                id=message_id,
                inbox_id=message_id,
                traceparent=before.traceparent if before else None,
                caused_at=before.saved_at if before else None,
            ),
            name=f"{getattr(handler, '__name__', 'call')} {kind.__name__}",
        )
        if attempt.error is not None:
            raise attempt.error

    async def read(self, kind: type[D], id: str) -> D | None:
        """Look at a document."""
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

    async def changed(self, kind: type[Document], id: str, *, timeout: float) -> None:
        """Return when the document was saved by this process, or after ``timeout`` seconds at the latest."""
        await self._core.changes.wait(collection_of(kind), id, timeout)

    def resource(self, kind: type[R]) -> R:
        """What was registered for ``kind`` with :meth:`Service.resource`."""
        return self._core.resource(kind)

    def setting(self, kind: type[R]) -> R:
        """The service's settings object."""
        return self._core.setting(kind)
