"""An update from assessed to completed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from patchline_schemas.fleet import RecurringWindow
from patchline_schemas.updates import UpdateApproved, UpdateCompleted, UpdateNotApplicable
from patchline_schemas.waves import WaveCancelled, WavePlanned


async def test_waves_run_one_after_another_by_criticality(life: Any) -> None:
    await life.group("shop", criticality="high")
    await life.group("intranet", criticality="low")
    id_ = await life.assess("3.1.6", {"till": "shop", "wiki": "intranet", "blog": "intranet"})
    plan = life.planned(id_)
    assert [(wave.group, wave.targets_total) for wave in plan.waves] == [("intranet", 2), ("shop", 1)]
    assert life.state(id_) == "testing"
    await life.test_passes(id_)
    assert life.harness.published(UpdateApproved)[0].automatic
    first, second = (wave.id for wave in plan.waves)
    assert life.due_waves() == [first]
    assert life.waves(id_) == {first: "backing-up", second: "planned"}
    await life.back_up(first)
    await life.deploy(first)
    await life.pass_checks(first)
    assert life.waves(id_)[first] == "soaking"
    assert life.held(id_) == "soak"
    assert life.due_waves() == [first]
    await life.verify(first)
    assert life.due_waves() == [first, second]
    await life.carry(second)
    assert life.states(id_) == ["testing", "scheduled", "rolling-out", "completed"]
    assert len(life.harness.published(UpdateCompleted)) == 1
    assert life.progress(id_).held is None


async def test_no_passed_test_no_first_wave(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.assess("3.1.6", {"wiki": "intranet"})
    await life.test_fails(id_, "ImportError: cannot import name 'soft_unicode'")
    assert life.state(id_) == "failed"
    assert life.progress(id_).error == "ImportError: cannot import name 'soft_unicode'"
    assert life.due_waves() == []
    assert set(life.waves(id_).values()) == {"cancelled"}


async def test_a_test_that_never_answers_fails_the_update(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.assess("3.1.6", {"wiki": "intranet"})
    await life.harness.advance(timedelta(hours=2))
    assert life.state(id_) == "failed"
    assert "timed out" in life.progress(id_).error


async def test_no_target_needs_it(life: Any) -> None:
    id_ = await life.assess("3.1.6", {})
    assert life.state(id_) == "not-applicable"
    assert len(life.harness.published(UpdateNotApplicable)) == 1


async def test_unknown_is_never_not_applicable(life: Any) -> None:
    id_ = await life.assess("3.1.6", {}, unknown=["lost"])
    assert life.state(id_) == "assessed"
    assert life.held(id_) == "inventory-unknown"
    await life.assess("3.1.6", {}, revision=2)
    assert life.state(id_) == "not-applicable"


async def test_an_update_waits_for_a_group_that_is_not_registered_yet(life: Any) -> None:
    id_ = await life.assess("3.1.6", {"wiki": "intranet"}, settle=False)
    await life.group("intranet")
    await life.harness.advance(timedelta(seconds=5))
    assert life.state(id_) == "testing"


async def test_pages_are_planned_once_all_are_in(life: Any) -> None:
    await life.group("intranet")
    pages = {"pages": 2, "affected_total": 2}
    id_ = await life.assess("3.1.6", {"b": "intranet"}, page=2, **pages)
    assert await life.plan(id_) and (await life.plan(id_)).state == "assessed"
    await life.assess("3.1.6", {"a": "intranet"}, page=1, **pages)
    assert life.planned(id_).waves[0].targets_total == 2


async def test_a_large_group_gets_waves_of_the_size_its_policy_sets(life: Any) -> None:
    await life.group("intranet", policies={"wave_size": 2})
    id_ = await life.assess("3.1.6", {f"t{n:03}": "intranet" for n in range(101)})
    plan = life.planned(id_)
    assert [wave.targets_total for wave in plan.waves] == [2] * 50 + [1]
    announced = life.harness.published(WavePlanned)
    assert len({event.order.wave_id for event in announced}) == 51
    assert len({target.target_id for event in announced for target in event.targets}) == 101


async def test_a_wave_without_time_for_any_target_is_cancelled_and_followed_up(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    first, second = f"{id_}.r1.w1", f"{id_}.r1.w2"
    await life.back_up(first)
    await life.deploy(first, late=2)
    assert life.waves(id_) == {first: "cancelled", second: "backing-up"}
    assert "window ended" in life.of_wave(WaveCancelled, first)[0].reason
    await life.carry(second)
    assert life.state(id_) == "completed"


async def test_a_target_with_another_version_than_planned_is_planned_anew_from_the_next_assessment(
    life: Any,
) -> None:
    await life.group("intranet")
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    first, second = f"{id_}.r1.w1", f"{id_}.r2.w1"
    await life.back_up(first)
    await life.deploy(first, outdated=["b"])
    await life.pass_checks(first)
    await life.verify(first)
    assert life.state(id_) == "completed"
    assert life.harness.published(UpdateCompleted)[0].unknown_total == 1
    await life.assess("3.1.6", {"b": "intranet"}, revision=2, from_version="3.1.5")
    assert (life.state(id_), life.progress(id_).round) == ("testing", 2)
    await life.test_passes(id_)
    assert [(each.target_id, each.from_version) for each in life.due(second).targets] == [("b", "3.1.5")]
    await life.carry(second)
    assert life.state(id_) == "completed"
    assert [event.unknown_total for event in life.harness.published(UpdateCompleted)] == [1, 0]


async def test_a_wave_of_which_no_target_is_as_planned_waits_for_the_next_assessment(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    first, second = f"{id_}.r1.w1", f"{id_}.r1.w2"
    await life.back_up(first)
    await life.deploy(first, outdated=["a"])
    held = life.progress(id_).held
    assert (life.state(id_), held.rule) == ("assessed", "inventory-unknown")
    assert "has changed since it was planned" in held.who
    await life.assess("3.1.6", {"a": "intranet"}, revision=2, from_version="3.1.5")
    await life.test_passes(id_)
    await life.carry(second)
    assert (life.state(id_), life.progress(id_).round) == ("completed", 1)


async def test_an_assessment_that_came_meanwhile_counts_for_a_target_that_was_left_out(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    first, second = f"{id_}.r1.w1", f"{id_}.r1.w2"
    await life.back_up(first)
    await life.assess("3.1.6", {"a": "intranet"}, revision=2, from_version="3.1.5")
    await life.deploy(first, outdated=["a"])
    assert life.waves(id_)[first] == "cancelled"
    assert life.state(id_) == "testing"
    await life.test_passes(id_)
    await life.carry(second)
    assert life.state(id_) == "completed"


async def of_which_no_target_is_as_planned(life: Any) -> str:
    """An update whose only wave has ended without touching its only target, ``a``."""
    await life.group("intranet")
    id_: str = await life.roll_out("3.1.6", {"a": "intranet"})
    await life.back_up(f"{id_}.r1.w1")
    await life.deploy(f"{id_}.r1.w1", outdated=["a"])
    return id_


async def test_a_round_whose_targets_have_all_left_the_fleet_ends(life: Any) -> None:
    id_ = await of_which_no_target_is_as_planned(life)
    await life.assess("3.1.6", {}, revision=2)
    assert life.state(id_) == "not-applicable"


async def test_a_target_that_is_as_it_was_after_all_is_planned_again_in_time(life: Any) -> None:
    id_ = await of_which_no_target_is_as_planned(life)
    assert life.state(id_) == "assessed"
    await life.harness.advance(timedelta(minutes=15))
    assert life.state(id_) == "testing"
    await life.test_passes(id_)
    await life.back_up(f"{id_}.r1.w2")
    await life.deploy(f"{id_}.r1.w2", outdated=["a"])
    assert life.state(id_) == "failed"
    assert "not as the inventory says" in life.progress(id_).error


async def test_a_newer_assessment_that_is_half_in_is_waited_for(life: Any) -> None:
    id_ = await of_which_no_target_is_as_planned(life)
    await life.assess("3.1.6", {"a": "intranet"}, revision=2, page=1, pages=2)
    await life.harness.advance(timedelta(minutes=16))
    assert life.state(id_) == "assessed"
    await life.assess("3.1.6", {"b": "intranet"}, revision=2, page=2, pages=2)
    assert life.planned(id_).waves[0].targets_total == 2


async def test_a_round_of_which_only_unknown_targets_are_left_waits_for_them(life: Any) -> None:
    daily = RecurringWindow(rrule="FREQ=DAILY;BYHOUR=12", duration=timedelta(hours=2))
    await life.group("intranet", window=daily)
    await life.harness.advance(timedelta(minutes=115))
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    await life.back_up(f"{id_}.r1.w1")
    await life.harness.advance(timedelta(minutes=6))
    await life.deploy(f"{id_}.r1.w1", late=1)
    await life.assess("3.1.6", {}, revision=2, unknown=["b"])
    assert (life.state(id_), life.held(id_)) == ("assessed", "inventory-unknown")


async def test_a_follow_up_wave_takes_only_what_still_belongs_there(life: Any) -> None:
    saturday = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2))
    await life.group("intranet")
    await life.group("shop", criticality="high", window=saturday)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet", "c": "intranet", "d": "intranet"})
    first = f"{id_}.r1.w1"
    await life.back_up(first)
    await life.assess("3.1.6", {"a": "intranet", "b": "shop", "d": "intranet"}, revision=2)
    await life.deploy(first, late=3)
    await life.pass_checks(first)
    await life.verify(first)
    assert [target.target_id for target in life.due(f"{id_}.r1.w2").targets] == ["d"]
    await life.carry(f"{id_}.r1.w2")
    assert [(wave.group, wave.targets_total) for wave in life.planned(id_).waves] == [("shop", 1)]


async def test_what_the_window_leaves_out_gets_a_follow_up_wave(life: Any) -> None:
    await life.group("intranet")
    await life.group("shop", criticality="high")
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet", "c": "shop"})
    first, last = (wave.id for wave in life.planned(id_).waves)
    await life.back_up(first)
    await life.deploy(first, late=1)
    follow_up = f"{id_}.r1.w3"
    assert list(life.waves(id_)) == [first, follow_up, last]
    await life.pass_checks(first)
    await life.verify(first)
    assert life.due_waves() == [first, follow_up]
    assert [target.target_id for target in life.due(follow_up).targets] == ["b"]
    await life.carry(follow_up)
    await life.carry(last)
    assert life.state(id_) == "completed"
