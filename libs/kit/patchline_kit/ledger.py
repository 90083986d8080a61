"""The ledger's format: how entries are chained and sealed, how they are exported, and what breaks them.

Everything here is pure and works on exported lines, so a stranger can check a ledger without Patchline.
``docs/ledger.md`` states the same rules in prose, with a verifier of twenty lines.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from patchline_schemas.ledger import ChainHead
from patchline_schemas.values import UtcTime

ORIGIN = "0" * 64
"""What stands for the hash before the first entry of a chain, and before the first seal."""
LEDGER_CHAIN = "ledger/ledger"
"""The chain of the seals' own events."""


class LedgerFormatError(ValueError):
    """A line is no line of an exported ledger; the text names the line."""


class LedgerLine(BaseModel):
    """An event as the ledger keeps it: whole, with its place in its chain."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    kind: Literal["entry"] = "entry"
    chain: str
    sequence: int
    """Number within the chain, from 1."""
    previous: str
    """Hash of the entry before; :data:`ORIGIN` for the first."""
    hash: str
    event_id: str
    recorded_at: UtcTime
    topic: str
    key: str
    headers: tuple[tuple[str, str], ...]
    """In their order, as they came."""
    body: str
    """The record's value as it came, to the byte."""


class SealLine(BaseModel):
    """A seal: what the heads of the chains that had changed were at an instant."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    kind: Literal["seal"] = "seal"
    number: int
    """From 1."""
    previous: str
    """Hash of the seal before; :data:`ORIGIN` for the first."""
    hash: str
    heads: tuple[ChainHead, ...]
    sealed_at: UtcTime


Line = LedgerLine | SealLine
ProblemKind = Literal["changed", "missing", "cut", "rewritten", "seal-changed", "seal-missing"]


class Problem(BaseModel):
    """Something that is wrong with a ledger."""

    model_config = ConfigDict(frozen=True)

    kind: ProblemKind
    chain: str
    sequence: int
    """Of the entry, or the number of the seal."""
    explanation: str
    """A sentence."""


def canonical(value: Any) -> bytes:
    """JSON as RFC 8785 (JCS) writes it, for arrays, strings and whole numbers: all that is hashed here."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def entry_hash(line: LedgerLine) -> str:
    """SHA-256 over everything a line says but its own hash, as one canonical JSON array."""
    covered = [
        line.chain,
        line.sequence,
        line.previous,
        line.event_id,
        rfc3339(line.recorded_at),
        line.topic,
        line.key,
        [list(header) for header in line.headers],
        line.body,
    ]
    return hashlib.sha256(canonical(covered)).hexdigest()


def seal_hash(number: int, previous: str, heads: Iterable[ChainHead]) -> str:
    """SHA-256 over number, previous hash and heads, as one canonical JSON array."""
    covered = [number, previous, [[head.chain, head.sequence, head.hash] for head in heads]]
    return hashlib.sha256(canonical(covered)).hexdigest()


def rfc3339(instant: UtcTime) -> str:
    """An instant as the ledger writes it: UTC, microseconds, ``Z``."""
    return instant.isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_json(line: Line) -> str:
    """One line of an export, without the newline. Hashing the fields as they stand here must agree."""
    body = line.model_dump(mode="json")
    if isinstance(line, LedgerLine):
        body["recorded_at"] = rfc3339(line.recorded_at)
    else:
        body["sealed_at"] = rfc3339(line.sealed_at)
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str, number: int) -> Line:
    """Read one line of an export; ``number`` is for the message.

    Raises :class:`LedgerFormatError`.
    """
    try:
        body = json.loads(text)
        if body["kind"] == "seal":
            return SealLine.model_validate(body)
        return LedgerLine.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise LedgerFormatError(f"line {number}: {where}: {first['msg']}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerFormatError(f"line {number} is no entry and no seal of an exported ledger") from error


def read_lines(lines: Iterable[str]) -> Iterator[Line]:
    """Entries and seals of an export in their order; empty lines are skipped.

    Raises :class:`LedgerFormatError`, naming the line.
    """
    for number, text in enumerate(lines, 1):
        if text.strip():
            yield from_json(text, number)


class Verifier:
    """Checks a ledger entry by entry, in memory that grows with chains and seals but not with entries.

    ``seals`` come first, all of them; then :meth:`check` takes the entries, in order within each chain;
    then :meth:`finish` says what is missing at the end. Entries newer than the last seal are checked
    against their chain only.
    """

    def __init__(self, seals: Iterable[SealLine]) -> None:
        self.entries_total = 0
        self.seals_total = 0
        self._heads: dict[str, tuple[int, str]] = {}
        self._sealed: dict[str, dict[int, tuple[str, int]]] = {}
        self._problems = list(self._check_seals(sorted(seals, key=lambda seal: seal.number)))

    @property
    def chains_total(self) -> int:
        """How many chains were seen."""
        return len(self._heads)

    @property
    def unsealed_total(self) -> int:
        """How many entries are newer than what any seal covers."""
        return sum(
            max(0, sequence - max(self._sealed.get(chain, {0: ("", 0)})))  # less than 0 would be a cut tail
            for chain, (sequence, _hash) in self._heads.items()
        )

    def check(self, line: LedgerLine) -> None:
        """Take the next entry of a chain."""
        self.entries_total += 1
        self._problems += self._check_entry(line)
        self._heads[line.chain] = (line.sequence, line.hash)

    def finish(self) -> list[Problem]:
        """Everything that is wrong, cut tails included."""
        return [*self._problems, *self._cut_tails()]

    def _check_seals(self, seals: Sequence[SealLine]) -> Iterator[Problem]:
        number, previous = 0, ORIGIN
        for seal in seals:
            self.seals_total += 1
            if seal.number != number + 1:
                yield _seal_problem(
                    "seal-missing", number + 1, f"Seal {number + 1} is missing before seal {seal.number}."
                )
            elif seal.previous != previous:
                yield _seal_problem(
                    "seal-changed", seal.number, f"Seal {seal.number} does not follow from the seal before."
                )
            if seal_hash(seal.number, seal.previous, seal.heads) != seal.hash:
                yield _seal_problem(
                    "seal-changed", seal.number, f"The content of seal {seal.number} does not fit its hash."
                )
            for head in seal.heads:
                self._sealed.setdefault(head.chain, {})[head.sequence] = (head.hash, seal.number)
            number, previous = seal.number, seal.hash

    def _check_entry(self, line: LedgerLine) -> Iterator[Problem]:
        sequence, previous = self._heads.get(line.chain, (0, ORIGIN))
        if line.sequence != sequence + 1:
            yield self._missing(line.chain, sequence + 1, line.sequence - 1)
        elif line.previous != previous:
            yield _entry_problem(
                "changed", line, "does not follow from the entry before: one of the two was changed"
            )
        if entry_hash(line) != line.hash:
            yield _entry_problem("changed", line, "was changed: its content does not fit its hash")
        sealed_hash, seal = self._sealed.get(line.chain, {}).get(line.sequence, (line.hash, 0))
        if sealed_hash != line.hash:
            yield _entry_problem("rewritten", line, f"is not the entry that seal {seal} covers")

    def _missing(self, chain: str, first: int, last: int) -> Problem:
        what = f"entry {first}" if first >= last else f"entries {first} to {last}"
        return Problem(
            kind="missing",
            chain=chain,
            sequence=first,
            explanation=f"{chain}: {what} missing or out of order.",
        )

    def _cut_tails(self) -> Iterator[Problem]:
        for chain, sealed in sorted(self._sealed.items()):
            newest = max(sealed)
            there, _hash = self._heads.get(chain, (0, ORIGIN))
            if there < newest:
                ends = f"ends with entry {there}" if there else "is gone"
                yield Problem(
                    kind="cut",
                    chain=chain,
                    sequence=there + 1,
                    explanation=f"{chain} {ends}, but seal {sealed[newest][1]} covers entry {newest}.",
                )


def verify(entries: Iterable[LedgerLine], seals: Iterable[SealLine]) -> list[Problem]:
    """Everything that is wrong with a ledger: a changed, missing or cut entry, a broken chain of seals."""
    verifier = Verifier(seals)
    for line in entries:
        verifier.check(line)
    return verifier.finish()


def _entry_problem(kind: ProblemKind, line: LedgerLine, what: str) -> Problem:
    return Problem(
        kind=kind,
        chain=line.chain,
        sequence=line.sequence,
        explanation=f"{line.chain}: entry {line.sequence} (event {line.event_id}) {what}.",
    )


def _seal_problem(kind: ProblemKind, number: int, explanation: str) -> Problem:
    return Problem(kind=kind, chain="seals", sequence=number, explanation=explanation)
