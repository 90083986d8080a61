"""What people ask for, and what planning answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from patchline_schemas.feeds import UpdateRetracted
from patchline_schemas.fleet import RecurringWindow
from patchline_schemas.updates import UpdateApproved, UpdateCancelled, UpdateRejected

TWO_OTHERS = {"approval": {"minimum_approvers": 2, "not_the_requester": True}}


async def test_a_plan_waits_for_as_many_people_as_the_strictest_group_wants(life: Any) -> None:
    await life.group("intranet")
    await life.group("shop", criticality="high", policies=TWO_OTHERS)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "shop"})
    assert life.planned(id_).approval == "2 people other than ada"
    assert life.state(id_) == "awaiting-approval"
    assert life.held(id_) == "approval"
    assert life.due_waves() == []
    assert await life.ask("approve", id_, who="ada") == "refused: approval.not-the-requester"
    assert await life.ask("approve", id_, plan_revision=7) == "refused: approval.plan-revision"
    assert "1 more person" in await life.ask("approve", id_, plan_revision=1)
    assert await life.ask("approve", id_) == "refused: approval.distinct"
    await life.ask("approve", id_, who="cy")
    approved = life.harness.published(UpdateApproved)[0]
    assert approved.approved_by == ("bea", "cy")
    assert approved.reason == "bea: because; cy: because"
    assert len(life.due_waves()) == 1
    assert await life.ask("approve", id_, who="dan") == "refused: state"


async def test_a_yes_counts_only_under_the_policy_as_it_is_now(life: Any) -> None:
    await life.group("intranet", policies={"approval": {"minimum_approvers": 2}})
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    await life.ask("approve", id_, who="ada")
    stricter = {"approval": {"minimum_approvers": 1, "not_the_requester": True}}
    await life.group("intranet", policies=stricter, revision=2)
    assert life.state(id_) == "awaiting-approval"
    assert "ada" not in life.progress(id_).held.who.partition("approved so far")[2]
    await life.ask("approve", id_, who="bea")
    approved = life.harness.published(UpdateApproved)[0]
    assert (approved.approved_by, approved.reason) == (("bea",), "because")


async def test_a_rejected_update_touches_no_target(life: Any) -> None:
    await life.group("intranet", policies=TWO_OTHERS)
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    await life.ask("reject", id_)
    assert life.state(id_) == "rejected"
    assert life.harness.published(UpdateRejected)[0].rejected_by == "bea"
    assert await life.ask("pause", id_) == "refused: state"


async def test_an_unknown_update_is_refused(life: Any) -> None:
    assert await life.ask("approve", "nothing-1.0-abc") == "refused: state"


async def test_a_paused_update_starts_no_further_wave(life: Any) -> None:
    await life.group("intranet", policies={"wave_size": 1})
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    first, second = (wave.id for wave in life.planned(id_).waves)
    await life.ask("pause", id_)
    assert life.state(id_) == "paused"
    await life.carry(first)
    assert life.due_waves() == [first]
    assert life.held(id_) == "paused"
    assert "bea" in life.progress(id_).held.who
    await life.ask("resume", id_)
    assert life.due_waves() == [first, second]
    assert life.state(id_) == "rolling-out"


async def test_an_approval_ends_no_pause_and_no_halt_and_says_so(life: Any) -> None:
    await life.group("intranet", policies={"approval": {"minimum_approvers": 1}})
    paused = await life.roll_out("3.1.6", {"a": "intranet"})
    halted = await life.roll_out("2.0.0", {"b": "intranet"}, component="pkg:pypi/other")
    await life.ask("pause", paused)
    said = await life.ask("approve", paused, who="cy")
    assert said == "approved; bea has paused it, so the rollout does not begin before somebody resumes it"
    await life.ask("halt", None)
    said = await life.ask("approve", halted, who="cy")
    assert said == (
        "approved; everything is halted, so the rollout does not begin before somebody resumes everything"
    )
    assert life.due_waves() == []
    await life.ask("resume", None)
    await life.ask("resume", paused)
    assert len(life.due_waves()) == 2


async def test_a_test_may_end_while_the_update_is_paused(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.assess("3.1.6", {"a": "intranet"})
    await life.ask("pause", id_)
    await life.test_passes(id_)
    assert life.state(id_) == "paused"
    await life.ask("resume", id_)
    assert len(life.due_waves()) == 1


async def test_cancel_drops_what_has_not_started_and_verifies_what_runs(life: Any) -> None:
    await life.group("intranet", policies={"wave_size": 1})
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    first, second = (wave.id for wave in life.planned(id_).waves)
    assert "is verified, then" in await life.ask("cancel", id_)
    assert life.waves(id_) == {first: "backing-up", second: "cancelled"}
    assert await life.ask("cancel", id_) == "refused: state"
    await life.carry(first)
    assert life.state(id_) == "cancelled"
    assert life.waves(id_) == {first: "verified", second: "cancelled"}
    assert life.harness.published(UpdateCancelled)[0].cancelled_by == "bea"


async def test_a_wave_that_waits_for_its_targets_can_be_paused_and_cancelled(life: Any) -> None:
    await life.group("intranet")
    owner = await life.roll_out("2.0.0", {"a": "intranet"}, component="pkg:pypi/other")
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    waiting = life.planned(id_).waves[0].id
    assert life.waves(id_) == {waiting: "due"}
    await life.ask("pause", id_)
    assert life.waves(id_) == {waiting: "planned"}
    await life.ask("resume", id_)
    assert life.held(id_) == "target-owned"
    await life.ask("cancel", id_)
    assert life.state(id_) == "cancelled"
    await life.carry(life.planned(owner).waves[0].id)
    assert waiting not in life.due_waves()
    third = await life.roll_out("4.0.0", {"a": "intranet", "b": "intranet"}, component="pkg:pypi/third")
    assert life.planned(third).waves[0].id in life.due_waves()


async def test_halt_holds_everything_until_somebody_resumes(life: Any) -> None:
    await life.group("intranet", policies={"wave_size": 1})
    running = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    first, second = (wave.id for wave in life.planned(running).waves)
    await life.ask("halt", None)
    fresh = await life.roll_out("2.0.0", {"c": "intranet"}, component="pkg:pypi/other")
    assert life.held(running) == life.held(fresh) == "halted"
    await life.carry(first)
    assert life.due_waves() == [first]
    assert await life.ask("halt", None) == "refused: state"
    await life.ask("resume", None)
    assert set(life.due_waves()) == {first, second, life.planned(fresh).waves[0].id}


async def test_a_retraction_stops_what_has_not_started(life: Any) -> None:
    saturday = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2))
    await life.group("intranet", window=saturday)
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    assert life.state(id_) == "scheduled"
    await life.say(
        UpdateRetracted(
            update_id=id_,
            vendor="palletsprojects",
            component="pkg:pypi/jinja2",
            version="3.1.6",
            reason="broken wheel",
        )
    )
    assert life.state(id_) == "cancelled"
    assert "broken wheel" in life.harness.published(UpdateCancelled)[0].reason
    assert await life.ask("retry", id_) == "refused: retracted"


async def test_a_retraction_may_come_before_the_assessment(life: Any) -> None:
    await life.group("intranet")
    await life.say(
        UpdateRetracted(
            update_id="jinja2-3.1.6-381efe",
            vendor="palletsprojects",
            component="pkg:pypi/jinja2",
            version="3.1.6",
            reason="broken wheel",
        )
    )
    id_ = await life.assess("3.1.6", {"a": "intranet"})
    assert life.state(id_) == "cancelled"


async def test_a_newer_update_takes_the_place_of_an_older_one_once_it_is_approved(life: Any) -> None:
    saturday = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2))
    await life.group("intranet", window=saturday)
    older = await life.roll_out("3.1.5", {"a": "intranet"})
    newer = await life.assess("3.1.6", {"a": "intranet"}, advisories=("CVE-1", "CVE-2"))
    assert life.state(older) == "scheduled"
    await life.test_passes(newer)
    assert life.state(older) == "cancelled"
    assert life.progress(older).superseded_by == newer
    assert life.state(newer) == "scheduled"


async def test_a_newer_update_that_is_paused_takes_no_place_before_it_goes_on(life: Any) -> None:
    saturday = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2))
    await life.group("intranet", window=saturday)
    older = await life.roll_out("3.1.5", {"a": "intranet"})
    newer = await life.assess("3.1.6", {"a": "intranet"}, advisories=("CVE-1", "CVE-2"))
    await life.ask("pause", newer)
    await life.test_passes(newer)
    assert life.state(older) == "scheduled"
    await life.ask("resume", newer)
    assert (life.state(newer), life.state(older)) == ("scheduled", "cancelled")


async def test_a_newer_update_that_would_come_later_to_a_group_takes_its_place_once_that_has_changed(
    life: Any,
) -> None:
    saturday = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2))
    await life.group("intranet", window=saturday)
    await life.group("shop", criticality="high", window=saturday, notice=timedelta(days=4))
    older = await life.roll_out("3.1.5", {"a": "intranet", "b": "shop"})
    await life.harness.advance(timedelta(days=3))
    newer = await life.roll_out("3.1.6", {"a": "intranet", "b": "shop"}, advisories=("CVE-1", "CVE-2"))
    starts = [wave.starts_at for id_ in (older, newer) for wave in life.progress(id_).waves]
    assert starts[1] < starts[3]
    assert life.state(older) == "scheduled"
    await life.group("shop", criticality="high", window=saturday, revision=2)
    assert life.progress(older).superseded_by == newer


async def test_what_is_left_of_an_older_update_gives_way_to_a_newer_one(life: Any) -> None:
    daily = RecurringWindow(rrule="FREQ=DAILY;BYHOUR=12", duration=timedelta(hours=2))
    await life.group("intranet", window=daily)
    await life.harness.advance(timedelta(minutes=115))
    older = await life.roll_out("3.1.5", {"a": "intranet", "b": "intranet"})
    wave = f"{older}.r1.w1"
    await life.back_up(wave)
    await life.harness.advance(timedelta(minutes=6))
    await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    await life.deploy(wave, late=1)
    await life.pass_checks(wave)
    await life.verify(wave)
    await life.harness.advance(timedelta(days=1))
    assert life.state(older) == "cancelled"
    assert f"{older}.r1.w2" not in life.due_waves()


async def test_an_update_that_fixes_less_leaves_the_older_one_standing(life: Any) -> None:
    saturday = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2))
    await life.group("intranet", window=saturday)
    older = await life.roll_out("3.1.5", {"a": "intranet"})
    await life.roll_out("3.1.6", {"a": "intranet"}, advisories=("CVE-2",))
    assert life.state(older) == "scheduled"


async def test_an_older_update_that_comes_later_gives_way_at_once(life: Any) -> None:
    saturday = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2))
    await life.group("intranet", window=saturday)
    newer = await life.roll_out("3.1.6", {"a": "intranet"}, advisories=("CVE-1", "CVE-2"))
    older = await life.roll_out("3.1.5", {"a": "intranet"})
    assert life.state(older) == "cancelled"
    assert life.progress(older).superseded_by == newer


async def test_due_soon_and_overdue_are_said_once(life: Any) -> None:
    from patchline_schemas.updates import UpdateDueSoon, UpdateOverdue

    await life.group("intranet", policies=TWO_OTHERS)
    due = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
    await life.roll_out("3.1.6", {"a": "intranet"}, due_at=due)
    await life.harness.advance(timedelta(days=7, hours=23))
    assert life.harness.published(UpdateDueSoon) == []
    await life.harness.advance(timedelta(hours=1))
    assert [event.held.rule for event in life.harness.published(UpdateDueSoon)] == ["approval"]
    await life.harness.advance(timedelta(days=1, hours=23))
    assert life.harness.published(UpdateOverdue) == []
    await life.harness.advance(timedelta(days=3))
    assert len(life.harness.published(UpdateOverdue)) == len(life.harness.published(UpdateDueSoon)) == 1
