"""What a review finds in a round: its times, its shares, and what deviated from the plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from patchline_review.case import Case, Mark, RoundCase, WaveCase
from patchline_review.wording import count, length, names
from patchline_schemas.updates import Finding, UpdateReviewed

START_TOLERANCE = timedelta(minutes=1)
"""Clocks of services may differ by so much before a start counts as outside its window."""


def reviewed(case: Case, number: int) -> UpdateReviewed:
    """The review of a round. Raises :class:`ValueError` if the round has no ending."""
    found = case.rounds[number]
    if found.ended is None or found.outcome is None:
        raise ValueError(f"round {number} of {case.id} has not ended")
    total = targets_total(found)
    due_at = due(case, found)
    return UpdateReviewed(
        update_id=case.id,
        revision=found.revision,
        component=case.component,
        version=case.to_version,
        round=number,
        outcome=found.outcome,
        lead_time=found.ended.at - began(case, found),
        time_to_due=due_at - found.ended.at if due_at else None,
        targets_total=total,
        failed_share=_share(sum(len(w.failed_targets) for w in found.waves.values()), total),
        rolled_back_share=_share(sum(len(w.rolled_back_targets) for w in found.waves.values()), total),
        time_in_step=time_in_step(case, found),
        findings=tuple(findings(case, found)),
    )


def began(case: Case, found: RoundCase) -> datetime:
    """From when the lead time counts: publication, or the first thing that is known of the round."""
    if case.published_at is not None:
        return case.published_at
    first = [mark.at for mark in (found.planned, found.ended) if mark]
    return min(first)


def due(case: Case, found: RoundCase) -> datetime | None:
    """The round's due date; None when nothing was due."""
    if found.outcome == "not-applicable":
        return None
    return found.due_at or case.due_at


def targets_total(found: RoundCase) -> int:
    """How many targets the round was for; those left for a later wave count once."""
    return sum(
        wave.targets_total - wave.not_started_total - wave.left_out_total for wave in found.waves.values()
    )


def time_in_step(case: Case, found: RoundCase) -> dict[str, timedelta]:
    """How long each step took; a step of several waves is the sum over them."""
    spent: dict[str, timedelta] = {}

    def add(step: str, start: Mark | None, end: Mark | None) -> None:
        if start and end:
            spent[step] = spent.get(step, timedelta(0)) + max(end.at - start.at, timedelta(0))

    if case.published_at and found is case.rounds.get(1):
        add("assessing and planning", Mark(at=case.published_at, event_id=""), found.planned)
    add("testing", found.planned, found.tested or found.test_failed)
    add("approval", found.tested, found.approved)
    free = found.approved
    for wave in found.in_order():
        if wave.due is None:
            continue
        add("waiting for a window", free, wave.due)
        add("backing up", wave.due, wave.backed_up or (wave.failed if wave.failed_step == "backup" else None))
        add("deploying", wave.backed_up, wave.deployed or wave.failed)
        add("verifying", wave.deployed, wave.checks_passed or wave.failed)
        add("soaking", wave.checks_passed, wave.verified or wave.failed)
        add("rolling back", wave.failed, wave.rolled_back or wave.rollback_failed)
        free = wave.ended
    return spent


def findings(case: Case, found: RoundCase) -> Iterator[Finding]:
    """What a reader should know of the round; deviations from the plan are marked."""
    yield from _deadline(case, found)
    yield from _tests(found)
    before: WaveCase | None = None
    for wave in found.in_order():
        yield from _start(wave, before)
        yield from _failure(wave)
        before = wave if wave.due else before
    yield from _slowest(case, found)
    if not found.complete():
        missing = [wave.id for wave in found.in_order() if wave.due and not wave.ended]
        what = f"the end of {names(missing)}" if missing else "some of its events"
        yield _finding(f"The review was made without {what}, which had not arrived.", found.ended)


def _deadline(case: Case, found: RoundCase) -> Iterator[Finding]:
    due_at = due(case, found)
    if due_at is None or found.ended is None:
        return
    late = found.ended.at - due_at
    if late > timedelta(0):
        done = "in effect" if found.outcome == "completed" else f"over ({found.outcome})"
        evidence = (found.ended, found.overdue)
        yield _finding(f"The update was {done} {length(late)} after its due date.", *evidence, deviation=True)
    elif found.outcome == "completed":
        yield _finding(f"The update was in effect {length(late)} before its due date.", found.ended)


def _tests(found: RoundCase) -> Iterator[Finding]:
    if found.test_failed:
        untouched = "The test failed, so no real target was touched."
        yield _finding(untouched, found.test_failed, deviation=found.tested is None)
    if len(found.tests) > 1:
        text = f"The update was tested {len(found.tests)} times, since its plan changed after a test."
        yield _finding(text, *found.tests, deviation=True)


def _start(wave: WaveCase, before: WaveCase | None) -> Iterator[Finding]:
    if wave.due is None:
        return
    name = f"Wave {wave.number} ({wave.group})"
    if wave.starts_at and wave.due.at < wave.starts_at - START_TOLERANCE:
        early = length(wave.starts_at - wave.due.at)
        yield _finding(f"{name} started {early} before its window.", wave.due, deviation=True)
    if wave.window_ends_at and wave.due.at > wave.window_ends_at + START_TOLERANCE:
        late = length(wave.due.at - wave.window_ends_at)
        yield _finding(f"{name} started {late} after its window had ended.", wave.due, deviation=True)
    if before and not _was_over(before, wave.due.at):
        text = f"{name} started although wave {before.number} ({before.group}) was not verified."
        yield _finding(text, wave.due, before.ended, deviation=True)
    if wave.not_started_total:
        left = count(wave.not_started_total, "target")
        yield _finding(
            f"{name} left {left} for a later wave, since its window ended.", wave.deployed, deviation=True
        )
    if wave.left_out_total:
        left = count(wave.left_out_total, "target")
        yield _finding(
            f"{name} did not touch {left}, not as planned any more.", wave.deployed, deviation=True
        )


def _was_over(before: WaveCase, now: datetime) -> bool:
    """Whether ``before`` was verified by ``now``, or had ended without touching a target."""
    over = before.verified or before.cancelled
    return over is not None and over.at <= now + START_TOLERANCE


def _failure(wave: WaveCase) -> Iterator[Finding]:
    name = f"Wave {wave.number} ({wave.group})"
    if wave.failed:
        failed = names(sorted(wave.failed_targets))
        when = " during its soak time" if wave.failed_in_soak else ""
        if wave.failed_in_soak and wave.checks_passed:
            when += f", {length(wave.failed.at - wave.checks_passed.at)} after its checks had passed"
        yield _finding(
            f"{name} failed at {wave.failed_step}{when}{': ' + failed if failed else ''}.",
            wave.failed,
            deviation=True,
        )
    elif wave.failed_targets:
        failed = names(sorted(wave.failed_targets))
        yield _finding(f"{name} went on without {failed}, as the policy allows.", wave.ended, deviation=True)
    if wave.rolled_back:
        took = f" within {length(wave.rolled_back.at - wave.failed.at)}" if wave.failed else ""
        restored = count(len(wave.rolled_back_targets), "target")
        yield _finding(f"{name} was rolled back on {restored}{took}.", wave.rolled_back, deviation=True)
    if wave.rollback_failed:
        yield _finding(
            f"The rollback of wave {wave.number} ({wave.group}) failed; a person was needed.",
            wave.rollback_failed,
            deviation=True,
        )


def _slowest(case: Case, found: RoundCase) -> Iterator[Finding]:
    spent = time_in_step(case, found)
    whole = sum(spent.values(), timedelta(0))
    if found.ended is None or whole < timedelta(minutes=1):
        return
    step, most = max(spent.items(), key=lambda item: item[1])
    if most * 2 > whole:
        part = f"{most / whole:.0%}"
        yield _finding(f"Most of the time, {length(most)} ({part}), went into {step}.", found.ended)


def _finding(sentence: str, *evidence: Mark | None, deviation: bool = False) -> Finding:
    ids = tuple(mark.event_id for mark in evidence if mark is not None)
    return Finding(sentence=sentence, evidence=ids, deviation=deviation)


def _share(part: int, whole: int) -> float:
    return min(1.0, part / whole) if whole else 0.0
