"""What notices say. Plain text, short, the important thing first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from patchline_communication.documents import UpdateNews, WaveNews
from patchline_schemas.updates import Held
from patchline_schemas.waves import TargetResult

MOST_LINES = 8
"""Lines of a tool's output in a notice; the report has more."""


@dataclass(frozen=True, slots=True)
class Text:
    """A notice's words."""

    subject: str
    body: str


def planned(wave: WaveNews, news: UpdateNews, *, downtime: timedelta | None, before: datetime | None) -> Text:
    """A wave's time is known, or (with ``before``) it has moved."""
    when = _when(wave.starts_at)
    verb = "moved to" if before else "planned for"
    lines = [
        f"{_what(wave.component, wave.to_version)} will be installed on {targets(wave.targets_total)}"
        f" of {wave.group}: {when}.",
        f"Before it was planned for {_when(before)}." if before else "",
        f"The window ends at {_instant(wave.ends_at)}." if wave.ends_at else "",
        _downtime(downtime),
        *_contents(news),
    ]
    return Text(f"{_what(wave.component, wave.to_version)} on {wave.group}: {verb} {when}", _paragraph(lines))


def cancelled(wave: WaveNews, reason: str) -> Text:
    """A planned wave will not happen."""
    what = _what(wave.component, wave.to_version)
    return Text(
        f"{what} on {wave.group}: cancelled",
        _paragraph([f"{what} will not be installed on {targets(wave.targets_total)}.", reason]),
    )


def started(what: str, group: str, targets_total: int, ends_at: datetime | None) -> Text:
    """A wave begins."""
    window = f"The window ends at {_instant(ends_at)}." if ends_at else ""
    return Text(
        f"{what} on {group}: started",
        _paragraph([f"The update of {targets(targets_total)} begins now, with a backup of each.", window]),
    )


def ended(what: str, group: str, results: tuple[TargetResult, ...]) -> Text:
    """A wave is verified."""
    restarted = [result.target_id for result in results if result.restarted]
    passed, unchecked = _checks(results, " and the checks passed to the end")
    return Text(
        f"{what} on {group}: done",
        _paragraph(
            [
                f"The version is in effect on {targets(len(results))}{passed}.",
                unchecked,
                f"Restarted: {names(restarted)}." if restarted else "",
            ]
        ),
    )


def rolled_back(what: str, group: str, results: tuple[TargetResult, ...]) -> Text:
    """A wave is as it was before."""
    notes = [f"{result.target_id}: {note}" for result in results for note in result.notes][:20]
    passing, unchecked = _checks(results, ", with passing checks")
    return Text(
        f"{what} on {group}: rolled back",
        _paragraph(
            [
                f"As before{passing}: {targets(len(results))}." if results else "No target had been changed.",
                unchecked,
                *notes,
            ]
        ),
    )


def failed(what: str, where: str, error: str, next_step: str) -> Text:
    """A step failed."""
    return Text(f"{what} on {where}: failed", _paragraph([next_step, *_words(error)]))


def needs_person(news: UpdateNews, error: str) -> Text:
    """Nothing goes on without a person."""
    return Text(
        f"{_what(news.component, news.to_version)}: a person is needed",
        _paragraph([f"See what to do: patchline explain {news.id}", *_words(error)]),
    )


def completed(news: UpdateNews, unknown_total: int) -> Text:
    """Every wave of an update is verified; of ``unknown_total`` targets nobody knows whether they need it."""
    unknown = f"{targets(unknown_total)} could not be asked whether it is needed there."
    return Text(
        f"{about(news)}: completed",
        _paragraph([f"Every wave is verified, on {names(news.groups)}.", unknown if unknown_total else ""]),
    )


def gave_up(news: UpdateNews, error: str) -> Text:
    """An update ended without success."""
    return Text(
        f"{about(news)}: failed",
        _paragraph(
            [f"It will not go on by itself. Try again: patchline update retry {news.id}", *_words(error)]
        ),
    )


def awaiting_approval(news: UpdateNews) -> Text:
    """A plan waits for a person."""
    what = _what(news.component, news.to_version)
    return Text(
        f"{what}: waits for approval",
        _paragraph(
            [
                f"{what} passed its test and waits for approval: {news.approval}.",
                f"It concerns {names(news.groups)}.",
                *_contents(news),
                f"Approve: patchline update approve {news.id} --as NAME --reason TEXT",
            ]
        ),
    )


def due(news: UpdateNews, due_at: datetime, held: Held | None, *, over: bool) -> Text:
    """A due date is near, or past."""
    what = _what(news.component, news.to_version)
    verb = "was due" if over else "is due"
    return Text(
        f"{what}: {'overdue' if over else 'due soon'}",
        _paragraph([f"{what} {verb} at {_instant(due_at)} and is not done.", _held(held)]),
    )


def retracted(what: str, reason: str, group: str, *, has_it: list[str], had_it: list[str]) -> Text:
    """A version was withdrawn by its vendor, and is installed, or was where nobody can look now."""
    return Text(
        f"{what} on {group}: withdrawn by its vendor",
        _paragraph(
            [
                f"The vendor says: {reason}",
                f"It is installed on {names(has_it)}." if has_it else "",
                f"It was on {names(had_it)} before, which cannot be asked now." if had_it else "",
            ]
        ),
    )


def late(about_at: datetime, now: datetime, *, tolerance: timedelta) -> str:
    """A first line for a notice that comes after the time it is about; empty if it does not."""
    if now <= about_at + tolerance:
        return ""
    return (
        f"This notice is late: it was for {_instant(about_at)}, and Patchline could not send it before.\n\n"
    )


def about(news: UpdateNews) -> str:
    """The update as people call it."""
    return _what(news.component, news.to_version)


def subject_of(component: str, version: str) -> str:
    """``pkg:pypi/jinja2`` and ``3.1.6`` are ``jinja2 3.1.6`` to a person."""
    return _what(component, version)


def _what(component: str, version: str) -> str:
    return f"{component.rpartition('/')[2]} {version}"


def _held(held: Held | None) -> str:
    if held is None:
        return ""
    return f"It is held by {held.rule}" + (f"; it can be released by: {held.who}." if held.who else ".")


def _contents(news: UpdateNews) -> list[str]:
    return [
        f"It fixes {names(news.advisories)}." if news.advisories else "",
        f"Release notes: {news.notes_url}" if news.notes_url else "",
    ]


def _downtime(expected: timedelta | None) -> str:
    if expected is None:
        return "No restart is needed."
    minutes = max(1, round(expected.total_seconds() / 60))
    return f"Expect a restart; each target may be away for up to {minutes} min."


def targets(total: int) -> str:
    """``1 target``, ``2 targets``."""
    return "1 target" if total == 1 else f"{total} targets"


def names(all_names: Sequence[str]) -> str:
    """``a, b``; what is more than ten is counted."""
    shown = ", ".join(all_names[:10])
    return f"{shown} and {len(all_names) - 10} more" if len(all_names) > 10 else shown


def _checks(results: Sequence[TargetResult], claim: str) -> tuple[str, str]:
    """``claim`` if any target has a check, and a sentence about those that have none; each may be empty."""
    unchecked = [result.target_id for result in results if not result.checks]
    return (
        "" if len(unchecked) == len(results) else claim,
        f"No check is declared for {names(unchecked)}." if unchecked else "",
    )


def _words(error: str) -> list[str]:
    """A tool's own words; of long ones the end, since tools say the reason last."""
    lines = error.strip().splitlines()
    return ["…", *lines[-MOST_LINES:]] if len(lines) > MOST_LINES else lines


def _when(at: datetime | None) -> str:
    return _instant(at) if at else "no window in sight"


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _paragraph(lines: list[str]) -> str:
    return "\n".join(line for line in lines if line)
