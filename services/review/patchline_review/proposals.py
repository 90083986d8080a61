"""Which changes to the fleet file a group's history asks for. Pure; documented in ``docs/review.md``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from patchline_review.history import PastRound
from patchline_review.wording import count, length
from patchline_schemas.fleet import Group, RecurringWindow

LOOK_BACK = 5
"""Rounds that a rule looks at."""
ENOUGH = 2
"""Of them, how many must show the same before a change is proposed."""
SHORTEST_SOAK = timedelta(minutes=1)
LONGEST_SOAK = timedelta(days=1)
MOST_CONCURRENCY = 100
WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change to one value of a group in the fleet file."""

    rule: str
    path: tuple[str, str]
    """Where the value is, below the group."""
    value: str | int
    reason: str
    evidence: tuple[str, ...]


def proposals(past: Sequence[PastRound], group: Group) -> Iterator[Proposal]:
    """What to change for ``group``, after its ``past`` rounds under its present policies."""
    last = past[-LOOK_BACK:]
    yield from _longer_soak(last, group)
    yield from _more_frequent_window(last, group)
    yield from _more_at_once(last, group)


def _longer_soak(last: Sequence[PastRound], group: Group) -> Iterator[Proposal]:
    failed = [past for past in last if past.failed_in_soak_after is not None]
    soak = group.policies.soak
    longer = min(max(soak * 2, SHORTEST_SOAK), LONGEST_SOAK)
    if len(failed) < ENOUGH or longer <= soak:
        return
    latest = max(past.failed_in_soak_after or timedelta(0) for past in failed)
    yield Proposal(
        rule="longer-soak",
        path=("policies", "soak"),
        value=iso_duration(longer),
        reason=(
            f"{_of(failed, last)} of {group.name} failed during the soak time of {length(soak)}, up to"
            f" {length(latest)} after the checks had passed; a longer one catches more before the next wave."
        ),
        evidence=_evidence(failed),
    )


def _more_frequent_window(last: Sequence[PastRound], group: Group) -> Iterator[Proposal]:
    if not isinstance(group.window, RecurringWindow):
        return
    late = [
        past
        for past in last
        if past.late_by > timedelta(0) and past.lead_time and past.waited * 2 >= past.lead_time
    ]
    better = more_frequent(group.window.rrule)
    if len(late) < ENOUGH or better is None:
        return
    yield Proposal(
        rule="more-frequent-window",
        path=("window", "rrule"),
        value=better,
        reason=(
            f"{_of(late, last)} of {group.name} missed their due date after waiting"
            f" most of the time for a window (up to {length(max(past.waited for past in late))});"
            " the window comes too rarely."
        ),
        evidence=_evidence(late),
    )


def _more_at_once(last: Sequence[PastRound], group: Group) -> Iterator[Proposal]:
    short = [past for past in last if past.not_started_total]
    now = group.policies.concurrency
    more = min(now * 2, MOST_CONCURRENCY)
    if len(short) < ENOUGH or more <= now:
        return
    left = sum(past.not_started_total for past in short)
    yield Proposal(
        rule="more-at-once",
        path=("policies", "concurrency"),
        value=more,
        reason=(
            f"{_of(short, last)} of {group.name} could not start all targets before the window ended"
            f" ({count(left, 'target')} left over); with {more} at once instead of {now} more of them fit in."
        ),
        evidence=_evidence(short),
    )


def more_frequent(rrule: str) -> str | None:
    """The next more frequent recurrence (RFC 5545, section 3.3.10), at the same time of day; None at daily.

    Yearly becomes monthly, monthly weekly, an interval is dropped, weekly gets a second day.
    """
    parts = dict(
        part.split("=", 1) for part in rrule.upper().removeprefix("RRULE:").split(";") if "=" in part
    )
    if parts.pop("INTERVAL", "1") != "1":
        return _join(parts)
    days = [day.lstrip("+-0123456789") for day in parts.get("BYDAY", "").split(",") if day]
    match parts.get("FREQ"):
        case "YEARLY":
            parts["FREQ"] = "MONTHLY"
            parts.pop("BYMONTH", None)
        case "MONTHLY":
            parts["FREQ"] = "WEEKLY"
            parts["BYDAY"] = ",".join(days or ["SA"])
            for name in ("BYMONTHDAY", "BYSETPOS", "BYMONTH"):
                parts.pop(name, None)
        case "WEEKLY" if len(days) < len(WEEK):
            added = WEEK[(WEEK.index(days[-1]) + 4) % 7] if days else "WE"
            more = {*(days or ["MO"]), added}
            if len(more) == len(days):
                more = set(WEEK)
            parts["BYDAY"] = ",".join(day for day in WEEK if day in more)
        case _:
            return None
    return _join(parts)


def iso_duration(duration: timedelta) -> str:
    """An ISO 8601 duration, as the fleet file writes them: ``PT2M``, ``P1DT30S``."""
    days, rest = duration.days, duration.seconds
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    if not days and not clock:
        return "PT0S"
    return "P" + (f"{days}D" if days else "") + (f"T{clock}" if clock else "")


def _of(some: Sequence[PastRound], last: Sequence[PastRound]) -> str:
    return f"{len(some)} of the last {count(len(last), 'update')}"


def _join(parts: dict[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in parts.items())


def _evidence(past: Sequence[PastRound]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event_id for each in past for event_id in each.evidence))
