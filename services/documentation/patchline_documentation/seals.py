"""Seals: from time to time the heads of all chains that grew are named in one event.

Each seal carries the hash of the one before. A tail that was cut off a chain is then missing from what
a seal names, and a seal that was cut off is missing from the chain of the seals' own events.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from patchline_documentation.chains import Head, MarkSealed
from patchline_kit.documents import Document, Message
from patchline_kit.ledger import LEDGER_CHAIN, ORIGIN, SealLine, seal_hash
from patchline_schemas.ledger import ChainHead, LedgerSealed

SEALER = "ledger"
"""Id of the one :class:`Sealer`."""
MOST_HEADS = 800
"""Heads in one seal, so that its event stays below 256 KiB with long package URLs too."""


class Sealer(Document, collection="sealers"):
    """The timer that seals, and the end of the chain of seals."""

    number: int = 0
    hash: str = ORIGIN
    cursor: str = ""
    """Heads up to this id were looked at in the round now going on; empty between rounds."""

    def seal(self, heads: Sequence[Head], at: datetime) -> SealLine:
        """The next seal, over ``heads``."""
        covered = tuple(ChainHead(chain=head.id, sequence=head.sequence, hash=head.hash) for head in heads)
        number, previous = self.number + 1, self.hash
        self.number, self.hash = number, seal_hash(number, previous, covered)
        return SealLine(number=number, previous=previous, hash=self.hash, heads=covered, sealed_at=at)

    def again(self, heads: Sequence[Head], now: datetime, every: timedelta) -> None:
        """Wake at once for the next page of heads, or for the next round after ``every``."""
        full = len(heads) == MOST_HEADS
        self.cursor = heads[-1].id if full else ""
        self.wake_at = now if full else now + every


class SealRecord(Document, collection="seals"):
    """A seal, kept beside the ledger that has its event, so that either shows what the other lost."""

    line: SealLine


class SealSoon(Message):
    """Seal at the latest then."""

    at: datetime


class KeepSeal(Message):
    """Write a seal's record, unless it is written."""

    line: SealLine


def worth_sealing(heads: Sequence[Head]) -> bool:
    """Whether to seal: a seal's own event alone asks for no further seal, or sealing would never end."""
    return any(head.id != LEDGER_CHAIN for head in heads)


def seal_event(line: SealLine) -> LedgerSealed:
    """The event of a seal."""
    return LedgerSealed(
        number=line.number,
        previous=line.previous,
        hash=line.hash,
        heads=line.heads,
        sealed_at=line.sealed_at,
    )


def seal_record_id(number: int) -> str:
    """The id of a seal's document; they sort by number."""
    return f"{number:010d}"


def marks(line: SealLine) -> list[MarkSealed]:
    """What the sealed heads are told."""
    return [MarkSealed(to=head.chain, sequence=head.sequence) for head in line.heads]
