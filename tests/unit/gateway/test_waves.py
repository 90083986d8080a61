"""A wave's events may reach its view in any order and more than once; the view ends the same."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest

from patchline_gateway import projections
from patchline_gateway.explanation import TARGETS_SHOWN, explain
from patchline_gateway.presentation import wave_line, wave_lines
from patchline_gateway.routing import news_of
from patchline_gateway.views import UpdateView, WaveView
from patchline_schemas import Envelope
from patchline_schemas.examples.shared import UPDATE, WAVE, at
from patchline_schemas.updates import WaveProgress
from patchline_schemas.waves import (
    CheckResult,
    TargetResult,
    WaveBackedUp,
    WaveBackupFailed,
    WaveCancelled,
    WaveChecksPassed,
    WaveDeployed,
    WaveDeployFailed,
    WaveDue,
    WaveEvent,
    WaveOrder,
    WavePlanned,
    WaveRollbackFailed,
    WaveRollbackRequested,
    WaveRollbackVerified,
    WaveRolledBack,
    WaveTarget,
    WaveVerificationFailed,
    WaveVerified,
)

ORDER = WaveOrder(
    wave_id=WAVE,
    update_id=UPDATE,
    revision=1,
    round=1,
    number=1,
    group="intranet",
    component="pkg:pypi/jinja2",
    version="3.1.6",
    restart_required=False,
    window_ends_at=None,
    concurrency=2,
    max_failures=0,
    target_timeout=timedelta(minutes=10),
    soak=timedelta(seconds=10),
)
TARGETS = (
    WaveTarget(target_id="forum", from_version="3.1.2"),
    WaveTarget(target_id="wiki", from_version="3.1.3"),
)


def result(target: str, outcome: str = "succeeded", error: str | None = None) -> TargetResult:
    return TargetResult(target_id=target, outcome=outcome, error=error)  # type: ignore[arg-type]


BOTH = (result("forum"), result("wiki"))
PLANNED = WavePlanned(order=ORDER, starts_at=at(30), ends_at=None, targets=TARGETS)
DUE = WaveDue(order=ORDER, targets=TARGETS)
BACKED_UP = WaveBackedUp(order=ORDER, targets=TARGETS, backups=())
DEPLOYED = WaveDeployed(order=ORDER, results=BOTH)
CHECKED = WaveChecksPassed(order=ORDER, results=BOTH, soak_until=at(40))
VERIFIED = WaveVerified(order=ORDER, results=BOTH)
NOT_VERIFIED = WaveVerificationFailed(
    order=ORDER,
    results=(result("forum"), result("wiki", "failed", "no answer")),
    error="no answer",
    during_soak=True,
)
ASKED_BACK = WaveRollbackRequested(order=ORDER, targets=TARGETS, backups=(), reason="no answer")
ROLLED_BACK = WaveRolledBack(order=ORDER, results=BOTH)
ROLLBACK_VERIFIED = WaveRollbackVerified(order=ORDER, results=BOTH)


def view_after(*events: WaveEvent, times: dict[int, datetime] | None = None) -> WaveView:
    view = WaveView(id=WAVE)
    for event in events:
        tell(view, event, at(0))
    return view


def tell(view: WaveView, event: WaveEvent, time: datetime) -> None:
    envelope = Envelope(id="e", source="test", type=event.TYPE, subject=event.subject(), time=time)
    (news,) = news_of(event, envelope)
    projections.wave_told(view, type(news).model_validate_json(news.model_dump_json()))  # type: ignore[arg-type]


def outcomes(view: WaveView) -> dict[str, str]:
    return {line.target: line.outcome for line in wave_line(view, view.state).targets}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((PLANNED,), "pending"),
        ((PLANNED, DUE), "running"),
        ((PLANNED, DUE, BACKED_UP, DEPLOYED), "running"),
        ((PLANNED, DUE, BACKED_UP, DEPLOYED, CHECKED), "running"),
        ((PLANNED, DUE, BACKED_UP, DEPLOYED, CHECKED, VERIFIED), "succeeded"),
        ((PLANNED, WaveCancelled(order=ORDER, reason="retracted")), "not-started"),
    ],
)
def test_a_target_succeeds_only_when_its_wave_is_verified(
    events: tuple[WaveEvent, ...], expected: str
) -> None:
    assert set(outcomes(view_after(*events)).values()) == {expected}


def test_a_rollback_shows_on_each_target_and_keeps_its_reason() -> None:
    life = (
        PLANNED,
        DUE,
        BACKED_UP,
        DEPLOYED,
        CHECKED,
        NOT_VERIFIED,
        ASKED_BACK,
        ROLLED_BACK,
        ROLLBACK_VERIFIED,
    )
    shown = wave_line(view_after(*life), "rolled-back")
    assert [(line.outcome, line.error) for line in shown.targets] == [
        ("rolled-back", None),
        ("rolled-back", "no answer"),
    ]
    assert [(line.from_version, line.to_version) for line in shown.targets] == [
        ("3.1.2", "3.1.6"),
        ("3.1.3", "3.1.6"),
    ]


def test_the_order_in_which_news_arrives_does_not_matter() -> None:
    life = (PLANNED, BACKED_UP, DEPLOYED, NOT_VERIFIED, ROLLBACK_VERIFIED)
    expected = wave_line(view_after(*life), "rolled-back")
    for order in itertools.permutations(life):
        view = view_after(*order, *order[:2])
        assert wave_line(view, "rolled-back") == expected
        assert (view.state, view.starts_at) == ("rolled-back", at(30))


def test_a_failed_backup_leaves_the_others_not_started() -> None:
    failed = WaveBackupFailed(
        order=ORDER, results=(result("forum"), result("wiki", "timed-out", "slow")), error="slow"
    )
    assert outcomes(view_after(PLANNED, DUE, failed)) == {"forum": "not-started", "wiki": "timed-out"}


def test_a_failed_deployment_names_what_failed_and_what_was_not_started() -> None:
    failed = WaveDeployFailed(
        order=ORDER,
        results=(result("forum", "unreachable", "gone"), result("wiki", "not-started")),
        error="gone",
    )
    view = view_after(PLANNED, DUE, BACKED_UP, failed)
    assert outcomes(view) == {"forum": "unreachable", "wiki": "not-started"}
    assert view.targets["forum"].error == "gone"


def test_what_the_window_left_out_is_not_started() -> None:
    deployed = WaveDeployed(order=ORDER, results=(result("forum"),), not_started=(TARGETS[1],))
    assert outcomes(view_after(PLANNED, DUE, BACKED_UP, deployed)) == {
        "forum": "running",
        "wiki": "not-started",
    }


def test_a_rollback_that_a_person_had_repeated_ends_well() -> None:
    failed = WaveRollbackFailed(
        order=ORDER, results=(result("forum"), result("wiki", "failed", "locked")), error="locked"
    )
    view = view_after(PLANNED, DUE, BACKED_UP, DEPLOYED, NOT_VERIFIED, ASKED_BACK)
    tell(view, failed, at(50))
    assert outcomes(view)["wiki"] == "failed"
    tell(view, ROLLBACK_VERIFIED, at(90))
    assert outcomes(view)["wiki"] == "rolled-back"


def test_a_new_time_replaces_an_older_one_and_not_the_other_way_round() -> None:
    view = WaveView(id=WAVE)
    tell(view, PLANNED.model_copy(update={"starts_at": at(90)}), at(20))
    tell(view, PLANNED, at(10))
    assert view.starts_at == at(90)


def test_the_version_before_is_the_one_that_the_deployment_found() -> None:
    """A wave keeps its place while another update changes its targets; its plan is revised then."""
    assessed_anew = (TARGETS[0], WaveTarget(target_id="wiki", from_version="3.1.4"))
    revised = PLANNED.model_copy(update={"targets": assessed_anew})
    found = TargetResult(
        target_id="wiki", outcome="succeeded", from_version="3.1.4.post1", to_version="3.1.6"
    )
    gone_back = found.model_copy(update={"from_version": "3.1.6", "to_version": "3.1.4.post1"})
    life: list[tuple[WaveEvent, int]] = [
        (PLANNED, 0),
        (revised, 1),
        (DEPLOYED.model_copy(update={"results": (result("forum"), found)}), 2),
        (ROLLED_BACK.model_copy(update={"results": (result("forum"), gone_back)}), 3),
    ]
    for told, expected in ((life[:2], "3.1.4"), (life, "3.1.4.post1")):
        for order in itertools.permutations(told):
            view = WaveView(id=WAVE)
            for event, minute in order:
                tell(view, event, at(minute))
            assert view.targets["wiki"].from_version == expected
            assert view.targets["forum"].from_version == "3.1.2"


def test_a_target_that_counts_as_good_though_no_check_passed_is_explained() -> None:
    fails = CheckResult(name="curl wiki", passed=False, output="503", duration=timedelta(seconds=1))
    before = TargetResult(target_id="wiki", outcome="succeeded", checks=(fails,), started_at=at(31))
    after = before.model_copy(update={"started_at": at(33)})
    life: list[WaveEvent] = [
        PLANNED,
        DEPLOYED.model_copy(update={"results": (result("forum"), before)}),
        VERIFIED.model_copy(update={"results": (result("forum"), after)}),
    ]
    update = UpdateView(id=UPDATE, sequence=1, round=1, state="completed")
    for order in itertools.permutations(life):
        said = [
            each for each in explain(update, [view_after(*order)], [], at(60)).sentences if "check" in each
        ]
        assert said == [
            "No check passed on wiki, so only the version was verified there, not that it works: "
            "curl wiki failed before the deployment already, at 2026-03-03 09:31:00 UTC.",
            "The fleet file declares no check for forum, so only the version was verified there, "
            "not that it works.",
        ]


def test_of_many_targets_in_trouble_the_last_is_named_too() -> None:
    fails = CheckResult(name="curl", passed=False, output="503", duration=timedelta(seconds=1))
    ids = [f"web-{number}" for number in range(7)]
    results = tuple(
        TargetResult(target_id=each, outcome="succeeded", checks=(fails,), started_at=at(31)) for each in ids
    )
    life: list[WaveEvent] = [
        DEPLOYED.model_copy(update={"results": results}),
        VERIFIED.model_copy(update={"results": (*results, result("forum"))}),
    ]
    update = UpdateView(id=UPDATE, sequence=1, round=1, state="completed")
    said = explain(update, [view_after(*life)], [], at(60)).sentences
    assert sum(each.startswith("No check passed on") for each in said) == TARGETS_SHOWN
    assert "Nor did any check pass on web-5, web-6." in said
    assert any(each.startswith("The fleet file declares no check for forum") for each in said)
    broken = tuple(result(each).model_copy(update={"outcome": "failed", "error": "no room"}) for each in ids)
    failed = view_after(DEPLOYED.model_copy(update={"results": broken}))
    told = explain(update, [failed], [], at(60)).sentences
    assert sum(each.endswith("ended as failed: no room") for each in told) == TARGETS_SHOWN
    assert "There was an error on web-5, web-6 too." in told


def test_a_wave_that_touched_no_target_is_cancelled_in_whatever_order_that_is_told() -> None:
    outdated = result("wiki").model_copy(update={"outcome": "not-started", "error": "it has 3.1.5"})
    nothing = DEPLOYED.model_copy(update={"results": (outdated,), "not_started": ()})
    ended = WaveCancelled(order=DEPLOYED.order, reason="none is as planned")
    for order in itertools.permutations((PLANNED, nothing, ended)):
        view = view_after(*order)
        assert (view.state, view.targets["wiki"].outcome) == ("cancelled", "not-started")
        assert view.targets["wiki"].error == "it has 3.1.5"


def test_planning_knows_a_waves_state_best() -> None:
    progress = WaveProgress(
        id=WAVE, round=1, number=1, group="intranet", state="soaking", starts_at=at(30), targets_total=2
    )
    update = UpdateView(id=UPDATE, sequence=1, waves=(progress,))
    assert wave_lines(update, [view_after(PLANNED, DUE)])[0].state == "soaking"


def test_an_update_shows_no_more_targets_than_it_may() -> None:
    second = view_after(PLANNED).model_copy(update={"id": f"{UPDATE}.r1.w2", "number": 2})
    lines = wave_lines(None, [second, view_after(PLANNED)], most=3)
    assert [(line.id[-2:], line.targets_total, len(line.targets)) for line in lines] == [
        ("w1", 2, 2),
        ("w2", 2, 1),
    ]
