"""Maintenance windows: when a group's next wave may start, and until when.

Recurrences are computed on the wall clock of the window's time zone and then placed on the time line, so
"Saturday at two" stays at two in summer and in winter. RFC 5545 leaves two cases open; here a wall-clock
time that a daylight-saving change skips takes the offset before the change, and one that comes twice means
the first (PEP 495 with ``fold=0``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, time, timedelta
from typing import Literal, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dateutil.rrule import rrule, rrulestr

from patchline_schemas.fleet import Freeze, RecurringWindow, Window

Cause = Literal["window", "notice", "freeze"]

GREGORIAN_CYCLE = timedelta(days=146_097)
"""400 years, after which dates fall on the same weekdays again."""
LAST_YEAR = MAXYEAR
_ONE_PERIOD_BACK = 1
_DAY = timedelta(days=1)


class UnusableWindow(ValueError):
    """The window's rule or time zone means nothing; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of time in which a wave may start."""

    starts_at: datetime
    ends_at: datetime | None
    """Null when nothing ends it."""
    cause: Cause
    """What a wave waits for until ``starts_at``."""

    def open_at(self, now: datetime) -> bool:
        """Whether a wave may start at ``now``."""
        return self.starts_at <= now and (self.ends_at is None or now < self.ends_at)


def next_window(
    window: Window,
    after: datetime,
    *,
    notice_given_at: datetime | None = None,
    notice: timedelta = timedelta(0),
    freezes: Sequence[Freeze] = (),
) -> Slot | None:
    """The first slot that ends after ``after``; None when no window is in sight.

    A window that has begun already counts, unless a notice is owed: then it must begin at least ``notice``
    after ``notice_given_at``. Nothing starts inside a freeze: what a freeze leaves of a window counts.
    Raises :class:`UnusableWindow`.
    """
    owed = notice_given_at + notice if notice_given_at is not None and notice > timedelta(0) else None
    if window == "always":
        earliest = after if owed is None else max(after, owed)
        begins, ends, frozen = _outside_freezes(earliest, None, freezes)
        return Slot(begins, ends, _cause(frozen=frozen, noticed=earliest > after))
    search_from, frozen, noticed = after, False, False
    while True:
        earliest = search_from if owed is None else max(search_from, owed)
        resume_at = None
        for start in _occurrences(window, earliest - window.duration):
            end = start + window.duration
            if end <= search_from:
                continue
            if owed is not None and start < owed:
                noticed = True
                continue
            begins, ends, cut = _outside_freezes(max(start, search_from), end, freezes)
            frozen = frozen or cut
            if ends is not None and begins < ends:
                return Slot(begins, ends, _cause(frozen=frozen, noticed=noticed))
            resume_at = begins
            break
        if resume_at is None:
            return None
        search_from = resume_at


def _cause(*, frozen: bool, noticed: bool) -> Cause:
    if frozen:
        return "freeze"
    return "notice" if noticed else "window"


def _outside_freezes(
    start: datetime, end: datetime | None, freezes: Sequence[Freeze]
) -> tuple[datetime, datetime | None, bool]:
    """The first stretch of ``start``..``end`` that no freeze covers, and whether a freeze delayed it.

    An empty stretch (it begins at or after its end) means that all is frozen.
    """
    delayed = False
    for freeze in sorted(freezes, key=lambda each: each.starts_at):
        if freeze.ends_at <= start:
            continue
        if freeze.starts_at <= start:
            start, delayed = freeze.ends_at, True
        elif end is None or freeze.starts_at < end:
            end = freeze.starts_at
            break
    return start, end, delayed


def _occurrences(window: RecurringWindow, after: datetime) -> Iterator[datetime]:
    """Starts of the window in UTC, ascending, from ``after`` on."""
    zone = _zone(window)
    local = after.astimezone(zone).replace(tzinfo=None)
    rule, shift = _rule_near(window, local - _DAY)
    for found in rule:
        start = (found - shift).replace(tzinfo=zone).astimezone(UTC)
        if start >= after:
            yield start


def _rule_near(window: RecurringWindow, near: datetime) -> tuple[rrule, timedelta]:
    """The rule with its search begun shortly before ``near``, and how far its results lie in the future.

    Counting from the window's own start would make every search longer than the one before. The search is
    moved by whole Gregorian cycles to the end of the calendar, so one for a date that never comes ends soon.
    """
    parts = _parts(window)
    start = datetime.combine(window.start, time())
    _interval(parts)
    if "COUNT" not in parts:
        start = _in_phase(parts, start, near)
    cycles = (LAST_YEAR - start.year) * 365 // GREGORIAN_CYCLE.days
    shift = GREGORIAN_CYCLE * max(0, cycles)
    if "UNTIL" in parts:
        parts["UNTIL"] = _until(parts["UNTIL"], _zone(window), shift)
    text = ";".join(f"{name}={value}" for name, value in parts.items())
    try:
        return cast(rrule, rrulestr(text, dtstart=start + shift)), shift
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnusableWindow(f"the rule {window.rrule!r} cannot be used: {error}") from error


def _parts(window: RecurringWindow) -> dict[str, str]:
    """The rule's parts, with those named that would otherwise follow from the window's start."""
    text = window.rrule.strip().upper().removeprefix("RRULE:")
    parts: dict[str, str] = {}
    for part in filter(None, text.split(";")):
        name, separator, value = part.partition("=")
        if not separator:
            raise UnusableWindow(f"the rule {window.rrule!r} cannot be used: {part!r} is no NAME=VALUE")
        parts[name.strip()] = value.strip()
    frequency = parts.get("FREQ", "")
    by_day = {"BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYEASTER", "BYWEEKDAY"}
    if frequency in ("YEARLY", "MONTHLY") and not by_day & parts.keys():
        parts["BYMONTHDAY"] = str(window.start.day)
        if frequency == "YEARLY":
            parts.setdefault("BYMONTH", str(window.start.month))
    return parts


def _in_phase(parts: dict[str, str], start: datetime, near: datetime) -> datetime:
    """The begin of a period safely before ``near``, counted in whole intervals from ``start``."""
    frequency = parts.get("FREQ", "")
    interval = _interval(parts)
    if frequency in ("YEARLY", "MONTHLY"):
        months = interval * (12 if frequency == "YEARLY" else 1)
        passed = (near.year - start.year) * 12 + near.month - start.month
        periods = passed // months - _ONE_PERIOD_BACK
        if periods <= 0:
            return start
        index = start.year * 12 + start.month - 1 + periods * months
        if frequency == "YEARLY":
            return datetime(index // 12, 1, 1)  # noqa: DTZ001 - wall-clock time
        return datetime(index // 12, index % 12 + 1, 1)  # noqa: DTZ001 - wall-clock time
    unit = {
        "WEEKLY": timedelta(weeks=1),
        "DAILY": timedelta(days=1),
        "HOURLY": timedelta(hours=1),
        "MINUTELY": timedelta(minutes=1),
        "SECONDLY": timedelta(seconds=1),
    }.get(frequency)
    if unit is None:
        return start
    step = unit * interval
    periods = (near - start) // step - _ONE_PERIOD_BACK
    return start + step * periods if periods > 0 else start


def _interval(parts: dict[str, str]) -> int:
    text = parts.get("INTERVAL", "1")
    if not text.isdigit() or int(text) < 1:
        raise UnusableWindow(f"INTERVAL={text} is no number from 1")
    return int(text)


def _until(text: str, zone: ZoneInfo, shift: timedelta) -> str:
    """UNTIL on the wall clock of the window, as far in the future as the search."""
    try:
        until = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        local = until.astimezone(zone).replace(tzinfo=None)
    except ValueError:
        local = _local_until(text)
    return (local + shift).strftime("%Y%m%dT%H%M%S")


def _local_until(text: str) -> datetime:
    if len(text) == len("20261231"):
        text += "T235959"
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S")  # noqa: DTZ007 - wall-clock time
    except ValueError as error:
        raise UnusableWindow(f"UNTIL={text} is no date of the form 20261231T235959Z") from error


def _zone(window: RecurringWindow) -> ZoneInfo:
    try:
        return ZoneInfo(window.timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UnusableWindow(f"the time zone {window.timezone!r} is unknown") from error
