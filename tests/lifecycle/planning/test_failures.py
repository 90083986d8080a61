"""What a failed step leads to, and what a failed rollback needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from patchline_schemas.updates import UpdateFailed
from patchline_schemas.waves import TargetResult, WaveDeployed, WaveRollbackRequested


async def two_waves(life: Any, **policies: Any) -> tuple[str, str, str]:
    await life.group("intranet", policies=policies)
    await life.group("shop", criticality="high", policies=policies)
    id_ = await life.roll_out("3.1.6", {"a": "intranet", "b": "intranet", "c": "shop"})
    first, second = (wave.id for wave in life.planned(id_).waves)
    return id_, first, second


async def test_no_backup_no_deployment(life: Any) -> None:
    id_, first, second = await two_waves(life)
    await life.fail_backup(first)
    assert life.state(id_) == "failed"
    assert life.waves(id_) == {first: "failed", second: "cancelled"}
    assert "no room" in life.progress(id_).error
    assert life.harness.published(WaveRollbackRequested) == []


async def test_a_failed_deployment_takes_back_what_was_changed(life: Any) -> None:
    id_, first, second = await two_waves(life)
    await life.back_up(first)
    await life.fail_deploy(first, {"a": "failed", "b": "not-started"})
    assert life.state(id_) == "rolling-back"
    asked = life.rollback(first)
    assert [target.target_id for target in asked.targets] == ["a"]
    assert [backup.target_id for backup in asked.backups] == ["a"]
    await life.roll_back(first)
    assert life.state(id_) == "failed"
    assert life.waves(id_) == {first: "rolled-back", second: "cancelled"}
    assert life.harness.published(UpdateFailed)[0].rolled_back_waves == (first,)
    assert "pip said no" in life.progress(id_).error


async def test_a_deployment_that_changed_nothing_needs_no_rollback(life: Any) -> None:
    id_, first, _ = await two_waves(life)
    await life.back_up(first)
    await life.fail_deploy(first, {"a": "unreachable", "b": "not-started"})
    assert life.state(id_) == "failed"
    assert life.harness.published(WaveRollbackRequested) == []


async def test_earlier_verified_waves_stay_unless_the_policy_says_otherwise(life: Any) -> None:
    id_, first, second = await two_waves(life)
    await life.carry(first)
    await life.back_up(second)
    await life.deploy(second)
    await life.fail_verification(second)
    await life.roll_back(second)
    assert life.state(id_) == "failed"
    assert life.waves(id_) == {first: "verified", second: "rolled-back"}


async def test_roll_back_all_takes_back_verified_waves_too(life: Any) -> None:
    id_, first, second = await two_waves(life, on_failure="roll-back-all")
    await life.carry(first)
    await life.back_up(second)
    await life.deploy(second)
    await life.fail_verification(second)
    await life.roll_back(second)
    assert life.state(id_) == "rolling-back"
    assert {target.target_id for target in life.rollback(first).targets} == {"a", "b"}
    await life.roll_back(first)
    assert life.state(id_) == "failed"
    assert life.harness.published(UpdateFailed)[0].rolled_back_waves == (first, second)


async def test_a_failure_in_the_soak_owns_the_targets_again(life: Any) -> None:
    id_, first, _ = await two_waves(life)
    await life.back_up(first)
    await life.deploy(first)
    await life.pass_checks(first)
    other = await life.roll_out("2.0.0", {"a": "intranet"}, component="pkg:pypi/other")
    blocking = life.planned(other).waves[0].id
    assert blocking in life.due_waves()
    await life.fail_verification(first, during_soak=True)
    assert life.state(id_) == "rolling-back"
    assert life.held(id_) == "target-owned"
    assert other in life.progress(id_).held.who
    assert life.harness.published(WaveRollbackRequested) == []
    await life.back_up(blocking)
    await life.deploy(blocking)
    await life.pass_checks(blocking)
    assert {target.target_id for target in life.rollback(first).targets} == {"a", "b"}
    await life.roll_back(first)
    assert life.state(id_) == "failed"


async def test_a_failed_rollback_needs_a_person_and_keeps_the_targets(life: Any) -> None:
    id_, first, _ = await two_waves(life)
    await life.back_up(first)
    await life.deploy(first)
    await life.fail_verification(first)
    other = await life.roll_out("2.0.0", {"a": "intranet"}, component="pkg:pypi/other")
    await life.fail_rollback(first)
    assert life.state(id_) == "needs-person"
    assert life.held(id_) == "needs-person"
    assert life.held(other) == "target-owned"
    assert "rollback of" in life.progress(other).held.who
    waiting = life.planned(other).waves[0].id
    assert waiting not in life.due_waves()
    assert "free again" in await life.ask("cancel", id_)
    assert life.state(id_) == "cancelled"
    assert waiting in life.due_waves()


async def test_a_retry_frees_the_targets_and_opens_the_next_round(life: Any) -> None:
    id_, first, _ = await two_waves(life)
    await life.back_up(first)
    await life.deploy(first)
    await life.fail_verification(first)
    await life.fail_rollback(first)
    assert "round 2" in await life.ask("retry", id_)
    assert len(life.harness.published(UpdateFailed)) == 1
    assert life.progress(id_).round == 2
    await life.test_passes(id_)
    again = f"{id_}.r2.w1"
    assert again in life.due_waves()
    await life.carry(again)
    await life.carry(f"{id_}.r2.w2")
    assert life.state(id_) == "completed"


async def test_each_step_has_a_limit(life: Any) -> None:
    id_, first, _ = await two_waves(life)
    await life.harness.advance(timedelta(minutes=30))
    assert life.state(id_) == "rolling-back"
    await life.roll_back(first)
    assert life.state(id_) == "failed"
    assert "timed out: the backup" in life.progress(id_).error


async def test_a_wave_whose_backup_misses_its_limit_is_taken_back_wherever_its_deployment_began(
    life: Any,
) -> None:
    id_, first, _ = await two_waves(life)
    await life.harness.advance(timedelta(minutes=30))
    asked = life.rollback(first)
    assert ({target.target_id for target in asked.targets}, asked.backups) == ({"a", "b"}, ())
    await life.back_up(first)
    await life.deploy(first)
    assert life.waves(id_)[first] == "rolling-back"
    await life.roll_back(first)
    assert (life.state(id_), life.waves(id_)[first]) == ("failed", "rolled-back")


async def test_a_deployment_that_misses_its_limit_is_rolled_back(life: Any) -> None:
    id_, first, _ = await two_waves(life)
    await life.back_up(first)
    await life.harness.advance(timedelta(hours=1))
    assert {target.target_id for target in life.rollback(first).targets} == {"a", "b"}
    await life.deploy(first)
    assert life.waves(id_)[first] in ("rolling-back", "failed")


async def test_a_rollback_that_misses_its_limit_needs_a_person(life: Any) -> None:
    id_, first, _ = await two_waves(life)
    await life.back_up(first)
    await life.fail_deploy(first, {"a": "timed-out", "b": "succeeded"})
    await life.harness.advance(timedelta(hours=2))
    assert life.state(id_) == "needs-person"


async def with_a_tolerated_failure(life: Any) -> tuple[str, str, str]:
    """``b`` failed in a verified first wave; its rollback is asked for."""
    id_, first, second = await two_waves(life, max_failures=1)
    await life.back_up(first)
    due = life.due(first)
    good, bad = life.results(due)
    broken = TargetResult(target_id=bad.target_id, outcome="failed", error="pip said no")
    await life.say(WaveDeployed(order=due.order, results=(good, broken)))
    await life.pass_checks(first)
    await life.verify(first)
    assert [target.target_id for target in life.rollback(first).targets] == ["b"]
    assert life.due_waves() == [first]
    return id_, first, second


async def test_a_tolerated_failure_is_taken_back_and_the_rollout_goes_on(life: Any) -> None:
    id_, first, second = await with_a_tolerated_failure(life)
    await life.roll_back(first)
    assert life.due_waves() == [first, second]
    await life.carry(second)
    assert life.waves(id_) == {first: "verified", second: "verified"}
    assert life.state(id_) == "failed"
    assert "1 target failed" in life.progress(id_).error
    assert "pip said no" in life.progress(id_).error
    await life.ask("retry", id_)
    assert [wave.targets_total for wave in life.planned(id_).waves] == [1]


async def test_a_tolerated_failure_that_cannot_be_taken_back_needs_a_person(life: Any) -> None:
    id_, first, second = await with_a_tolerated_failure(life)
    await life.fail_rollback(first)
    assert life.state(id_) == "needs-person"
    assert second not in life.due_waves()


async def test_answers_out_of_order_wait_for_the_one_before(life: Any) -> None:
    id_, first, second = await two_waves(life)
    await life.deploy(first)
    await life.pass_checks(first)
    assert life.waves(id_)[first] == "backing-up"
    assert len(await life.harness.parked()) == 2
    await life.back_up(first)
    assert life.waves(id_)[first] == "soaking"
    await life.verify(first)
    assert second in life.due_waves()


async def test_planning_goes_on_where_a_crash_left_it(life: Any) -> None:
    id_, first, second = await two_waves(life)
    await life.harness.restart()
    await life.harness.settle()
    await life.back_up(first)
    await life.deploy(first)
    await life.harness.restart()
    await life.pass_checks(first)
    await life.verify(first)
    await life.harness.restart()
    await life.carry(second)
    assert life.state(id_) == "completed"
