"""Seals over the ledger's hash chains."""

from __future__ import annotations

from patchline_schemas.envelope import Event
from patchline_schemas.values import UtcTime, Value


class ChainHead(Value):
    """The newest entry of a chain when it was sealed."""

    chain: str
    """The chain's name."""
    sequence: int
    """Number of the entry, from 1."""
    hash: str
    """SHA-256 of the entry, in hex."""


class LedgerSealed(Event, topic="ledger.sealed"):
    """The heads of the chains that changed since the seal before. Seals are a chain themselves."""

    number: int
    """From 1."""
    previous: str
    """Hash of the seal before; 64 zeros for the first."""
    hash: str
    """SHA-256 over number, previous and heads."""
    heads: tuple[ChainHead, ...]
    """At most 1,000."""
    sealed_at: UtcTime
    """When the seal was made."""

    def key(self) -> str:
        return "ledger"


class PlaybackRequested(Event, topic="ledger.playback-requested"):
    """A service builds its read models anew and asked for all that the ledger holds."""

    playback_id: str
    """Names this playback."""
    reader: str
    """Consumer group that the records are played back to, on ``ledger.played-back``."""

    def key(self) -> str:
        return self.playback_id


class PlaybackAdvanced(Event, topic="ledger.playback-advanced"):
    """Entries of the ledger were put on ``ledger.played-back`` for one reader."""

    playback_id: str
    """That of ``ledger.playback-requested``."""
    reader: str
    """Consumer group that the records are played back to."""
    entries_done: int
    """So far; the records are on their topic."""
    entries_total: int
    """As of now: the ledger grows meanwhile."""
    ended: bool
    """Whether these were the last."""

    def key(self) -> str:
        return self.playback_id
