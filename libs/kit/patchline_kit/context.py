"""What a handler sees of the kit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from logging import Logger
from typing import Protocol, TypeVar

from patchline_kit.documents import Document, Message
from patchline_kit.transport.port import Received
from patchline_schemas import Envelope, Event

D = TypeVar("D", bound=Document)
R = TypeVar("R")


class Context(Protocol):
    """One call of one handler: a unit of work over *one* document.

    What the handler loaded with :meth:`load` (or made with :meth:`create`) is saved when it returns,
    together with all that it emitted and sent, in one write. A conflict with another writer runs the
    handler again on the fresh document, so a handler has no effects but through the context, and, in a
    ``wakes`` handler, idempotent ones on the outside.
    """

    log: Logger
    envelope: Envelope | None
    """Of the event in hand; for a local message or a woken document None."""
    record: Received | None
    """The record in hand as it came, for a handler of every event."""
    cause_id: str
    """The id of the event that all this follows from."""
    fence: int
    """The fencing number of the lease, in a ``wakes`` handler; else 0."""

    @property
    def now(self) -> datetime:
        """The instant, in UTC, by the injected clock."""

    async def load(self, kind: type[D], id: str) -> D | None:
        """The document to change, or None. Ends the handler quietly if it has handled this record already.

        A second call for another document is a programming error (:class:`TypeError`).
        """

    async def require(self, kind: type[D], id: str) -> D:
        """Like :meth:`load`; where the document does not exist yet the record is *early*."""

    def create(self, document: D) -> D:
        """Make ``document`` the one this handler changes; it must not exist yet."""

    def delete(self, document: Document) -> None:
        """Delete the loaded document with this write."""

    async def read(self, kind: type[D], id: str) -> D | None:
        """Look at any document without changing it."""

    async def find(
        self, kind: type[D], tag: str | None = None, *, after: str = "", limit: int = 500
    ) -> Sequence[D]:
        """Look at documents by tag, by ascending id after ``after``."""

    async def count(self, kind: type[Document], tag: str | None = None) -> int:
        """How many documents have ``tag``."""

    def emit(self, event: Event, *, part: str = "", urgent: bool = False) -> str:
        """Publish ``event`` with this write; its id follows from the cause, its type and ``part``.

        Emitting one type twice needs two parts. Returns the event's id.
        """

    def send(self, message: Message) -> None:
        """Send a local message to another document of this service with this write."""

    async def checkpoint(self) -> None:
        """In a ``wakes`` handler: save now what changed so far, keep the lease and go on.

        Raises :class:`patchline_kit.outcomes.LeaseLost` if another worker has taken over.
        """

    def deadline_passed(self, since: datetime, limit: timedelta) -> bool:
        """Whether a step begun at ``since`` has had its ``limit``.

        False while this service has not yet handled its topics up to now; time in which it was down
        does not count.
        """

    def resource(self, kind: type[R]) -> R:
        """What was registered for ``kind`` with :meth:`Service.resource`."""

    def setting(self, kind: type[R]) -> R:
        """The service's settings object."""


class ServiceHandle(Protocol):
    """A running service, as its companion (an HTTP server, say) sees it."""

    @property
    def now(self) -> datetime:
        """The instant, in UTC, by the injected clock."""

    async def deliver(self, message: Message, *, follows: tuple[type[Document], str] | None = None) -> None:
        """Hand a local message to the service's own handler; stored when this returns.

        The step goes on in the trace in which the document that it ``follows`` was saved. Raises what the
        handler raises: here nothing is parked.
        """

    async def read(self, kind: type[D], id: str) -> D | None:
        """Look at a document."""

    async def find(
        self, kind: type[D], tag: str | None = None, *, after: str = "", limit: int = 500
    ) -> Sequence[D]:
        """Look at documents by tag, by ascending id after ``after``."""

    async def count(self, kind: type[Document], tag: str | None = None) -> int:
        """How many documents have ``tag``."""

    async def changed(self, kind: type[Document], id: str, *, timeout: float) -> None:
        """Return when the document was saved by this process, or after ``timeout`` seconds at the latest."""

    def resource(self, kind: type[R]) -> R:
        """What was registered for ``kind`` with :meth:`Service.resource`."""

    def setting(self, kind: type[R]) -> R:
        """The service's settings object."""
