"""What must hold after a run, whatever was done to it: pure functions over the evidence."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from chaos.evidence import Evidence, Expected, Told, Touch

Kind = Literal["lost", "twice", "out of window", "stale", "no backup", "ledger", "dead letter"]
COUNTED: tuple[Kind, ...] = ("lost", "twice", "out of window", "stale")
"""What the last line of a run counts; the others are counted in a line of their own if there are any."""

ENDINGS = {
    "updates.completed": "completed",
    "updates.failed": "failed",
    "updates.cancelled": "cancelled",
    "updates.rejected": "rejected",
    "updates.not-applicable": "not-applicable",
}
STEPS = (
    "waves.planned",
    "waves.due",
    "waves.backed-up",
    "waves.deployed",
    "waves.checks-passed",
    "waves.verified",
)
"""A wave's course when all goes well; each but the first is said once."""
WAY_BACK = ("waves.rollback-requested", "waves.rolled-back", "waves.rollback-verified")


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be."""

    kind: Kind
    what: str


def check(evidence: Evidence) -> list[Violation]:
    """Everything that is wrong, by the invariants of this module."""
    return [violation for invariant in INVARIANTS for violation in invariant(evidence)]


def every_update_ended(evidence: Evidence) -> Iterator[Violation]:
    """As it had to, documented and reviewed, and the truth on its targets agrees."""
    ids = {told.body["component"]: told.key for told in evidence.of_kind("updates.assessed")}
    ended = _by_key(evidence, *ENDINGS)
    documented = _by_key(evidence, "updates.documented")
    reviewed = _by_key(evidence, "updates.reviewed")
    for expected in evidence.expected:
        update = ids.get(expected.component)
        if update is None:
            yield Violation("lost", f"{expected.component} was published and never assessed")
            continue
        outcomes = [ENDINGS[told.kind] for told in ended.get(update, ())]
        wanted = "completed" if expected.outcome == "completed" else "failed"
        if outcomes != [wanted]:
            why = "; ".join(str(told.body.get("error")) for told in ended.get(update, ()))
            yield Violation("lost", f"{update} had to end once as {wanted}, and ended as {outcomes} {why}")
        for what, there in (("documented", documented), ("reviewed", reviewed)):
            times = len(there.get(update, ()))
            if times != len(outcomes):
                yield Violation("lost", f"{update} ended {len(outcomes)} times and was {what} {times} times")
        yield from _truth(expected, evidence)


def _truth(expected: Expected, evidence: Evidence) -> Iterator[Violation]:
    for target in expected.targets:
        updated = expected.outcome == "completed" or target in expected.kept
        wanted = expected.version if updated else expected.before
        found = evidence.packages.get(target, {}).get(expected.component)
        if found != wanted:
            yield Violation("lost", f"{target} has {expected.component} {found}, and should have {wanted}")


def nothing_applied_twice(evidence: Evidence) -> Iterator[Violation]:
    """No change begins on a target where it had ended well and was not taken back."""
    in_effect: set[tuple[str, str, str]] = set()
    for touch in evidence.touches:
        change = (touch.target, touch.component, touch.version)
        if touch.event == "begin" and touch.operation == "apply" and change in in_effect:
            yield Violation("twice", f"{_said(touch)} began although it had ended well")
        if touch.event == "end" and touch.outcome == "succeeded":
            (in_effect.add if touch.operation == "apply" else in_effect.discard)(change)


def nothing_overlaps(evidence: Evidence) -> Iterator[Violation]:
    """One change at a time on a target, by rising fences, and none left half-way."""
    for target, touches in _by_target(evidence.touches):
        running: Touch | None = None
        for touch in touches:
            if touch.event == "begin":
                if running is not None:
                    yield Violation("twice", f"{_said(touch)} began while {running.run} ran")
                running = touch
            elif running is None or running.run != touch.run:
                yield Violation("twice", f"{_said(touch)} ended ({touch.event}), and it was not what ran")
            else:
                if touch.event == "end" and touch.at < running.at:
                    yield Violation("twice", f"{_said(touch)} ended before it began")
                running = None
        if running is not None:
            yield Violation("lost", f"{_said(running)} was left half-way on {target}")
        begun = [touch for touch in touches if touch.event == "begin"]
        for sooner, later in pairwise(begun):
            same = (sooner.operation, sooner.component) == (later.operation, later.component)
            if same and later.fence < sooner.fence:
                yield Violation("stale", f"{_said(later)} has the fence {later.fence} after {sooner.fence}")


def nothing_without_backup(evidence: Evidence) -> Iterator[Violation]:
    """Before a target is touched, a wave of that change has said that it has the target's backup."""
    backed_up: dict[tuple[str, str, str], Told] = {}
    for told in evidence.of_kind("waves.backed-up"):
        order = told.body["order"]
        for backup in told.body["backups"]:
            backed_up.setdefault((backup["target_id"], order["component"], order["version"]), told)
    for touch in _begun(evidence):
        told = backed_up.get((touch.target, touch.component, touch.version))
        if told is None or told.at > touch.at:
            yield Violation("no backup", f"{_said(touch)} began at {touch.at} without a backup")


def nothing_outside_its_window(evidence: Evidence) -> Iterator[Violation]:
    """A change begins inside the window; one that was cut off there may be carried on."""
    last: dict[str, Touch] = {}
    for touch in evidence.touches:
        window = evidence.windows.get(touch.target)
        before = last.get(touch.target)
        carries_on = (
            before is not None
            and before.event == "interrupted"
            and (before.component, before.version) == (touch.component, touch.version)
        )
        last[touch.target] = touch
        if touch.event != "begin" or touch.operation != "apply" or window is None or carries_on:
            continue
        if not window.open_at(touch.at):
            yield Violation("out of window", f"{_said(touch)} began at {touch.at}")


def nothing_before_its_cause(evidence: Evidence) -> Iterator[Violation]:
    """Every event that names a cause was appended after it."""
    for told in evidence.first.values():
        if told.cause is None:
            continue
        cause = evidence.first.get(told.cause)
        if cause is None:
            yield Violation("lost", f"{_event(told)} follows from {told.cause}, which is nowhere")
        elif cause.at > told.at:
            yield Violation("stale", f"{_event(told)} was there before its cause {_event(cause)}")


def waves_keep_their_course(evidence: Evidence) -> Iterator[Violation]:
    """A wave's steps are said once each, each after the one before and because of it."""
    for wave, steps in _of_waves(evidence, *STEPS, *WAY_BACK).items():
        for course in (STEPS[1:], WAY_BACK):
            for kind in course:
                if len(steps.get(kind, ())) > 1:
                    yield Violation("twice", f"{wave} has said {kind} {len(steps[kind])} times")
        for course in (STEPS, WAY_BACK):
            for sooner, later in pairwise(course):
                if later not in steps:
                    continue
                if sooner not in steps:
                    yield Violation("stale", f"{wave} has said {later} without {sooner}")
                elif steps[later][0].at < steps[sooner][0].at:
                    yield Violation("stale", f"{wave} has said {later} before {sooner}")


def no_wave_before_test_and_approval(evidence: Evidence) -> Iterator[Violation]:
    """A wave is due only after its plan's revision was tested and approved, and is the newest plan."""
    planned, tested, approved = (
        _revisions(evidence, kind) for kind in ("updates.planned", "updates.tested", "updates.approved")
    )
    for told in evidence.of_kind("waves.due"):
        order = told.body["order"]
        update, revision = order["update_id"], order["revision"]
        for what, there in (("planned", planned), ("tested", tested), ("approved", approved)):
            at = there.get(update, {}).get(revision)
            if at is None or at.at > told.at:
                yield Violation(
                    "stale", f"{order['wave_id']} was due when revision {revision} was not yet {what}"
                )
        newer = [each for each, at in approved.get(update, {}).items() if each > revision and at.at < told.at]
        if newer:
            yield Violation(
                "stale", f"{order['wave_id']} was due at revision {revision} after {max(newer)} was approved"
            )
    for update, revisions in approved.items():
        for revision, told in revisions.items():
            newer = [r for r, at in planned.get(update, {}).items() if r > revision and at.at < told.at]
            if newer:
                yield Violation(
                    "stale", f"{update} was approved at revision {revision} after {max(newer)} was planned"
                )


def progress_is_gapless(evidence: Evidence) -> Iterator[Violation]:
    """Planning numbers its view of an update from 1, in the order of the topic, without gap or fork."""
    for update, told in _by_key(evidence, "updates.progressed").items():
        numbers = [each.body["sequence"] for each in told]
        if numbers != list(range(1, len(numbers) + 1)):
            yield Violation("stale", f"{update} progressed as {numbers}")


def an_id_means_one_event(evidence: Evidence) -> Iterator[Violation]:
    """An event that was sent again is the same to the byte, on the same topic."""
    for told in evidence.told:
        first = evidence.first[told.id]
        if (first.topic, first.key, first.raw) != (told.topic, told.key, told.raw):
            yield Violation("twice", f"{_event(told)} was told again with another content")


def ledger_is_whole(evidence: Evidence) -> Iterator[Violation]:
    """Every event it had to read is in it once, to the byte, and nothing else; chains and seals are whole."""
    for problem in evidence.ledger_problems:
        yield Violation("ledger", problem)
    kept = {entry.event_id: entry for entry in evidence.kept}
    for event_id, times in Counter(entry.event_id for entry in evidence.kept).items():
        if times > 1:
            yield Violation("ledger", f"event {event_id} is in the ledger {times} times")
    for event_id, told in evidence.first.items():
        entry = kept.get(event_id)
        if entry is None and not evidence.is_unread(told):
            yield Violation("ledger", f"{_event(told)} is not in the ledger")
        elif entry and (entry.topic, entry.raw) != (told.topic, told.raw):
            yield Violation("ledger", f"{_event(told)} is in the ledger with another content")
    for event_id in kept.keys() - evidence.first.keys():
        yield Violation("ledger", f"the ledger has event {event_id}, which is on no topic")


def dead_letters_are_deserved(evidence: Evidence) -> Iterator[Violation]:
    """Only what was made to be unreadable is given up, by each service once, and nothing follows from it."""
    letters: Counter[tuple[str, str]] = Counter()
    effects = {(told.source, told.cause) for told in evidence.first.values() if told.kind != "dead-letters"}
    kept = {entry.event_id for entry in evidence.kept}
    for told in evidence.of_kind("dead-letters"):
        record, service = told.body["record"], told.body["service"]
        origin = f"{record['topic']}/{record['partition']}/{record['offset']}"
        letters[service, origin] += 1
        event_id = told.body.get("event_id")
        if origin not in evidence.poison:
            yield Violation("dead letter", f"{service} gave up {origin}: {told.body['reason']}")
        if event_id is None:
            continue
        if (service, event_id) in effects or (service == "documentation" and event_id in kept):
            yield Violation("dead letter", f"{service} both handled and gave up event {event_id}")
    for (service, origin), times in letters.items():
        if times > 1:
            yield Violation("dead letter", f"{service} gave up {origin} {times} times")
    missing = evidence.poison - {origin for _service, origin in letters}
    for origin in missing:
        yield Violation("dead letter", f"nobody gave up the unreadable record {origin}")


INVARIANTS: tuple[Callable[[Evidence], Iterator[Violation]], ...] = (
    every_update_ended,
    nothing_applied_twice,
    nothing_overlaps,
    nothing_without_backup,
    nothing_outside_its_window,
    nothing_before_its_cause,
    waves_keep_their_course,
    no_wave_before_test_and_approval,
    progress_is_gapless,
    an_id_means_one_event,
    ledger_is_whole,
    dead_letters_are_deserved,
)


def _begun(evidence: Evidence) -> Iterator[Touch]:
    return (each for each in evidence.touches if each.event == "begin" and each.operation == "apply")


def _by_target(touches: object) -> list[tuple[str, list[Touch]]]:
    found: defaultdict[str, list[Touch]] = defaultdict(list)
    for touch in touches:  # type: ignore[attr-defined]
        found[touch.target].append(touch)
    return sorted(found.items())


def _by_key(evidence: Evidence, *kinds: str) -> Mapping[str, list[Told]]:
    found: defaultdict[str, list[Told]] = defaultdict(list)
    for told in evidence.of_kind(*kinds):
        found[told.key].append(told)
    return found


def _of_waves(evidence: Evidence, *kinds: str) -> Mapping[str, dict[str, list[Told]]]:
    found: defaultdict[str, dict[str, list[Told]]] = defaultdict(dict)
    for told in evidence.of_kind(*kinds):
        found[told.body["order"]["wave_id"]].setdefault(told.kind, []).append(told)
    return found


def _revisions(evidence: Evidence, kind: str) -> Mapping[str, dict[int, Told]]:
    found: defaultdict[str, dict[int, Told]] = defaultdict(dict)
    for told in evidence.of_kind(kind):
        found[told.key].setdefault(told.body["revision"], told)
    return found


def _said(touch: Touch) -> str:
    return f"{touch.operation} of {touch.component} {touch.version} on {touch.target} (run {touch.run})"


def _event(told: Told) -> str:
    return f"{told.topic} {told.id} of {told.source}"
