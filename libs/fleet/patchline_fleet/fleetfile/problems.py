"""What is wrong in a fleet file: all of it at once, each with its line and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    file: str
    line: int
    """From 1; 0 when it is the file as a whole."""
    column: int
    """From 1."""
    where: str
    """For example ``targets[3].group``; empty when it is the file as a whole."""
    reason: str
    fix: str | None = None
    """What to write instead, where that can be told."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = [place, *([self.where] if self.where else []), self.reason]
        return ": ".join(parts) + (f"; {self.fix}" if self.fix else "")


class FleetFileError(Exception):
    """A fleet file that cannot be used; ``problems`` holds every reason, by line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda each: (each.line, each.column))
        lines = [str(each) for each in self.problems[:SHOWN]]
        if len(self.problems) > SHOWN:
            lines.append(f"... and {len(self.problems) - SHOWN} more")
        super().__init__("\n".join(lines))


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A suggestion for a word that is not among the ``known`` ones, or None."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else None
