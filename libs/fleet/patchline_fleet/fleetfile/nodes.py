"""Reads values out of YAML nodes, which know their lines, and notes what is wrong instead of stopping.

A plain scalar is taken as it is written, not as YAML 1.1 would have it: ``no`` is an id as good as any,
``1.10`` stays ``1.10``, and ``12:30`` is no number of seconds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import get_args

import yaml
from pydantic import TypeAdapter, ValidationError

from patchline_fleet.fleetfile.problems import Problem, did_you_mean

NULL = "tag:yaml.org,2002:null"
MERGE = "tag:yaml.org,2002:merge"
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
KINDS = {yaml.MappingNode: "a mapping", yaml.SequenceNode: "a list", yaml.ScalarNode: "a single value"}

_duration = TypeAdapter(timedelta)
_DURATION = re.compile(r"P(?=.)(\d+W|(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A value in the file, and where it stands."""

    where: str
    node: yaml.Node

    def item(self, number: int, node: yaml.Node) -> Entry:
        """The value at a place of this list."""
        return Entry(f"{self.where}[{number}]", node)

    def part(self, key: str, node: yaml.Node) -> Entry:
        """The value under a key of this mapping."""
        return Entry(f"{self.where}.{key}" if self.where else key, node)


@dataclass(slots=True)
class Notes:
    """Collects problems while values are read; every reader returns None after noting one."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, at: Entry, reason: str, fix: str | None = None) -> None:
        """Note a problem at the place of ``at``."""
        mark = at.node.start_mark
        self.problems.append(Problem(self.file, mark.line + 1, mark.column + 1, at.where, reason, fix))

    def mapping(
        self, at: Entry, keys: Collection[str] | None, *, required: Collection[str] = ()
    ) -> dict[str, Entry] | None:
        """The parts of a mapping; one with nothing after it is left out. With ``keys`` there is no other."""
        if not isinstance(at.node, yaml.MappingNode):
            self.wrong(at, f"must be a mapping, not {KINDS[type(at.node)]}")
            return None
        parts: dict[str, Entry] = {}
        for key_node, value_node in _pairs(at.node):
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            part = at.part(key, key_node)
            if key in parts:
                self.wrong(part, "stands here twice", "keep one of them")
            elif keys is not None and key not in keys:
                self.wrong(
                    part, "there is no such key", did_you_mean(key, keys) or f"there are: {', '.join(keys)}"
                )
            elif value_node.tag != NULL:
                parts[key] = at.part(key, value_node)
        for key in required:
            if key not in parts:
                self.wrong(at, f"{key!r} is missing")
        return parts

    @staticmethod
    def is_scalar(at: Entry) -> bool:
        """Whether a single value stands there, rather than a list or a mapping."""
        return isinstance(at.node, yaml.ScalarNode)

    def items(self, at: Entry | None) -> Iterator[Entry]:
        """The values of a list; none if ``at`` is None."""
        if at is None:
            return
        if not isinstance(at.node, yaml.SequenceNode):
            self.wrong(at, f"must be a list, not {KINDS[type(at.node)]}", "put it in [ ]")
            return
        for number, node in enumerate(at.node.value):
            yield at.item(number, node)

    def text(self, at: Entry) -> str | None:
        """A scalar as it is written."""
        if not isinstance(at.node, yaml.ScalarNode):
            self.wrong(at, f"must be text, not {KINDS[type(at.node)]}")
            return None
        if at.node.tag == NULL or not at.node.value.strip():
            self.wrong(at, "is empty")
            return None
        return str(at.node.value)

    def texts(self, at: Entry | None) -> tuple[str, ...]:
        """A list of scalars."""
        return tuple(text for item in self.items(at) if (text := self.text(item)) is not None)

    def choice(self, at: Entry, kind: object) -> str | None:
        """One of the words of a ``Literal``."""
        return self.one_of(at, get_args(kind))

    def one_of(self, at: Entry, words: Collection[str]) -> str | None:
        """One of ``words``."""
        text = self.text(at)
        if text is None or text in words:
            return text
        self.wrong(at, f"{text!r} is none of {', '.join(words)}", did_you_mean(text, words))
        return None

    def duration(self, at: Entry, *, positive: bool = False) -> timedelta | None:
        """An ISO 8601 duration without months and years, whose length is not fixed."""
        text = self.text(at)
        if text is None:
            return None
        if not _DURATION.fullmatch(text):
            self.wrong(at, f"{text!r} is no ISO 8601 duration", "write for example PT30S, PT2H or P1DT12H")
            return None
        if text.endswith("W"):
            value = timedelta(weeks=int(text[1:-1]))
        else:
            try:
                value = _duration.validate_python(text)
            except (ValidationError, OverflowError):
                self.wrong(at, f"{text!r} is too long")
                return None
        if positive and not value:
            self.wrong(at, "must be longer than nothing")
            return None
        return value

    def integer(self, at: Entry, *, least: int, most: int | None = None) -> int | None:
        """A whole number in decimal digits."""
        text = self.text(at)
        if text is None:
            return None
        if not re.fullmatch(r"[+-]?(0|[1-9]\d{0,17})", text):
            self.wrong(at, f"{text!r} is no whole number")
            return None
        value = int(text)
        if value < least or (most is not None and value > most):
            bounds = f"at least {least}" + (f" and at most {most}" if most is not None else "")
            self.wrong(at, f"{value} is not allowed: it must be {bounds}")
            return None
        return value

    def boolean(self, at: Entry) -> bool | None:
        """True or false, also in the words of YAML 1.1."""
        text = self.text(at)
        if text is None:
            return None
        if text.lower() not in BOOLEANS:
            self.wrong(at, f"{text!r} is neither true nor false")
            return None
        return BOOLEANS[text.lower()]

    def instant(self, at: Entry) -> datetime | None:
        """An RFC 3339 time with a zone, in UTC."""
        text = self.text(at)
        if text is None:
            return None
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            self.wrong(at, f"{text!r} is no time", "write for example 2026-12-20T00:00:00+01:00")
            return None
        if value.tzinfo is None:
            self.wrong(at, f"{text!r} has no zone", "write for example 2026-12-20T00:00:00+01:00")
            return None
        return value.astimezone(UTC)

    def day(self, at: Entry) -> date | None:
        """A date."""
        text = self.text(at)
        if text is None:
            return None
        try:
            return date.fromisoformat(text)
        except ValueError:
            self.wrong(at, f"{text!r} is no date", "write for example 2026-01-05")
            return None


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """The pairs of a mapping; what ``<<`` merges in comes last and only where it is not given here."""
    given = {key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != MERGE}
    for key, value in node.value:
        if key.tag != MERGE:
            yield key, value
    for key, value in node.value:
        if key.tag != MERGE:
            continue
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if isinstance(source, yaml.MappingNode):
                for merged_key, merged_value in _pairs(source):
                    if merged_key.value not in given:
                        given.add(merged_key.value)
                        yield merged_key, merged_value
