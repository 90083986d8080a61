"""What a newer assessment changes: before the rollout, while it runs, and after its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from patchline_schemas.fleet import RecurringWindow
from patchline_schemas.updates import UpdateCompleted, UpdatePlanned
from patchline_schemas.waves import WaveCancelled, WavePlanned

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SATURDAY = RecurringWindow(rrule="FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", duration=timedelta(hours=2))
BY_A_PERSON = {"approval": {"minimum_approvers": 1}}
RETRIED = timedelta(seconds=5)
"""By then what was early has been tried again."""


async def test_more_targets_make_a_new_revision_that_is_tested_and_approved_again(life: Any) -> None:
    await life.group("intranet", window=SATURDAY, policies=BY_A_PERSON)
    id_ = await life.roll_out("3.1.6", {"b": "intranet", "d": "intranet"})
    await life.ask("approve", id_)
    assert life.state(id_) == "scheduled"
    await life.assess(
        "3.1.6", {"a": "intranet", "b": "intranet", "c": "intranet", "d": "intranet"}, revision=2
    )
    plan = life.planned(id_)
    assert (plan.revision, plan.round, life.state(id_)) == (2, 1, "testing")
    assert [wave.targets_total for wave in plan.waves] == [2, 2]
    added = life.of_wave(WavePlanned, plan.waves[1].id)[-1]
    assert [target.target_id for target in added.targets] == ["a", "c"]
    await life.test_passes(id_)
    assert life.state(id_) == "awaiting-approval"
    assert await life.ask("approve", id_, plan_revision=1) == "refused: approval.plan-revision"
    await life.ask("approve", id_, plan_revision=2)
    assert life.state(id_) == "scheduled"


async def test_fewer_targets_need_no_new_approval(life: Any) -> None:
    await life.group("intranet", window=SATURDAY, policies=BY_A_PERSON)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    await life.ask("approve", id_)
    await life.assess("3.1.6", {"a": "intranet"}, revision=2)
    assert life.state(id_) == "scheduled"
    assert len(life.harness.published(UpdatePlanned)) == 1
    (wave,) = life.waves(id_)
    assert [target.target_id for target in life.of_wave(WavePlanned, wave)[-1].targets] == ["a"]


async def test_a_target_that_comes_from_another_version_is_tested_again_but_not_approved_again(
    life: Any,
) -> None:
    await life.group("intranet", window=SATURDAY, policies=BY_A_PERSON)
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    await life.ask("approve", id_)
    await life.assess("3.1.6", {"a": "intranet"}, revision=2, from_version="3.1.4")
    assert (life.state(id_), life.planned(id_).revision) == ("testing", 2)
    await life.test_passes(id_)
    assert life.state(id_) == "scheduled"
    (wave,) = life.waves(id_)
    assert life.of_wave(WavePlanned, wave)[-1].targets[0].from_version == "3.1.4"


async def test_a_target_that_moves_to_another_group_is_patched_as_that_group_wants(life: Any) -> None:
    await life.group("intranet", window=SATURDAY)
    await life.group("shop", criticality="high", window=SATURDAY, policies=BY_A_PERSON)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    assert life.state(id_) == "scheduled"
    await life.assess("3.1.6", {"a": "intranet", "b": "shop"}, revision=2)
    plan = life.planned(id_)
    assert [(wave.group, wave.targets_total) for wave in plan.waves] == [("intranet", 1), ("shop", 1)]
    await life.test_passes(id_)
    assert life.state(id_) == "awaiting-approval"


async def waiting_for_a_target(life: Any) -> tuple[str, str, str]:
    """An update whose first wave waits for ``a``, that wave, and the wave that owns the target."""
    await life.group("intranet")
    owner = await life.roll_out("2.0.0", {"a": "intranet"}, component="pkg:pypi/other")
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    return id_, life.planned(id_).waves[0].id, life.planned(owner).waves[0].id


async def test_a_wave_that_waits_for_its_targets_leaves_out_what_needs_it_no_more(life: Any) -> None:
    id_, waiting, owning = await waiting_for_a_target(life)
    await life.assess("3.1.6", {"a": "intranet"}, revision=2)
    await life.carry(owning)
    assert [target.target_id for target in life.due(waiting).targets] == ["a"]
    await life.carry(waiting)
    assert (life.state(id_), life.progress(id_).round) == ("completed", 1)


async def test_a_wave_that_waits_for_its_targets_is_tested_from_the_version_they_have_by_then(
    life: Any,
) -> None:
    id_, waiting, owning = await waiting_for_a_target(life)
    await life.assess("3.1.6", {"a": "intranet", "b": "intranet"}, revision=2, from_version="3.1.5")
    assert (life.state(id_), life.planned(id_).revision) == ("testing", 2)
    await life.carry(owning)
    assert waiting not in life.due_waves()
    await life.test_passes(id_)
    due = life.due(waiting)
    assert ({target.from_version for target in due.targets}, due.order.revision) == ({"3.1.5"}, 2)


async def test_a_later_wave_that_waits_for_its_targets_follows_the_newest_assessment(life: Any) -> None:
    await life.group("intranet")
    await life.group("shop", criticality="high")
    owner = await life.roll_out("2.0.0", {"b": "shop"}, component="pkg:pypi/other")
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "shop", "c": "shop"})
    first, second = (wave.id for wave in life.planned(id_).waves)
    await life.carry(first)
    assert life.waves(id_)[second] == "due"
    await life.assess("3.1.6", {"b": "shop"}, revision=2, from_version="3.1.5")
    await life.carry(life.planned(owner).waves[0].id)
    assert [(each.target_id, each.from_version) for each in life.due(second).targets] == [("b", "3.1.5")]


async def test_an_update_that_is_cancelled_while_its_wave_is_called_back_is_not_planned_anew(
    life: Any,
) -> None:
    id_, waiting, _ = await waiting_for_a_target(life)
    plans = len(life.harness.published(UpdatePlanned))
    await life.assess(
        "3.1.6", {"a": "intranet", "b": "intranet"}, revision=2, from_version="3.1.5", settle=False
    )
    await life.ask("cancel", id_)
    assert (life.state(id_), life.waves(id_)[waiting]) == ("cancelled", "cancelled")
    assert len(life.harness.published(UpdatePlanned)) == plans


async def test_a_target_that_comes_back_while_it_is_being_dropped_is_not_lost(life: Any) -> None:
    await life.group("intranet", window=SATURDAY)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    await life.assess("3.1.6", {"a": "intranet"}, revision=2, settle=False)
    await life.assess("3.1.6", {"a": "intranet", "b": "intranet"}, revision=3, settle=False)
    await life.harness.advance(RETRIED)
    plan = await life.plan(id_)
    assert plan.head.revision == 3
    assert {target for wave in plan.waves for target in (await life.wave(wave.id)).ids()} == {"a", "b"}


async def test_what_is_trimmed_from_a_waiting_wave_shows_at_once(life: Any) -> None:
    id_, waiting, _ = await waiting_for_a_target(life)
    await life.ask("pause", id_)
    await life.assess("3.1.6", {"b": "intranet"}, revision=2)
    (wave,) = life.progress(id_).waves
    assert (wave.targets_total, (await life.wave(waiting)).ids()) == (1, ("b",))


async def test_an_assessment_that_changes_nothing_leaves_a_waiting_wave_in_its_queue(life: Any) -> None:
    id_, waiting, _ = await waiting_for_a_target(life)
    await life.assess("3.1.6", {"a": "intranet", "b": "intranet"}, revision=2)
    assert life.waves(id_) == {waiting: "due"}
    assert (await life.wave(waiting)).attempt == 1


async def test_an_update_that_nobody_needs_any_more_is_not_applicable(life: Any) -> None:
    await life.group("intranet", window=SATURDAY)
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    await life.assess("3.1.6", {}, revision=2)
    assert life.state(id_) == "not-applicable"
    assert len(life.harness.published(WaveCancelled)) == 1


async def test_an_older_assessment_changes_nothing(life: Any) -> None:
    await life.group("intranet", window=SATURDAY)
    id_ = await life.assess("3.1.6", {"a": "intranet"}, revision=5)
    await life.assess("3.1.6", {}, revision=4)
    assert life.state(id_) == "testing"


async def test_what_a_wave_has_done_is_no_change_for_the_rollout(life: Any) -> None:
    await life.group("intranet")
    await life.group("shop", criticality="high")
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "shop", "c": "shop"})
    first, second = (wave.id for wave in life.planned(id_).waves)
    await life.back_up(first)
    await life.deploy(first)
    await life.assess("3.1.6", {"b": "shop"}, revision=2)
    await life.pass_checks(first)
    await life.verify(first)
    assert [target.target_id for target in life.due(second).targets] == ["b"]
    await life.carry(second)
    assert life.state(id_) == "completed"
    assert life.progress(id_).round == 1


async def test_a_target_found_while_waves_run_opens_the_next_round_at_their_end(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    (first,) = life.waves(id_)
    await life.assess("3.1.6", {"a": "intranet", "new": "intranet"}, revision=2)
    await life.carry(first)
    assert "completed" in life.states(id_)
    assert (life.state(id_), life.progress(id_).round) == ("testing", 2)
    await life.test_passes(id_)
    again = f"{id_}.r2.w1"
    assert [target.target_id for target in life.due(again).targets] == ["new"]
    await life.carry(again)
    assert life.state(id_) == "completed"


async def test_an_inventory_from_before_the_rollout_opens_no_round(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    before = life.now
    await life.carry(f"{id_}.r1.w1")
    await life.assess("3.1.6", {"a": "intranet"}, revision=2, collected_at=before)
    assert (life.state(id_), life.progress(id_).round) == ("completed", 1)
    await life.assess("3.1.6", {}, revision=3)
    assert (life.state(id_), life.progress(id_).round) == ("completed", 1)


async def test_a_target_that_needs_it_again_opens_the_next_round(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    await life.carry(f"{id_}.r1.w1")
    await life.assess("3.1.6", {}, revision=2)
    await life.assess("3.1.6", {"a": "intranet"}, revision=3)
    assert (life.state(id_), life.progress(id_).round) == ("testing", 2)


async def test_a_target_that_fell_back_before_any_inventory_saw_it_done_opens_the_next_round(
    life: Any,
) -> None:
    await life.group("intranet", policies={"wave_size": 2})
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet"})
    before = life.now
    await life.harness.advance(timedelta(seconds=1))
    await life.carry(f"{id_}.r1.w1")
    await life.harness.advance(timedelta(seconds=1))
    await life.assess("3.1.6", {"a": "intranet", "b": "intranet"}, revision=2, collected_at=before)
    assert (life.state(id_), life.progress(id_).round) == ("completed", 1)
    await life.assess("3.1.6", {"a": "intranet"}, revision=3)
    assert (life.state(id_), life.progress(id_).round) == ("testing", 2)
    assert [wave.targets_total for wave in life.planned(id_).waves] == [1]


async def test_a_failed_update_waits_for_a_person(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.assess("3.1.6", {"a": "intranet"})
    await life.test_fails(id_, "broken")
    await life.assess("3.1.6", {"a": "intranet", "b": "intranet"}, revision=2)
    assert life.state(id_) == "failed"
    await life.ask("retry", id_)
    assert (life.state(id_), life.progress(id_).round, life.progress(id_).error) == ("testing", 2, None)
    assert life.planned(id_).waves[0].targets_total == 2


async def test_not_applicable_opens_a_round_when_a_target_needs_it(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.assess("3.1.6", {})
    await life.assess("3.1.6", {"a": "intranet"}, revision=2)
    assert (life.state(id_), life.progress(id_).round) == ("testing", 2)


async def test_a_target_that_cannot_be_asked_keeps_its_place_in_the_plan(life: Any) -> None:
    await life.group("intranet", window=SATURDAY)
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    await life.assess("3.1.6", {}, unknown=["a"], revision=2)
    assert life.state(id_) == "scheduled"
    assert list(life.waves(id_).values()) == ["planned"]


async def test_a_newer_assessment_while_waves_are_still_being_opened(life: Any) -> None:
    await life.group("intranet", policies={"wave_size": 1})
    many = {f"t{n:03}": "intranet" for n in range(70)}
    await life.assess("3.1.6", many, settle=False)
    fewer = {id_: group for id_, group in many.items() if id_ < "t050"} | {"zz": "intranet"}
    id_ = await life.assess("3.1.6", fewer, revision=2)
    await life.harness.advance(RETRIED)
    open_waves = [wave for wave, state in life.waves(id_).items() if state == "planned"]
    planned = {life.of_wave(WavePlanned, wave)[-1].targets[0].target_id for wave in open_waves}
    assert planned == set(fewer)
    assert len(open_waves) == 51
    assert life.state(id_) == "testing"


async def test_the_same_events_told_twice_change_nothing(life: Any) -> None:
    await life.group("intranet")
    id_ = await life.roll_out("3.1.6", {"a": "intranet"})
    before = await life.plan(id_)
    await life.assess("3.1.6", {"a": "intranet"})
    await life.test_passes(id_)
    after = await life.plan(id_)
    assert (after.sequence, after.state) == (before.sequence, before.state)


async def test_what_is_done_takes_neither_urgency_nor_due_date_from_the_round(life: Any) -> None:
    due = START + timedelta(days=10)
    await life.group("intranet")
    id_ = await life.roll_out("3.1.6", {"a": "intranet"}, due_at=due)
    await life.back_up(f"{id_}.r1.w1")
    await life.assess("3.1.6", {}, revision=2)
    await life.deploy(f"{id_}.r1.w1")
    await life.pass_checks(f"{id_}.r1.w1")
    await life.verify(f"{id_}.r1.w1")
    await life.assess("3.1.6", {}, revision=3)
    progress = life.progress(id_)
    assert (progress.state, progress.urgency, progress.due_at) == ("completed", "out-of-cycle", due)
    assert life.harness.published(UpdateCompleted)[0].due_at == due
