"""What a command prints: data on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


class Format(StrEnum):
    """Forms of a listing."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. Where the terminal is narrow, those with the highest ``rank`` go first."""

    title: str
    value: Callable[[Any], str]
    rank: int = 0
    style: Callable[[str], str] = lambda _: ""
    right: bool = False
    wrap: bool = False
    """Whether long text goes on in the next line; else it stays whole."""


STATE_STYLES = {
    "completed": "green",
    "verified": "green",
    "succeeded": "green",
    "sent": "green",
    "pass": "green",
    "failed": "bold red",
    "fail": "bold red",
    "needs-person": "bold red",
    "timed-out": "red",
    "unreachable": "red",
    "rolled-back": "yellow",
    "rolling-back": "yellow",
    "awaiting-approval": "bold yellow",
    "paused": "yellow",
    "retrying": "yellow",
    "warn": "yellow",
    "rolling-out": "cyan",
    "testing": "cyan",
    "deploying": "cyan",
    "running": "cyan",
    "not-applicable": "dim",
    "cancelled": "dim",
    "dropped": "dim",
    "rejected": "dim",
    "skip": "dim",
}


def state_style(state: str) -> str:
    """The colour of a state."""
    return STATE_STYLES.get(state, "")


def count(number: int, noun: str) -> str:
    """``1 target``, ``2 targets``, ``2 entries``."""
    if number == 1:
        return f"1 {noun}"
    ends_in_ies = noun.endswith("y") and noun[-2] not in "aeiou"
    return f"{number} {noun[:-1]}ies" if ends_in_ies else f"{number} {noun}s"


def clean(text: str) -> str:
    """``text`` without control characters: what a tool printed must not steer the reader's terminal."""
    return _CONTROL.sub("", text)


_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command how to end; rich would end it with 1."""
        raise BrokenPipeError


class Output:
    """The two streams, in one of the forms."""

    def __init__(self, form: Format = Format.TABLE) -> None:
        self.form = form
        self.out = _Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        self.err = _Console(file=sys.stderr, highlight=False, markup=False, emoji=False)

    @property
    def is_table(self) -> bool:
        """Whether a person is to read standard output."""
        return self.form is Format.TABLE

    def say(self, text: str, *, style: str = "") -> None:
        """A message, on standard error."""
        self.err.print(clean(text), style=style or None, soft_wrap=True)

    def line(self, text: str, *, style: str = "") -> None:
        """A line of data for a person, on standard output."""
        self.out.print(clean(text), style=style or None, soft_wrap=not self.out.is_terminal)

    def next(self, *commands: str) -> None:
        """What one might do now."""
        for number, command in enumerate(commands):
            self.say(f"{'Next:' if number == 0 else '     '} {command}", style="dim")

    def data(self, value: Any) -> None:
        """One JSON document, whole."""
        indent = 2 if self.form is Format.JSON else None
        sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def listing(self, items: Iterable[Mapping[str, Any]], columns: Sequence[Column], *, empty: str) -> None:
        """Items in the chosen form; ``empty`` is said when there are none."""
        if self.form is Format.JSONL:
            for item in items:
                self.data(item)
        elif self.form is Format.JSON:
            self.data(list(items))
        else:
            rows = list(items)
            if rows:
                self.table(rows, columns)
            else:
                self.say(empty)

    def table(self, rows: Sequence[Any], columns: Sequence[Column]) -> None:
        """A table that fits the terminal; into a pipe or file it goes uncut."""
        cells = {column.title: [clean(column.value(row)) for row in rows] for column in columns}
        if not self.out.is_terminal:
            for line in _plain(cells):
                self.line(line)
            return
        table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold", padding=(0, 1)
        )
        shown = _fitting(columns, cells, self.out.width)
        for column in shown:
            table.add_column(
                column.title,
                justify="right" if column.right else "left",
                overflow="fold",
                no_wrap=not column.wrap and _width(shown, cells) <= self.out.width,
            )
        for number in range(len(rows)):
            table.add_row(
                *(
                    Text(cells[column.title][number], style=column.style(cells[column.title][number]))
                    for column in shown
                )
            )
        self.out.print(table)

    def grid(self, rows: Sequence[Sequence[str]], *, styles: Sequence[str]) -> None:
        """Rows without titles; the last cell goes on below itself where it is long or has several lines."""
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]) - 1)]
        grid = Table.grid(padding=(0, 2))
        for row, style in zip(rows, styles, strict=True):
            if self.out.is_terminal:
                grid.add_row(*(Text(clean(cell), style=style) for cell in row))
                continue
            first, *more = clean(row[-1]).split("\n")
            start = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
            self.line(f"{start}  {first}")
            for line in more:
                self.line(f"{'':<{len(start) + 2}}{line}")
        if self.out.is_terminal:
            self.out.print(grid)


def _plain(cells: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A table for a pipe or file: nothing is cut, a row is one line."""
    flat = {title: [" ".join(cell.split()) or "-" for cell in column] for title, column in cells.items()}
    widths = [max(len(cell) for cell in (title, *column)) for title, column in flat.items()]
    for row in zip(*([title, *column] for title, column in flat.items()), strict=True):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _fitting(columns: Sequence[Column], cells: Mapping[str, Sequence[str]], width: int) -> Sequence[Column]:
    shown = list(columns)
    while len(shown) > 1 and _width(shown, cells) > width:
        worst = max(shown, key=lambda column: column.rank)
        if worst.rank == 0:
            break
        shown.remove(worst)
    return shown


def _width(columns: Sequence[Column], cells: Mapping[str, Sequence[str]]) -> int:
    """What the columns need; one that wraps makes do with 24 characters."""
    gaps = 3 * (len(columns) - 1)
    return gaps + sum(
        min(24, longest) if column.wrap else longest
        for column in columns
        for longest in [max(len(column.title), *(len(cell) for cell in cells[column.title]))]
    )
