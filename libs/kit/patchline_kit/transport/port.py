"""The transport port: what the kit needs of a log of records."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from patchline_kit.unavailable import Unavailable
from patchline_schemas import WireRecord


class Received(Struct, frozen=True):
    """A record as read, with its position. ``topic`` is without the installation's prefix."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    value: bytes
    timestamp: datetime


BatchHandler = Callable[[Sequence[Received]], Awaitable[None]]
"""Called with the next records, all urgent or none; returning means that they are stored or parked and
may be committed.

An exception means none may: the same records come again."""


class Lag(Struct, frozen=True):
    """How far a group is behind on its topics."""

    records: int
    oldest: datetime | None
    """Timestamp of the oldest record not yet handled; null when there is none."""


class Transport(Protocol):
    """A durable log of records, by topic and key."""

    async def start(self) -> None:
        """Connect; create what is missing. Raises :class:`TransportError` with what to do."""

    async def stop(self) -> None:
        """Finish what is in flight and let go."""

    async def publish(self, records: Sequence[WireRecord]) -> None:
        """Append ``records``, those of one topic and key in the given order.

        Returns when all are durable. Raises :class:`TransportError` if that cannot be said of all; a
        repeated call may then append some twice.
        """

    async def subscribe(
        self, group: str, topics: Sequence[str], handler: BatchHandler, *, from_end: bool = False
    ) -> Subscription:
        """Read ``topics`` as a member of ``group``, urgent topics first, from the group's positions.

        A group without a position starts at the beginning, or at the end with ``from_end``.
        """

    async def forget(self, group: str) -> None:
        """Forget the positions of a group that nobody is a member of any more."""

    async def read(self, topic: str, *, after: int | None = None, limit: int = 100) -> Sequence[Received]:
        """Records of a topic in order of offset, without a group (for looking, not for handling).

        About ``limit``: where partitions count offsets of their own, those of one offset are never parted,
        so that the next page begins ``after`` the last one's offset.
        """


class Subscription(Protocol):
    """A running membership in a group."""

    async def stop(self) -> None:
        """Let the batch in hand finish (or cancel it after the grace time), commit, leave."""

    async def lag(self) -> Lag:
        """How far behind this member is on what it is assigned."""

    def assigned(self) -> bool:
        """Whether this member reads anything now."""


class TransportError(Unavailable):
    """The log cannot be reached or refuses; the text says what to do."""
