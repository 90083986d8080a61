"""What a vendor hands in: the public form of feed items, and everything that can be wrong with them.

An item is a :class:`Publication` or, with ``"retracted": true``, a :class:`Retraction`. A list is taken
wholly or not: :func:`parse_items` names every problem with its item and field.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from patchline_schemas.components import BadComponent, ecosystem, normal_form
from patchline_schemas.feeds import Advisory, AffectedRange
from patchline_schemas.ids import update_id
from patchline_schemas.json_text import NotJson, read_json
from patchline_schemas.values import Kind, Severity, UtcTime
from patchline_schemas.versions import (
    BEFORE_ANY,
    ECOSYSTEMS,
    UnknownVersion,
    compare,
    in_range,
)
from patchline_schemas.versions import normal_form as normal_version

MAX_FEED_BYTES = 16 * 1024 * 1024
"""A longer feed is refused unread."""
MAX_ITEMS = 10_000
MAX_ITEM_BYTES = 96 * 1024
"""Leaves room for several publications of one update in one event."""
PROBLEMS_SHOWN = 50

_WORD = r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$"
_Word = Annotated[str, Field(min_length=1, max_length=200, pattern=_WORD)]
_Version = Annotated[str, Field(min_length=1, max_length=128)]


class _Item(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ItemRange(_Item):
    """A range of affected versions (see :class:`patchline_schemas.feeds.AffectedRange`)."""

    introduced: _Version = BEFORE_ANY
    fixed: _Version | None = None
    last_affected: _Version | None = None

    def as_range(self) -> AffectedRange:
        """The range as events carry it."""
        return AffectedRange.model_construct(**dict(self))


class ItemAdvisory(_Item):
    """An advisory that the update fixes (see :class:`patchline_schemas.feeds.Advisory`)."""

    id: _Word
    severity: Severity | None = None
    affected: Annotated[tuple[ItemRange, ...], Field(max_length=500)] = ()
    aliases: Annotated[tuple[_Word, ...], Field(max_length=50)] = ()
    exploited: bool | None = None
    summary: Annotated[str, Field(max_length=2000)] | None = None

    def as_advisory(self) -> Advisory:
        """The advisory as events carry it."""
        ranges = tuple(one.as_range() for one in self.affected)
        return Advisory.model_construct(**{**dict(self), "affected": ranges})


class _Head(_Item):
    """What every feed item says; component and version are in normal form."""

    vendor: _Word
    component: _Word
    """Package URL without version."""
    version: _Version

    @property
    def update_id(self) -> str:
        """The id of the update that the item is about."""
        return update_id(self.component, self.version)


class Publication(_Head):
    """A vendor's new version."""

    kind: Kind
    released_at: UtcTime
    advisories: Annotated[tuple[ItemAdvisory, ...], Field(max_length=200)] = ()
    notes_url: Annotated[str, Field(max_length=2000, pattern=r"^https?://\S+$")] | None = None
    restart_required: bool = False
    emergency: bool = False
    """Ask for the urgent lane."""
    retracted: Literal[False] = False


class Retraction(_Head):
    """A version that its vendor withdraws."""

    retracted: Literal[True]
    reason: Annotated[str, Field(min_length=1, max_length=2000)]


FeedItem = Publication | Retraction
"""What can be handed in."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    index: int | None
    """Of the item in the list, from 0; null when it is about the feed as a whole, or no list was given."""
    field: str
    """Path within the item, for example ``advisories[0].affected[0].fixed``; empty for the item itself."""
    message: str

    @property
    def where(self) -> str:
        """The whole path, for example ``items[3].version``."""
        item = "" if self.index is None else f"items[{self.index}]"
        return f"{item}.{self.field}" if item and self.field else item or self.field or "the feed"

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class FeedItemsError(ValueError):
    """A feed that cannot be taken, with all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        shown = [str(problem) for problem in self.problems[:PROBLEMS_SHOWN]]
        if len(self.problems) > PROBLEMS_SHOWN:
            left_out = len(self.problems) - PROBLEMS_SHOWN
            shown.append("and 1 more problem" if left_out == 1 else f"and {left_out} more problems")
        super().__init__("\n".join(shown))


def parse_items(feed: str | bytes | Sequence[Any] | Mapping[str, Any]) -> list[FeedItem]:
    """The items of a feed: JSON text, or what it was parsed to; one item or a list of them.

    Raises :class:`FeedItemsError` with every problem; then nothing of the feed may be taken.
    """
    content = _parsed_json(feed) if isinstance(feed, str | bytes) else feed
    if isinstance(content, Mapping):
        return [parse_item(content)]
    if not isinstance(content, Sequence) or isinstance(content, str | bytes):
        raise FeedItemsError([Problem(None, "", "a feed is one item (a JSON object) or a list of them")])
    if len(content) > MAX_ITEMS:
        raise FeedItemsError([Problem(None, "", f"{len(content)} items; at most {MAX_ITEMS} at a time")])
    items: list[FeedItem] = []
    problems: list[Problem] = []
    for index, one in enumerate(content):
        found = _read_item(one, index)
        if isinstance(found, FeedItem):
            items.append(found)
        else:
            problems.extend(found)
    if problems:
        raise FeedItemsError(problems)
    return items


def parse_item(content: Mapping[str, Any]) -> FeedItem:
    """One item. Raises :class:`FeedItemsError`."""
    found = _read_item(content, None)
    if isinstance(found, FeedItem):
        return found
    raise FeedItemsError(found)


def update_id_of(item: Mapping[str, Any]) -> str | None:
    """The id of the update that an item is about, whatever else is wrong with it; None if it names none."""
    try:
        component = normal_form(item["component"])
        return update_id(component, normal_version(component, item["version"]))
    except (KeyError, TypeError, AttributeError, BadComponent, UnknownVersion):
        return None


def _parsed_json(text: str | bytes) -> Any:
    if len(text) > MAX_FEED_BYTES:
        size = len(text) / 1024 / 1024
        limit = MAX_FEED_BYTES // 1024 // 1024
        message = f"{size:.0f} MiB; at most {limit} MiB at a time, so publish it in several parts"
        raise FeedItemsError([Problem(None, "", message)])
    try:
        return read_json(text)
    except NotJson as error:
        raise FeedItemsError([Problem(None, "", str(error))]) from error


def _read_item(content: Any, index: int | None) -> FeedItem | list[Problem]:
    if not isinstance(content, Mapping):
        return [Problem(index, "", f"an item is a JSON object, this is {_json_type(content)}")]
    text = json.dumps(content)
    if len(text) > MAX_ITEM_BYTES:
        limit = MAX_ITEM_BYTES // 1024
        return [Problem(index, "", f"{len(text) // 1024} KiB; an item may have at most {limit} KiB")]
    shape: type[FeedItem] = Retraction if content.get("retracted") is True else Publication
    try:
        item = shape.model_validate_json(text, strict=True)
    except ValidationError as error:
        return _shape_problems(error, shape, index)
    problems = [Problem(index, field, message) for field, message in _rule_problems(item)]
    return problems or _normalised(item)


def _normalised(item: FeedItem) -> FeedItem:
    component = normal_form(item.component)
    return item.model_copy(
        update={"component": component, "version": normal_version(component, item.version)}
    )


def _rule_problems(item: FeedItem) -> Iterator[tuple[str, str]]:
    try:
        component = normal_form(item.component)
    except BadComponent as error:
        yield "component", str(error)
        return
    if ecosystem(component) not in ECOSYSTEMS:
        yield (
            "component",
            f"unknown ecosystem {ecosystem(component)!r}{_suggestion(ecosystem(component), ECOSYSTEMS)}; "
            f"known: {', '.join(ECOSYSTEMS)}",
        )
        return
    unreadable = _unreadable(component, item.version)
    if unreadable:
        yield "version", unreadable
    elif isinstance(item, Publication):
        for number, advisory in enumerate(item.advisories):
            for place, affected in enumerate(advisory.affected):
                for field, message in _range_problems(component, item.version, affected):
                    yield f"advisories[{number}].affected[{place}]{field}", message


def _range_problems(component: str, version: str, affected: ItemRange) -> Iterator[tuple[str, str]]:
    bounds = {
        "introduced": affected.introduced,
        "fixed": affected.fixed,
        "last_affected": affected.last_affected,
    }
    if affected.introduced == BEFORE_ANY:
        del bounds["introduced"]
    unreadable = {
        name: message
        for name, bound in bounds.items()
        if bound is not None and (message := _unreadable(component, bound))
    }
    yield from ((f".{name}", message) for name, message in unreadable.items())
    if unreadable:
        return
    if affected.fixed and affected.last_affected:
        yield "", "has 'fixed' and 'last_affected'; a range ends with one of them"
    elif affected.introduced != BEFORE_ANY and _is_empty(component, affected):
        yield "", "holds no version: it ends before 'introduced'"
    elif in_range(component, version, affected.as_range()):
        yield "", f"the update's own version {version} lies in it, so the update does not fix it"


def _is_empty(component: str, affected: ItemRange) -> bool:
    if affected.fixed:
        return compare(component, affected.introduced, affected.fixed) >= 0
    return affected.last_affected is not None and (
        compare(component, affected.introduced, affected.last_affected) > 0
    )


def _unreadable(component: str, version: str) -> str | None:
    try:
        normal_version(component, version)
    except UnknownVersion as error:
        return str(error)
    return None


def _shape_problems(error: ValidationError, shape: type[FeedItem], index: int | None) -> list[Problem]:
    return [
        Problem(index, _path(found["loc"]), _sentence(found, shape))
        for found in error.errors(include_url=False, include_context=True)
    ]


_SENTENCES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": lambda found: "is missing",
    "timezone_aware": lambda found: "has no time zone; write it like 2025-03-05T20:05:00Z",
    "string_type": lambda found: f"must be text, is {_json_type(found['input'])}",
    "bool_type": lambda found: f"must be true or false, is {_json_type(found['input'])}",
    "tuple_type": lambda found: f"must be a list, is {_json_type(found['input'])}",
    "model_type": lambda found: f"must be an object, is {_json_type(found['input'])}",
    "literal_error": lambda found: f"must be {_expected(found)}, is {_shown(found['input'])}",
    "string_too_short": lambda found: "must not be empty",
    "string_too_long": lambda found: f"may have at most {found['ctx']['max_length']} characters",
    "too_long": lambda found: f"may have at most {found['ctx']['max_length']} entries",
}


def _sentence(found: Mapping[str, Any], shape: type[FeedItem]) -> str:
    kind = found["type"]
    if kind == "extra_forbidden":
        return f"unknown key{_suggestion(str(found['loc'][-1]), _known_keys(shape, found['loc']))}"
    if kind.startswith("datetime"):
        return f"must be a time like 2025-03-05T20:05:00Z, is {_shown(found['input'])}"
    if kind == "string_pattern_mismatch":
        if found["loc"][-1] == "notes_url":
            return f"must be a web address (http or https), is {_shown(found['input'])}"
        return "must not be blank, nor begin or end with a space, nor hold a control character"
    return _SENTENCES[kind](found) if kind in _SENTENCES else str(found["msg"])


def _expected(found: Mapping[str, Any]) -> str:
    return "true or false" if found["loc"][-1] == "retracted" else str(found["ctx"]["expected"])


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _known_keys(shape: type[BaseModel], path: Sequence[int | str]) -> list[str]:
    below: dict[str, type[BaseModel]] = {"advisories": ItemAdvisory, "affected": ItemRange}
    inner = [below[str(part)] for part in path[:-1] if part in below]
    model: type[BaseModel] = inner[-1] if inner else shape
    return list(model.model_fields)


def _suggestion(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _path(location: Sequence[int | str]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def _json_type(value: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")
