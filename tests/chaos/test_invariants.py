"""The checker of a chaos run finds each fault: what it says of a sound run, and of the same run broken."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from chaos.evidence import Evidence, Expected, Kept, PulsedWindow, Told, Touch
from chaos.invariants import check

BEGAN = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
WAVE = {"wave_id": "u/1", "update_id": "u", "revision": 1, "component": "pkg:generic/a", "version": "2"}
LIFE = (
    ("feeds.update-published", "feeds", {"component": "pkg:generic/a"}),
    ("updates.assessed", "assessment", {"component": "pkg:generic/a", "revision": 1}),
    ("updates.planned", "planning", {"revision": 1}),
    ("updates.progressed", "planning", {"sequence": 1}),
    ("updates.tested", "testing", {"revision": 1}),
    ("updates.approved", "planning", {"revision": 1}),
    ("waves.planned", "planning", {"order": WAVE}),
    ("waves.due", "planning", {"order": WAVE}),
    ("waves.backed-up", "backup", {"order": WAVE, "backups": [{"target_id": "t"}]}),
    ("waves.deployed", "deployment", {"order": WAVE}),
    ("waves.checks-passed", "verification", {"order": WAVE}),
    ("waves.verified", "verification", {"order": WAVE}),
    ("updates.progressed", "planning", {"sequence": 2}),
    ("updates.completed", "planning", {"revision": 1}),
    ("updates.documented", "documentation", {"revision": 1}),
    ("updates.reviewed", "review", {"revision": 1}),
)


def life() -> list[Told]:
    """One update's events, a second after each other, each because of the one before."""
    return [
        Told(
            id=f"e{number}",
            topic=topic,
            source=source,
            key="u",
            cause=f"e{number - 1}" if number else None,
            at=BEGAN + timedelta(seconds=number),
            place=(0, number),
            body=body,
            raw=(topic, str(number)),
        )
        for number, (topic, source, body) in enumerate(LIFE)
    ]


def touch(number: int, event: str = "begin", run: str = "r1", **more: object) -> Touch:
    """A line of the apply log, 8.1 s and more after the begin: after the backup."""
    at = BEGAN + timedelta(seconds=8 + number / 10)
    values = {
        "target": "t",
        "operation": "apply",
        "component": "pkg:generic/a",
        "version": "2",
        "fence": 1,
        "outcome": "succeeded" if event == "end" else None,
    }
    return Touch(number=number, at=at, event=event, run=run, **{**values, **more})  # type: ignore[arg-type]


def run(told: list[Told] | None = None, **changes: object) -> Evidence:
    """The evidence of a sound run over one target, with ``changes``. The ledger has what was told."""
    events = life() if told is None else told
    sound = Evidence(
        told=events,
        touches=[touch(1), touch(2, "end")],
        kept=[Kept(each.id, each.topic, each.raw) for each in {each.id: each for each in life()}.values()],
        ledger_problems=[],
        packages={"t": {"pkg:generic/a": "2"}},
        expected=[Expected("pkg:generic/a", "2", "1", ("t",), "completed")],
        windows={"t": PulsedWindow(30)},
    )
    return replace(sound, **changes)


def kinds(evidence: Evidence) -> set[str]:
    return {violation.kind for violation in check(evidence)}


def without(topic: str) -> list[Told]:
    return [each for each in life() if each.topic != topic]


def moved(topic: str, seconds: float) -> list[Told]:
    """The life with one event at another time."""
    events = [
        replace(each, at=each.at + timedelta(seconds=seconds)) if each.topic == topic else each
        for each in life()
    ]
    return sorted(events, key=lambda each: each.at)


def test_a_sound_run_has_nothing_wrong():
    assert check(run()) == []


@pytest.mark.parametrize("topic", ["updates.completed", "updates.documented", "updates.reviewed"])
def test_an_update_without_its_end_is_lost(topic):
    assert "lost" in kinds(run(without(topic)))


def test_an_update_that_was_never_seen_is_lost():
    missing = Expected("pkg:generic/b", "2", "1", (), "completed")
    assert "lost" in kinds(run(expected=[*run().expected, missing]))


def test_an_update_that_ended_otherwise_than_it_had_to_is_lost():
    failed = [replace(each, outcome="rolled-back") for each in run().expected]
    assert "lost" in kinds(run(expected=failed))


def test_a_target_that_has_another_version_than_was_told_is_lost():
    assert kinds(run(packages={"t": {"pkg:generic/a": "1"}})) == {"lost"}


def test_a_target_whose_wave_was_verified_before_its_update_failed_keeps_the_version():
    told = [
        replace(each, topic="updates.failed") if each.topic == "updates.completed" else each
        for each in life()
    ]
    kept = [Kept(each.id, each.topic, each.raw) for each in told]
    failed = Expected("pkg:generic/a", "2", "1", ("t",), "rolled-back", frozenset({"t"}))
    assert check(run(told, kept=kept, expected=[failed])) == []
    assert kinds(run(told, kept=kept, expected=[replace(failed, kept=frozenset())])) == {"lost"}


def test_a_change_that_begins_after_it_had_ended_well_is_twice():
    again = [touch(1), touch(2, "end"), touch(3, run="r2", fence=2), touch(4, "end", run="r2", fence=2)]
    assert kinds(run(touches=again)) == {"twice"}


def test_a_change_that_was_taken_back_may_begin_again():
    back = {"operation": "rollback", "run": "r2"}
    touches = [touch(1), touch(2, "end"), touch(3, **back), touch(4, "end", **back), touch(5, run="r3")]
    assert kinds(run(touches=[*touches, touch(6, "end", run="r3")])) == set()


def test_two_changes_at_a_time_on_a_target_are_twice():
    assert "twice" in kinds(run(touches=[touch(1), touch(2, run="r2", fence=2), touch(3, "end", run="r2")]))


def test_an_end_of_a_change_that_was_interrupted_is_twice():
    touches = [touch(1), touch(2, "interrupted"), touch(3, run="r2", fence=2), touch(4, "end")]
    assert "twice" in kinds(run(touches=touches))


def test_a_change_that_is_carried_on_after_its_worker_was_lost_is_sound():
    after = {"run": "r2", "fence": 2}
    touches = [touch(1), touch(2, "interrupted"), touch(3, **after), touch(4, "end", **after)]
    assert check(run(touches=touches)) == []


def test_a_lower_fence_after_a_higher_one_is_stale():
    touches = [
        touch(1, fence=2),
        touch(2, "interrupted", fence=2),
        touch(3, run="r2"),
        touch(4, "end", run="r2"),
    ]
    assert kinds(run(touches=touches)) == {"stale"}


def test_a_target_that_is_left_half_way_is_lost():
    assert kinds(run(touches=[touch(1)])) == {"lost"}


def test_a_change_without_a_backup_is_found():
    assert "no backup" in kinds(run(without("waves.backed-up")))


def test_a_change_that_begins_before_its_backup_is_found():
    early = [replace(each, at=BEGAN + timedelta(seconds=7)) for each in run().touches]
    assert kinds(run(touches=early)) == {"no backup"}


def test_a_change_that_begins_outside_its_window_is_found():
    assert kinds(run(windows={"t": PulsedWindow(8)})) == {"out of window"}


def test_a_change_that_was_cut_off_in_its_window_may_be_carried_on_after_it():
    after = {"run": "r2", "fence": 2}
    touches = [touch(1), touch(2, "interrupted"), touch(3, **after), touch(4, "end", **after)]
    assert check(run(touches=touches, windows={"t": PulsedWindow(8.15)})) == []


def test_an_event_before_its_cause_is_stale():
    assert "stale" in kinds(run(moved("updates.completed", -1.5)))


def test_an_event_whose_cause_is_nowhere_is_found():
    assert "lost" in kinds(run(without("updates.planned")))


@pytest.mark.parametrize("topic", ["waves.due", "waves.backed-up", "waves.deployed", "waves.checks-passed"])
def test_a_wave_that_leaves_a_step_out_is_stale(topic):
    assert "stale" in kinds(run(without(topic)))


def test_a_wave_that_says_a_step_twice_is_found():
    again = replace(life()[9], id="again", at=BEGAN + timedelta(seconds=20))
    assert "twice" in kinds(run([*life(), again]))


@pytest.mark.parametrize("topic", ["updates.tested", "updates.approved", "updates.planned"])
def test_a_wave_that_is_due_without_test_plan_or_approval_is_stale(topic):
    assert "stale" in kinds(run(without(topic)))


def test_a_wave_that_is_due_at_an_older_revision_than_was_approved_is_stale():
    newer = [
        replace(
            life()[place],
            id=f"newer{place}",
            at=BEGAN + timedelta(seconds=6, milliseconds=place),
            body={"revision": 2},
        )
        for place in (2, 4, 5)
    ]
    assert "stale" in kinds(run(sorted([*life(), *newer], key=lambda each: each.at)))


def test_an_approval_of_an_older_revision_than_was_planned_is_stale():
    newer = replace(life()[2], id="newer", at=BEGAN + timedelta(seconds=4.5), body={"revision": 2})
    assert "stale" in kinds(run(sorted([*life(), newer], key=lambda each: each.at)))


@pytest.mark.parametrize("sequence", [1, 3])
def test_a_gap_or_a_fork_in_planning_s_view_is_stale(sequence):
    events = life()
    events[12] = replace(events[12], body={"sequence": sequence})
    assert "stale" in kinds(run(events))


def test_an_event_that_is_told_again_as_it_was_is_sound():
    assert check(run([*life(), replace(life()[3], at=BEGAN + timedelta(seconds=30))])) == []


def test_an_id_that_is_told_again_with_another_content_is_twice():
    again = replace(life()[3], at=BEGAN + timedelta(seconds=30), raw=("other",))
    assert kinds(run([*life(), again])) == {"twice"}


def test_a_ledger_that_lacks_an_event_or_has_it_twice_or_another_or_one_of_its_own_is_found():
    kept = list(run().kept)
    assert kinds(run(kept=kept[1:])) == {"ledger"}
    assert kinds(run(kept=[*kept, kept[0]])) == {"ledger"}
    assert kinds(run(kept=[replace(kept[0], raw=("other",)), *kept[1:]])) == {"ledger"}
    assert kinds(run(kept=[*kept, Kept("foreign", "updates.planned")])) == {"ledger"}


def test_what_was_told_after_the_ledger_was_ended_need_not_be_in_it():
    *before, last = run().kept
    place = {("updates.reviewed", 0): len(LIFE) - 1}
    assert check(run(kept=before, unread=place)) == []
    assert kinds(run(kept=before, unread={("updates.reviewed", 0): len(LIFE)})) == {"ledger"}
    assert kinds(run(kept=before, unread={("updates.reviewed", 1): 0})) == {"ledger"}
    assert kinds(run(kept=[*before, replace(last, raw=("other",))], unread=place)) == {"ledger"}


def test_a_broken_chain_of_the_ledger_is_found():
    assert kinds(run(ledger_problems=["chain updates/u ends too soon"])) == {"ledger"}


def dead_letter(
    service: str = "planning", event_id: str | None = "e4", offset: int = 4, number: int = 0
) -> Told:
    record = {"topic": "updates.tested", "partition": 0, "offset": offset}
    body = {"service": service, "record": record, "event_id": event_id, "reason": "why"}
    return Told(
        f"d{number}",
        "dead-letters",
        service,
        "d",
        None,
        BEGAN + timedelta(hours=1),
        (0, number),
        body,
        ("d",),
    )


def buried(*letters: Told, poison: frozenset[str] = frozenset({"updates.tested/0/4"})) -> Evidence:
    kept = [*run().kept, *(Kept(each.id, each.topic, each.raw) for each in letters)]
    return run([*life(), *letters], kept=kept, poison=poison)


def test_a_dead_letter_that_nobody_provoked_is_found():
    assert kinds(buried(dead_letter(event_id=None), poison=frozenset())) == {"dead letter"}


def test_an_unreadable_record_is_given_up_once_by_each_service():
    letters = dead_letter(event_id=None), dead_letter("backup", None, number=1)
    assert check(buried(*letters)) == []
    assert kinds(buried(letters[0], replace(letters[0], id="again"))) == {"dead letter"}


def test_an_unreadable_record_that_nobody_gave_up_is_found():
    assert kinds(buried()) == {"dead letter"}


def test_an_event_that_is_both_handled_and_given_up_is_found():
    assert kinds(buried(dead_letter("planning"))) == {"dead letter"}  # approved because of it
    assert kinds(buried(dead_letter("documentation"))) == {"dead letter"}  # and in its ledger
    assert check(buried(dead_letter("review"))) == []
