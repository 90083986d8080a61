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
    """Of the topic, from 0."""
    offset: int
    """In the partition, from 0."""
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
    """The service that gave it up."""
    reason: str
    """A sentence for a person."""
    error: str
    """The exception's type and text."""
    attempts: int
    """How often it was tried."""
    event_id: str | None = None
    """Null when the record has no readable envelope."""
    first_failed_at: UtcTime
    """When it was tried for the first time."""
    record: RawRecord
    """The record, whole."""

    def key(self) -> str:
        return self.letter_id


class DeadLetterDecided(Event, topic="dead-letters.decided"):
    """A person had a dead letter's record put back on its topic, or laid it aside for good."""

    letter_id: str
    """Names the letter."""
    letter_event_id: str
    """The dead letter that was decided on: the same record may be given up again after a replay."""
    decision: Literal["replayed", "discarded"]
    """What becomes of the record."""
    who: str
    """The person, or the program's name."""
    decided_at: UtcTime
    """When the person said so."""

    def key(self) -> str:
        return self.letter_id
