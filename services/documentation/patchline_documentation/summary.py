"""The sentences at the top of a report, which a manager can read alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from patchline_documentation.report import ApprovalLine, IssueLine, TargetLine, WaveLine
from patchline_documentation.wording import (
    count,
    length,
    moment,
    names,
    package_name,
    sentence,
    without_secrets,
)
from patchline_schemas import feeds, updates
from patchline_schemas.values import UpdateState

UNCHECKED_SHOWN = 3
"""Of so many targets on which no check passed the checks are named."""


@dataclass(frozen=True, slots=True)
class Story:
    """What the sentences are made of."""

    outcome: UpdateState
    ending: updates.UpdateEnded | updates.UpdateRejected
    ended_at: datetime
    published_at: datetime | None
    due_at: datetime | None
    published: feeds.UpdatePublished | None
    assessed: updates.UpdateAssessed | None
    planned: updates.UpdatePlanned | None
    test_error: str | None
    waves: tuple[WaveLine, ...]
    targets: tuple[TargetLine, ...]
    approvals: tuple[ApprovalLine, ...]
    issues: tuple[IssueLine, ...]

    @property
    def what(self) -> str:
        """The update as people call it."""
        return f"{package_name(self.ending.component)} {self.ending.version}"

    def with_outcome(self, outcome: str) -> list[TargetLine]:
        """Targets that ended so."""
        return [line for line in self.targets if line.outcome == outcome]


def headline(story: Story) -> str:
    """The outcome in one line."""
    touched = "no real target was touched"
    if story.outcome == "failed" and story.test_error is not None:
        return f"{story.what} failed its test; {touched}"
    if story.outcome == "failed" and story.with_outcome("rolled-back"):
        return f"{story.what} failed and was rolled back where it did harm"
    endings = {
        "completed": f"is in effect on {count(len(story.with_outcome('succeeded')), 'target')}",
        "not-applicable": "is needed by no target",
        "rejected": "was rejected",
        "cancelled": "was cancelled",
    }
    return f"{story.what} {endings.get(story.outcome, story.outcome)}"


def summary(story: Story) -> tuple[str, ...]:
    """The round in sentences: why, what was done, what went wrong, whether it was in time."""
    return tuple(sentence(text) for text in _sentences(story) if text)


def due_met(story: Story) -> bool | None:
    """Whether the update was in effect in time; None when nothing was due, or it never came into effect
    and the due date is still ahead."""
    if story.due_at is None or story.outcome == "not-applicable":
        return None
    if story.outcome == "completed":
        return story.ended_at <= story.due_at
    return False if story.ended_at > story.due_at else None


def due_sentence(story: Story) -> str:
    """The due date and what became of it."""
    if story.due_at is None:
        return "Nothing was due."
    left = length(story.due_at - story.ended_at)
    date = moment(story.due_at)
    if story.outcome == "not-applicable":
        return "Nothing was due, since no target needs the update."
    if story.outcome == "completed":
        if story.ended_at <= story.due_at:
            return f"The due date, {date}, was met with {left} to spare."
        return f"The due date, {date}, was missed by {left}."
    if story.ended_at > story.due_at:
        return f"The due date, {date}, was missed: the update is not in effect."
    return f"The due date is {date}, {left} after this round ended without the update in effect everywhere."


def _sentences(story: Story) -> Iterator[str]:
    yield _origin(story)
    yield _scope(story)
    yield _test(story)
    yield _approval(story)
    yield from _rollout(story)
    yield from _unchecked(story)
    yield _ending(story)
    yield due_sentence(story)
    yield _issues(story)


def _origin(story: Story) -> str:
    kind = story.published or story.assessed or story.planned
    noun = {"security": "a security update", "bugfix": "a bug-fix update", "feature": "a feature update"}.get(
        kind.kind if kind else "", "an update"
    )
    vendor = story.published.vendor if story.published else story.assessed.vendor if story.assessed else None
    by = f" from {vendor}" if vendor else ""
    fixes = names(story.assessed.advisories) if story.assessed and story.assessed.advisories else ""
    removing = f" that fixes {fixes}" if fixes else ""
    when = f"; it was published here on {moment(story.published_at)}" if story.published_at else ""
    return f"{story.what} is {noun}{by}{removing}{when}"


def _scope(story: Story) -> str:
    if story.assessed is None:
        return ""
    affected, unknown = story.assessed.affected_total, story.assessed.unknown_total
    needs = (
        f"{count(affected, 'target')} need{'s' if affected == 1 else ''} it"
        if affected
        else "No target needs it"
    )
    rest = f", and of {count(unknown, 'target')} it is not known" if unknown else ""
    return f"{needs}{rest}"


def _test(story: Story) -> str:
    if story.test_error is not None:
        return f"It failed its test in a disposable copy: {_last_line(story.test_error)}"
    if story.waves and any(wave.started_at for wave in story.waves):
        return "It passed its test in disposable copies of real targets before anything was changed"
    return ""


def _approval(story: Story) -> str:
    if not story.approvals:
        return ""
    last = story.approvals[-1]
    return f"On {moment(last.at)} {last.who} {last.verdict} (“{last.reason}”)"


def _rollout(story: Story) -> Iterator[str]:
    started = [wave for wave in story.waves if wave.started_at]
    if not started:
        return
    groups = names([wave.group for wave in started])
    yield f"It rolled out to {groups} in {count(len(started), 'wave')}; {_verified(started)}"
    restored = story.with_outcome("rolled-back")
    if restored:
        versions = sorted({line.after for line in restored if line.after})
        to = f" to {names(versions)}" if versions else ""
        who = names([line.target_id for line in restored])
        yield f"{who} went back{to}, packages and configuration exactly"
    failed = [line for line in story.targets if line.outcome in ("failed", "timed-out", "unreachable")]
    if failed:
        yield f"Not as they should be: {names([line.target_id for line in failed])}"


def _verified(started: Sequence[WaveLine]) -> str:
    verified = sum(wave.good is True for wave in started)
    if len(started) == 1:
        return "it was verified through the soak time" if verified else "it was not verified"
    if verified == len(started):
        return "all were verified through the soak time"
    return f"{verified} of them {'was' if verified == 1 else 'were'} verified through the soak time"


def _unchecked(story: Story) -> Iterator[str]:
    """Where the update is in effect and no check vouches for it."""
    lines = [line for line in story.with_outcome("succeeded") if line.checks_total and not line.checks_passed]
    for line in lines[:UNCHECKED_SHOWN]:
        failed = f"{names(line.checks_failed)} failed"
        since = f"{failed} before the deployment already, on {moment(line.failing_since)}"
        yield (
            f"No check passed on {line.target_id}, so only the version was verified there, "
            f"not that it works: {since if line.failing_since else failed}"
        )
    if left := lines[UNCHECKED_SHOWN:]:
        yield f"Nor did any check pass on {names([line.target_id for line in left])}"
    if undeclared := [line.target_id for line in story.with_outcome("succeeded") if not line.checks_total]:
        yield (
            f"The fleet file declares no check for {names(undeclared)}, so only the version was verified "
            "there, not that it works"
        )


def _ending(story: Story) -> str:
    ending = story.ending
    match ending:
        case updates.UpdateFailed() if story.test_error is None:
            return f"The round ended as failed: {_last_line(ending.error)}"
        case updates.UpdateCancelled():
            instead = f"; {ending.superseded_by} takes its place" if ending.superseded_by else ""
            reason = without_secrets(ending.reason).rstrip(".")
            return f"It was cancelled by {ending.cancelled_by}: {reason}{instead}"
        case _:
            return ""


def _issues(story: Story) -> str:
    if not story.issues:
        return "No issue was met"
    solved = sum(issue.resolved for issue in story.issues)
    met = count(len(story.issues), "issue")
    if solved == len(story.issues):
        return f"{met} {'was' if solved == 1 else 'were'} met and resolved"
    return f"{met} {'was' if len(story.issues) == 1 else 'were'} met, {solved} of them resolved"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in without_secrets(text).splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    return last if len(last) <= 300 else last[:299] + "…"
