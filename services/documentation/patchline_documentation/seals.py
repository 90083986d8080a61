"""Seals: the heads of chains that grew are named in one event.

A round from time to time covers all of them; between rounds the chains of updates that ended are sealed soon,
and only those, so that what a seal costs does not grow with what else is going on. Each seal carries the hash
of the one before: a tail that was cut off a chain is missing from what a seal names, and a seal that was cut
off is missing from the chain of the seals' own events.
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


class Sealer(Document, collection="sealers", shared=True):
    """The timer that seals, and the end of the chain of seals."""

    number: int = 0
    hash: str = ORIGIN
    round_at: datetime | None = None
    """When the next round over all chains begins; None: with the next wake."""
    cursor: str = ""
    """Heads up to this id were looked at in the round now going on; empty between rounds."""
    ended: frozenset[str] = frozenset()
    """Chains of updates that have ended, to be sealed before the next round."""

    def seal(self, heads: Sequence[Head], at: datetime) -> SealLine:
        """The next seal, over ``heads``."""
        covered = tuple(ChainHead(chain=head.id, sequence=head.sequence, hash=head.hash) for head in heads)
        number, previous = self.number + 1, self.hash
        self.number, self.hash = number, seal_hash(number, previous, covered)
        return SealLine(number=number, previous=previous, hash=self.hash, heads=covered, sealed_at=at)

    def in_round(self, now: datetime) -> bool:
        """Whether a round over all chains goes on or is due."""
        return self.round_at is None or self.round_at <= now

    def turn_page(self, heads: Sequence[Head], now: datetime, every: timedelta) -> None:
        """Go on after a page of a round: at once with the next, or with the next round after ``every``."""
        full = len(heads) == MOST_HEADS
        self.cursor = heads[-1].id if full else ""
        if not full:
            self.round_at = now + every
        self.wake_at = now if full or self.ended else self.round_at

    def soon(self, chain: str, at: datetime) -> None:
        """Seal ``chain`` at the latest then."""
        self.ended |= {chain}
        if self.wake_at is None or self.wake_at > at:
            self.wake_at = at

    def take_ended(self, now: datetime) -> list[str]:
        """The chains of ended updates whose turn it is."""
        taken = sorted(self.ended)[:MOST_HEADS]
        self.ended -= frozenset(taken)
        self.wake_at = now if self.ended else self.round_at
        return taken


class SealRecord(Document, collection="seals"):
    """A seal, kept beside the ledger that has its event, so that either shows what the other lost."""

    line: SealLine


class SealSoon(Message):
    """Seal a chain, for its update has ended, at the latest then."""

    chain: str
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
