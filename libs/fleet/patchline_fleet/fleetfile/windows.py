"""Checks a maintenance window: that its rule can be read, ever comes, and does not run into itself."""

from __future__ import annotations

import itertools
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from dateutil.rrule import DAILY, YEARLY, rrule, rruleset, rrulestr

from patchline_fleet.fleetfile.nodes import Entry, Notes
from patchline_fleet.fleetfile.problems import did_you_mean
from patchline_schemas.fleet import RecurringWindow, Window

KEYS = ("rrule", "duration", "timezone", "start")
LOOK_AHEAD_YEARS = 40
"""A rule that does not come in so many years never comes for us."""
LARGEST_INTERVAL = 100_000_000
"""In the rule's own unit, three years of seconds; far beyond it times cannot be computed any more."""
COMPARED = 60
"""How many neighbouring windows are looked at for one running into the next."""


def read_window(notes: Notes, at: Entry) -> Window | None:
    """``always``, or a window that recurs."""
    if notes.is_scalar(at):
        text = notes.text(at)
        if text == "always":
            return "always"
        if text is not None:
            notes.wrong(at, f"{text!r} is no window", "write always, or {rrule: ..., duration: ...}")
        return None
    return _read_recurring(notes, at)


def _read_recurring(notes: Notes, at: Entry) -> RecurringWindow | None:
    parts = notes.mapping(at, KEYS, required=("rrule", "duration"))
    if parts is None:
        return None
    rule = notes.text(parts["rrule"]) if "rrule" in parts else None
    duration = notes.duration(parts["duration"], positive=True) if "duration" in parts else None
    zone = _zone(notes, parts["timezone"]) if "timezone" in parts else "UTC"
    start = notes.day(parts["start"]) if "start" in parts else date(1970, 1, 5)
    if rule is None or duration is None or zone is None or start is None:
        return None
    if reason := why_impossible(rule, start):
        notes.wrong(parts["rrule"], reason)
    elif reason := why_overlapping(rule, start, duration):
        notes.wrong(parts["duration"], reason, "shorten it or let the window come less often")
    else:
        return RecurringWindow(rrule=rule, duration=duration, timezone=zone, start=start)
    return None


def why_impossible(rule: str, start: date) -> str | None:
    """Why a recurrence rule never gives a window, as a sentence; None if it does."""
    if "\n" in rule or "DTSTART" in rule.upper():
        return f"{rule!r} must be one RRULE without DTSTART; `start` says where counting begins"
    try:
        parsed = _parse(rule, start)
        comes = _ever_comes(parsed, start)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        return f"{rule!r} is no recurrence rule (RFC 5545): {error or type(error).__name__}"
    return None if comes else f"{rule!r} never comes"


def why_overlapping(rule: str, start: date, duration: timedelta) -> str | None:
    """Why two windows of one rule would overlap, as a sentence; None if they do not."""
    times = list(itertools.islice(_parse(rule, start), COMPARED))
    gap = min((later - sooner for sooner, later in itertools.pairwise(times)), default=None)
    if gap is None or duration <= gap:
        return None
    return f"the windows would overlap: one lasts {duration} and the next begins after {gap}"


def _parse(rule: str, start: date) -> rrule:
    if "FREQ=" not in rule.upper():
        raise ValueError("FREQ is missing")
    first = datetime.combine(start, time())
    try:
        parsed = rrulestr(rule, dtstart=first)
    except ValueError as error:
        if "UNTIL" not in str(error):
            raise
        parsed = rrulestr(rule, dtstart=first.replace(tzinfo=ZoneInfo("UTC")))
    if isinstance(parsed, rruleset):
        raise ValueError("more than one rule")  # noqa: TRY004 - the text is wrong, not its type
    if not 1 <= _interval(parsed) <= LARGEST_INTERVAL:
        raise ValueError(f"INTERVAL must be from 1 to {LARGEST_INTERVAL}")
    return parsed


def _ever_comes(rule: rrule, start: date) -> bool:
    """Whether the rule gives a time at all.

    From DAILY on a rule only filters days, and dateutil would look at each until the year 9999; so the
    filters are tried as a yearly rule first.
    """
    frequency: int = rule._freq  # type: ignore[attr-defined]
    if frequency < DAILY:
        return next(iter(rule), None) is not None
    years = iter(rule.replace(freq=YEARLY, interval=1, count=None, byhour=0, byminute=0, bysecond=0))
    horizon = start.year + LOOK_AHEAD_YEARS
    days = itertools.takewhile(lambda each: each.year < horizon, years)
    if frequency > DAILY:
        return next(days, None) is not None
    interval = _interval(rule)
    return any((each.date() - start).days % interval == 0 for each in days)


def _interval(rule: rrule) -> int:
    interval: int = rule._interval  # type: ignore[attr-defined]
    return interval


def _zone(notes: Notes, at: Entry) -> str | None:
    text = notes.text(at)
    if text is None:
        return None
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        notes.wrong(at, f"there is no time zone {text!r}", did_you_mean(text, available_timezones()))
        return None
    return text
