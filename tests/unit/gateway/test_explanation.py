"""An explanation says what holds an update, and who can release it and how."""

from __future__ import annotations

from typing import Any

import pytest

from patchline_gateway.explanation import explain
from patchline_gateway.views import AssessmentSummary, NoticeView, Stopped, UpdateView, WaveView, Withdrawn
from patchline_schemas.examples.shared import JINJA, UPDATE, WAVE, at
from patchline_schemas.updates import Held, WaveProgress


def update(**more: Any) -> UpdateView:
    wave = WaveProgress(
        id=WAVE, round=1, number=1, group="strict", state="planned", starts_at=at(30), targets_total=1
    )
    facts = {"component": JINJA, "to_version": "3.1.6", "sequence": 1, "round": 1, "waves": (wave,)}
    return UpdateView.model_validate({"id": UPDATE, **facts, **more})


def text_of(view: UpdateView, *notices: NoticeView) -> str:
    return "\n".join(explain(view, [], notices, at(1)).sentences)


HELD = Held(rule="notice-required", since=at(0), until=None, who="the notice to 1 contact of strict")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            {"state": "retrying", "attempts": 3, "next_attempt_at": at(2)},
            "is still being tried, after 3 attempts: refused; the next attempt is at 2026-",
        ),
        ({"state": "failed", "attempts": 6}, "was given up after 6 attempts: refused."),
    ],
)
def test_a_required_notice_that_holds_the_rollout_is_named(state: dict[str, Any], expected: str) -> None:
    facts = {"update_id": UPDATE, "wave_id": WAVE, "group": "strict", "contact": "json://127.0.0.1/…"}
    notice = NoticeView.model_validate(
        {"id": "n", **facts, "occasion": "planned", "error": "refused.", "time": at(1), **state}
    )
    view = update(state="scheduled", held=HELD)
    said = text_of(view, notice)
    assert f"The notice “planned” to json://127.0.0.1/… of group strict {expected}" in said
    assert "first window" not in said
    (first, *_) = explain(view, [], [notice], at(1)).next
    assert first.startswith(f"patchline update resume {UPDATE}")


@pytest.mark.parametrize(("state", "listed"), [("scheduled", True), ("completed", False)])
def test_unknown_targets_are_listed_while_the_update_goes_on(state: str, listed: bool) -> None:
    found = AssessmentSummary(revision=1, due_rule="", unknown_total=1, unknown=("wiki: no environment",))
    said = text_of(update(state=state, assessment=found))
    assert "1 unknown" in said
    assert ("wiki: no environment" in said) is listed


@pytest.mark.parametrize(
    ("by", "superseded_by", "next_commands"),
    [
        (
            "ada",
            None,
            [f"patchline report {UPDATE}", f'patchline update retry {UPDATE} --as NAME --reason "TEXT"'],
        ),
        ("jinja2-3.1.7-a74403", "jinja2-3.1.7-a74403", ["patchline explain jinja2-3.1.7-a74403"]),
    ],
    ids=["a person", "a newer update"],
)
def test_what_was_cancelled_says_by_whom_and_why_and_what_can_be_done(
    by: str, superseded_by: str | None, next_commands: list[str]
) -> None:
    stopped = Stopped(round=1, sentence=f"Cancelled by {by}: not now")
    view = update(state="cancelled", stopped=stopped, superseded_by=superseded_by)
    assert f"Cancelled by {by}: not now" in text_of(view)
    assert explain(view, [], [], at(1)).next == next_commands


def test_why_an_earlier_round_was_cancelled_is_not_said_of_a_later_one() -> None:
    stopped = Stopped(round=1, sentence="Cancelled by ada: not now")
    assert "not now" not in text_of(update(state="cancelled", round=2, stopped=stopped))


@pytest.mark.parametrize(
    ("installed_on", "said"),
    [
        ((), "It is installed on 0 targets."),
        (("crm", "wiki"), "It is installed on 2 targets: crm, wiki."),
        (("a", "b", "c", "d"), "It is installed on 4 targets: a, b, c and 1 more."),
    ],
)
def test_a_withdrawn_version_says_where_it_is_and_is_not_offered_for_another_try(
    installed_on: tuple[str, ...], said: str
) -> None:
    withdrawn = Withdrawn(
        revision=1, reason="breaks", installed_on=installed_on, installed_total=len(installed_on)
    )
    view = update(state="cancelled", withdrawn=withdrawn)
    assert f"Its vendor withdrew the version (breaks). {said}" in text_of(view)
    assert explain(view, [], [], at(1)).next == [f"patchline report {UPDATE}"]


def test_where_a_withdrawn_version_may_be_without_anybody_knowing_is_said() -> None:
    withdrawn = Withdrawn(revision=1, reason="breaks", unknown_total=2, last_seen_on=("crm",))
    said = text_of(update(state="cancelled", withdrawn=withdrawn))
    assert "It is installed on 0 targets." in said
    assert "It is not known of 2 further targets that cannot be asked; crm had it when last asked." in said


@pytest.mark.parametrize(("due", "late"), [(29, True), (31, False), (None, False)])
def test_a_wave_that_is_planned_after_the_due_date_is_said(due: int | None, late: bool) -> None:
    view = update(state="scheduled", due_at=None if due is None else at(due))
    wave = WaveView(id=WAVE, update_id=UPDATE, round=1, number=1, group="strict", starts_at=at(30))
    said = "\n".join(explain(view, [wave], [], at(1)).sentences)
    assert "starts 2026-" in said
    assert ("which is after the due date" in said) is late


@pytest.mark.parametrize(
    ("state", "due", "said"),
    [("awaiting-approval", 0, "was due"), ("awaiting-approval", 2, "is due"), ("completed", 0, "is due")],
)
def test_an_update_that_goes_on_beyond_its_due_date_is_overdue(state: str, due: int, said: str) -> None:
    found = AssessmentSummary(revision=1, due_rule="14 days from publication", affected_total=1)
    view = update(state=state, urgency="out-of-cycle", due_at=at(due), assessment=found)
    text = text_of(view)
    assert f"Its urgency is out-of-cycle and it {said} 2026-" in text
    assert ("and is overdue: 14 days from publication" in text) is (said == "was due")


@pytest.mark.parametrize(("starts", "said"), [(30, ", starts 2026-"), (0, ", could start since 2026-")])
def test_a_wave_whose_time_has_come_but_that_is_held_does_not_start_in_the_past(
    starts: int, said: str
) -> None:
    wave = WaveView(id=WAVE, update_id=UPDATE, round=1, number=1, group="strict", starts_at=at(starts))
    assert said in "\n".join(explain(update(state="awaiting-approval"), [wave], [], at(1)).sentences)


def test_an_update_that_goes_back_to_assessed_after_its_waves_says_so() -> None:
    assert "has no plan yet" in text_of(update(state="assessed", waves=()))
    assert "has to be assessed anew" in text_of(update(state="assessed"))


def test_a_completed_update_claims_no_more_than_is_known() -> None:
    known = AssessmentSummary(revision=1, due_rule="", affected_total=1)
    assert "on every target that needs it." in text_of(update(state="completed", assessment=known))
    unsure = known.model_copy(update={"unknown_total": 1})
    assert "some could not be asked" in text_of(update(state="completed", assessment=unsure))
