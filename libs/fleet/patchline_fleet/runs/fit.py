"""Keeps what a wave's event says of its targets below the size of a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from patchline_schemas.waves import CheckResult, TargetResult

ROOM = 200 * 1024
"""Bytes for the results of one event; the rest of a message's 256 KiB is for its head."""
CUT = "[…] "
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much each target may say."""

    failed_output: int
    """Characters of an error, and of a failed check's output; their ends are kept."""
    passed_output: int
    changes: int
    notes: int


ALLOWANCES = (
    Allowance(failed_output=8000, passed_output=2000, changes=200, notes=50),
    Allowance(failed_output=4000, passed_output=400, changes=60, notes=20),
    Allowance(failed_output=2000, passed_output=0, changes=20, notes=10),
    Allowance(failed_output=600, passed_output=0, changes=6, notes=4),
    Allowance(failed_output=200, passed_output=0, changes=1, notes=1),
    Allowance(failed_output=80, passed_output=0, changes=0, notes=0),
)


def fit(results: Sequence[TargetResult], *, room: int = ROOM) -> tuple[TargetResult, ...]:
    """``results`` in at most ``room`` bytes of JSON: outputs lose their beginning, long lists their end.

    Who ended how, from which version to which, the name of a failed check, and whether there was any check
    always stay. What is left out is named in a note while there is room for one. Raises :class:`ValueError`
    if even the least does not fit.
    """
    for allowance in ALLOWANCES:
        trimmed = tuple(_trimmed(result, allowance) for result in results)
        if size(trimmed) <= room:
            return trimmed
    least = tuple(_least(result) for result in results)
    if size(least) > room:
        raise ValueError(f"{len(results)} target results do not fit into {room} bytes")
    return least


def fit_by(
    items: Sequence[M], trim: Callable[[M, int], M], *, lengths: Sequence[int], room: int = ROOM
) -> tuple[M, ...]:
    """The first of ``lengths`` with which all ``items``, each through ``trim``, fit into ``room`` bytes.

    Raises :class:`ValueError` if none does.
    """
    for length in lengths:
        trimmed = tuple(trim(item, length) for item in items)
        if size(trimmed) <= room:
            return trimmed
    raise ValueError(f"{len(items)} items do not fit into {room} bytes")


def size(items: Sequence[BaseModel]) -> int:
    """Bytes of ``items`` in an event's body."""
    return sum(len(item.model_dump_json(exclude_none=True).encode()) + 1 for item in items)


def end_of(text: str, length: int) -> str:
    """The end of ``text``, where tools say what went wrong; what is cut off is marked."""
    text = text.strip()
    if len(text) <= length:
        return text
    return CUT + text[len(text) - length :].lstrip() if length else ""


def _trimmed(result: TargetResult, allowance: Allowance) -> TargetResult:
    left_out = [
        f"{len(items) - kept} further {name} are left out here."
        for name, items, kept in (
            ("package changes", result.changes, allowance.changes),
            ("notes", result.notes, allowance.notes),
        )
        if len(items) > kept and allowance.notes
    ]
    return result.model_copy(
        update={
            "error": None if result.error is None else end_of(result.error, allowance.failed_output),
            "checks": tuple(_trimmed_check(check, allowance) for check in result.checks),
            "changes": result.changes[: allowance.changes],
            "notes": (*result.notes[: allowance.notes], *left_out),
        }
    )


def _trimmed_check(check: CheckResult, allowance: Allowance) -> CheckResult:
    length = allowance.passed_output if check.passed else allowance.failed_output
    return check.model_copy(update={"output": end_of(check.output, length)})


def _least(result: TargetResult) -> TargetResult:
    failed = tuple(check for check in result.checks if not check.passed)
    telling = tuple(
        check.model_copy(update={"output": "", "name": check.name[:80]})
        for check in (failed or result.checks)[:1]
    )
    return result.model_copy(
        update={
            "error": None if result.error is None else end_of(result.error, 40),
            "checks": telling,
            "changes": (),
            "notes": (),
        }
    )
