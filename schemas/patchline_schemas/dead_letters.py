"""Records that a service could not handle."""

from __future__ import annotations

from patchline_schemas.envelope import Event
from patchline_schemas.values import UtcTime, Value


class RawRecord(Value):
    """A record as it was, for a replay."""

    topic: str
    """Without the installation's prefix."""
    partition: int
    offset: int
    key: str | None = None
    """Base64."""
    headers: tuple[tuple[str, str], ...]
    """Names, and values in base64."""
    value: str
    """Base64; empty when the record was too large to keep."""


class DeadLettered(Event, topic="dead-letters"):
    """A service gave a record up, with the reason."""

    letter_id: str
    """Follows from service, topic, partition and offset."""
    service: str
    reason: str
    """A sentence for a person."""
    error: str
    """The exception's type and text."""
    attempts: int
    event_id: str | None = None
    """Null when the record has no readable envelope."""
    first_failed_at: UtcTime
    record: RawRecord

    def key(self) -> str:
        return self.letter_id
