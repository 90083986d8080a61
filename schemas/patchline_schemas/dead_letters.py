"""Records that a service could not handle."""

from __future__ import annotations

from typing import Literal

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


class DeadLetterDecided(Event, topic="dead-letters.decided"):
    """A person had a dead letter's record put back on its topic, or laid it aside for good."""

    letter_id: str
    letter_event_id: str
    """The dead letter that was decided on: the same record may be given up again after a replay."""
    decision: Literal["replayed", "discarded"]
    who: str
    decided_at: UtcTime

    def key(self) -> str:
        return self.letter_id
