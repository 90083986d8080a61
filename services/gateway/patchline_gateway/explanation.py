"""Why an update is where it is, in sentences, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from patchline_gateway.presentation import held_line, wave_lines
from patchline_gateway.sentences import at, count, names
from patchline_gateway.shapes import Explanation
from patchline_gateway.views import NoticeView, ProposalView, UpdateView, WaveView
from patchline_schemas.values import TERMINAL_STATES, UpdateState

_STATES: Mapping[UpdateState, str] = {
    "assessed": "It is assessed and has no plan yet.",
    "not-applicable": "No target needs it, so there is nothing to do.",
    "planned": "It is planned and waits for its test.",
    "testing": "It is being tested in a disposable copy of a real target; no real target is touched yet.",
    "awaiting-approval": "It passed its test and waits for a person to approve it.",
    "scheduled": "It is tested and approved, and no wave has started yet.",
    "rolling-out": "It is being rolled out, wave by wave.",
    "paused": "A person paused it; what was running went on to its end.",
    "rolling-back": "A wave failed, and its targets are being brought back to what their backups hold.",
    "needs-person": "A rollback failed. Its targets are blocked until a person has looked at them.",
    "completed": "It is in effect and verified on every target that needs it.",
    "failed": "This round ended without the update everywhere it was meant to be.",
    "rejected": "A person rejected it.",
    "cancelled": "It was cancelled.",
}
_NO_WAVE_LEFT = "No wave of it is left, and no target was touched; what is left has to be assessed anew."
_COMPLETED_AS_FAR_AS_KNOWN = (
    "It is in effect and verified on every target that is known to need it; some could not be asked."
)
_RULES: Mapping[str, str] = {
    "inventory-unknown": "it is not known what is installed on the targets",
    "needs-person": "a rollback failed and somebody has to look",
    "paused": "a person paused it",
    "halted": "a person halted everything",
    "approval": "a person has to approve it",
    "target-owned": "another update is at work on its targets",
    "soak": "the wave before is still being watched",
    "notice-required": "its policy wants people told first",
    "notice": "people have to be told some time ahead",
    "no-window": "no maintenance window is in sight",
    "window": "its maintenance window is not open",
    "freeze": "a freeze holds",
}
"""Planning's rules in words; the rule's own name is always shown too."""
_NEXT: Mapping[UpdateState, Sequence[str]] = {
    "awaiting-approval": (
        'patchline update approve {id} --as NAME --reason "TEXT"',
        'patchline update reject {id} --as NAME --reason "TEXT"',
    ),
    "paused": ('patchline update resume {id} --as NAME --reason "TEXT"',),
    "needs-person": (
        'patchline update retry {id} --as NAME --reason "TEXT"',
        'patchline update cancel {id} --as NAME --reason "TEXT"',
    ),
    "failed": ("patchline report {id}", 'patchline update retry {id} --as NAME --reason "TEXT"'),
    "rejected": ("patchline report {id}", 'patchline update retry {id} --as NAME --reason "TEXT"'),
    "cancelled": ("patchline report {id}", 'patchline update retry {id} --as NAME --reason "TEXT"'),
    "completed": ("patchline report {id}",),
}
_NOTICE_REQUIRED = "notice-required"
_LINGERING = "patchline update wait {id}"

NOTICES_SHOWN = 5
"""How many of the notices that it waits for are told."""

TARGETS_SHOWN = 5
"""Of how many targets of a wave it is told at length what is wrong there; the others are named."""


def explain(
    view: UpdateView,
    waves: Sequence[WaveView],
    notices: Sequence[NoticeView],
    now: datetime,
    *,
    proposals: Sequence[ProposalView] = (),
) -> Explanation:
    """The explanation of one update at ``now``."""
    sentences = [
        f"{view.component} {view.to_version} is {view.state} in round {view.round}.",
        _state(view),
        *_withdrawn(view),
        *_held(view, now),
        *_notices(view, notices),
        *_failure(view),
        *_assessment(view, now),
        *_plan(view),
        *_waves(view, waves, now),
        *_ending(view),
        *(f"A change for group {each.group} is proposed: {each.reason}" for each in proposals),
    ]
    return Explanation(
        id=view.id,
        state=view.state,
        sentences=sentences,
        held=held_line(view.held),
        next=[
            *(command.format(id=view.id) for command in _commands(view)),
            *(f"patchline proposals show {each.id}" for each in proposals),
        ],
    )


def _state(view: UpdateView) -> str:
    """What the state means; of a round that was rejected or cancelled by whom and why, once that is known."""
    if view.state == "assessed" and any(wave.round == view.round for wave in view.waves):
        return _NO_WAVE_LEFT
    if view.state == "completed" and view.assessment and view.assessment.unknown_total:
        return _COMPLETED_AS_FAR_AS_KNOWN
    stopped = view.stopped
    if stopped and view.state in ("rejected", "cancelled") and stopped.round == view.round:
        return stopped.sentence
    return _STATES[view.state]


def _withdrawn(view: UpdateView) -> list[str]:
    withdrawn = view.withdrawn
    if withdrawn is None:
        return []
    where = count(withdrawn.installed_total, "target")
    if withdrawn.installed_total:
        where += f": {names(withdrawn.installed_on, withdrawn.installed_total)}"
    sentences = [f"Its vendor withdrew the version ({withdrawn.reason}). It is installed on {where}."]
    if withdrawn.unknown_total:
        had = f"; {names(withdrawn.last_seen_on)} had it when last asked" if withdrawn.last_seen_on else ""
        unknown = count(withdrawn.unknown_total, "further target")
        sentences.append(f"It is not known of {unknown} that cannot be asked{had}.")
    return sentences


def _commands(view: UpdateView) -> Sequence[str]:
    if view.held and view.held.rule == _NOTICE_REQUIRED:
        return (*_NEXT["paused"], _LINGERING)
    if view.withdrawn and view.state in TERMINAL_STATES:
        return ("patchline report {id}",)
    if view.superseded_by:
        return (f"patchline explain {view.superseded_by}",)
    return _NEXT.get(view.state, (_LINGERING,) if view.state not in TERMINAL_STATES else ())


def _held(view: UpdateView, now: datetime) -> list[str]:
    held = view.held
    if held is None:
        return []
    why = _RULES.get(held.rule, f"the rule {held.rule} holds")
    sentences = [f"It does not move because {why} (rule {held.rule}), since {at(held.since)}."]
    if held.until and held.until > now:
        sentences.append(f"That ends by itself at {at(held.until)}.")
    if held.who:
        sentences.append(f"It can be released by: {held.who}.")
    return sentences


def _notices(view: UpdateView, notices: Sequence[NoticeView]) -> list[str]:
    """The notices that the update waits for, as far as they were tried in vain."""
    if view.held is None or view.held.rule != _NOTICE_REQUIRED:
        return []
    planned = {wave.id for wave in view.waves if wave.round == view.round and wave.state == "planned"}
    missing = [
        notice
        for notice in notices
        if notice.wave_id in planned
        and notice.occasion in ("planned", "rescheduled")
        and notice.state in ("retrying", "failed")
    ]
    return [_missing(notice) for notice in missing[:NOTICES_SHOWN]]


def _missing(notice: NoticeView) -> str:
    what = f"The notice “{notice.occasion}” to {notice.contact} of group {notice.group}"
    tried = f"after {count(notice.attempts, 'attempt')}: {(notice.error or '').rstrip('.')}"
    if notice.state == "failed":
        return f"{what} was given up {tried}."
    return f"{what} is still being tried, {tried}; the next attempt is at {at(notice.next_attempt_at)}."


def _failure(view: UpdateView) -> list[str]:
    said = [f"What went wrong: {view.error}"] if view.error else []
    newer = [f"It was superseded by {view.superseded_by}."] if view.superseded_by else []
    return said + newer


def _assessment(view: UpdateView, now: datetime) -> list[str]:
    found = view.assessment
    if found is None:
        return []
    sentences = [
        f"The newest assessment found {count(found.affected_total, 'target')} affected, "
        f"{found.not_affected_total} not affected and {found.unknown_total} unknown."
    ]
    if view.state not in TERMINAL_STATES:
        sentences += [f"Unknown: {reason}" for reason in found.unknown]
    if view.urgency:
        why = f": {found.due_rule}" if found.affected_total else "."
        sentences.append(f"Its urgency is {view.urgency} and it {_due(view, now)}{why}")
        facts = [f"{fact.name} {fact.value or 'unknown'} ({fact.origin})" for fact in found.inputs]
        if facts:
            sentences.append(f"That rests on: {'; '.join(facts)}.")
    return sentences


def _due(view: UpdateView, now: datetime) -> str:
    if view.due_at is None:
        return "has no due date"
    if view.due_at < now and view.state not in TERMINAL_STATES:
        return f"was due {at(view.due_at)} and is overdue"
    return f"is due {at(view.due_at)}"


def _plan(view: UpdateView) -> list[str]:
    if view.plan is None or view.state in ("assessed", "not-applicable"):
        return []
    return [f"Approval: {view.plan.approval}."]


def _waves(view: UpdateView, waves: Sequence[WaveView], now: datetime) -> list[str]:
    sentences = []
    of_round = {wave.id: wave for wave in waves if wave.round == view.round}
    for wave in wave_lines(view, list(of_round.values())):
        start = _start(wave.starts_at, view.due_at, now) if wave.state == "planned" else ""
        sentences.append(
            f"Wave {wave.id.rpartition('.w')[2]} ({wave.group}, {count(wave.targets_total, 'target')}) "
            f"is {wave.state}{start}."
        )
        troubled = [target for target in wave.targets if target.error]
        sentences += [
            f"On {target.target} it ended as {target.outcome}: {target.error}"
            for target in troubled[:TARGETS_SHOWN]
        ]
        if more := troubled[TARGETS_SHOWN:]:
            sentences.append(f"There was an error on {names([target.target for target in more])} too.")
        sentences += _unchecked(of_round[wave.id])
    return sentences


def _start(starts_at: datetime | None, due_at: datetime | None, now: datetime) -> str:
    if starts_at is None:
        return ""
    if starts_at <= now:
        return f", could start since {at(starts_at)}"
    late = f", which is after the due date of {at(due_at)}" if due_at and starts_at > due_at else ""
    return f", starts {at(starts_at)}{late}"


def _unchecked(wave: WaveView) -> list[str]:
    """The wave's targets for which no check vouches, though they count as good."""
    sentences = []
    failing = sorted(target_id for target_id, line in wave.targets.items() if line.none_passed)
    for target_id in failing[:TARGETS_SHOWN]:
        line = wave.targets[target_id]
        when = f", at {at(line.failing_since)}" if line.failing_since else ""
        sentences.append(
            f"No check passed on {target_id}, so only the version was verified there, not that it works: "
            f"{', '.join(line.none_passed)} failed before the deployment already{when}."
        )
    if more := failing[TARGETS_SHOWN:]:
        sentences.append(f"Nor did any check pass on {names(more)}.")
    unchecked = sorted(target_id for target_id, line in wave.targets.items() if line.unchecked)
    if unchecked:
        sentences.append(
            f"The fleet file declares no check for {names(unchecked)}, so only the version was verified "
            "there, not that it works."
        )
    return sentences


def _ending(view: UpdateView) -> list[str]:
    if view.closed:
        return [f"The round was documented and reviewed at {at(view.closed)}.", *view.findings]
    if view.state in TERMINAL_STATES:
        return ["Its report and review are still being written."]
    return []
