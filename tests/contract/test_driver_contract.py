"""What every driver promises, asked of each: real virtual environments and the simulated fleet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from driver_worlds import IDNA, LIMIT, NEW, OLD, SIX, World, broken_rules, build_environment, make_world

from patchline_fleet.driver import Applied, DriverError, Fenced, TimedOut, TooLate, Unreachable
from patchline_schemas.fleet import Target


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    return build_environment(folder / ".venv", [f"idna=={OLD[IDNA]}", f"six=={OLD[SIX]}"])


@pytest.fixture(params=["venv", "sim"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, base: Path) -> AsyncIterator[World]:
    world = make_world(request.param, tmp_path / "world", base)
    yield world
    closing = getattr(world.driver, "close", None)
    if closing:
        closing()


async def apply(
    world: World,
    target: Target,
    component: str = IDNA,
    version: str | None = None,
    *,
    fence: int = 1,
    scope: str = "",
    restart: bool = False,
    timeout: timedelta = LIMIT,
    begin_within: timedelta | None = None,
) -> Applied:
    return await world.driver.apply(
        target,
        component,
        version or NEW[component],
        restart=restart,
        fence=fence,
        timeout=timeout,
        scope=scope,
        begin_within=begin_within,
    )


async def roll_back(world: World, target: Target, backup: Path, component: str = IDNA) -> Applied:
    return await world.driver.rollback(
        target, backup, component, NEW[component], restart=False, fence=1, timeout=LIMIT
    )


async def versions(world: World, target: Target) -> dict[str, str]:
    found = await world.driver.inventory(target, timeout=LIMIT)
    return {each.component: each.version for each in found.packages}


async def test_an_inventory_names_every_package_with_its_version(world: World) -> None:
    target = world.target()
    inventory = await world.driver.inventory(target, timeout=LIMIT)
    assert {each.component: each.version for each in inventory.packages} == OLD
    assert inventory.runtime
    assert inventory.version_of(IDNA) == OLD[IDNA]
    assert inventory.version_of("pkg:pypi/absent") is None


async def test_targets_that_are_alike_have_the_same_environment_until_one_changes(world: World) -> None:
    one, other = world.target(), world.target()
    first = await world.driver.inventory(one, timeout=LIMIT)
    assert (await world.driver.inventory(other, timeout=LIMIT)).environment == first.environment
    await apply(world, one)
    assert (await world.driver.inventory(one, timeout=LIMIT)).environment != first.environment


async def test_an_apply_brings_the_version_into_effect_and_says_what_changed(world: World) -> None:
    target = world.target()
    await world.driver.precheck(target, IDNA, NEW[IDNA], timeout=LIMIT)
    applied = await apply(world, target, restart=True)
    assert (applied.before, applied.after) == (OLD[IDNA], NEW[IDNA])
    assert [(each.component, each.before, each.after) for each in applied.changes] == [
        (IDNA, OLD[IDNA], NEW[IDNA])
    ]
    assert (applied.restarted, applied.already) == (True, False)
    assert await versions(world, target) == {**OLD, IDNA: NEW[IDNA]}


async def test_an_apply_of_what_is_in_effect_touches_nothing(world: World) -> None:
    target = world.target()
    await apply(world, target)
    before = world.log(target)
    again = await apply(world, target, fence=2, restart=True)
    assert (again.already, again.changes, again.after) == (True, (), NEW[IDNA])
    assert world.log(target) == before


async def test_a_version_that_does_not_exist_is_told_and_changes_nothing(
    world: World,
) -> None:
    target = world.target()
    with pytest.raises(DriverError, match="idna==99"):
        await apply(world, target, version="99")
    assert await versions(world, target) == OLD
    assert (await apply(world, target)).after == NEW[IDNA]
    assert broken_rules(world.log(target)) == []


async def test_nothing_is_begun_after_its_time(world: World) -> None:
    target = world.target()
    with pytest.raises(TooLate):
        await apply(world, target, begin_within=timedelta(0))
    assert await versions(world, target) == OLD
    assert world.log(target) == []
    assert (await apply(world, target, begin_within=LIMIT)).after == NEW[IDNA]
    assert (await apply(world, target, begin_within=timedelta(0))).already


async def test_what_was_cut_off_is_carried_on_after_its_time_and_nothing_else(world: World) -> None:
    target = world.target()
    with pytest.raises(TimedOut):
        await apply(world, world.hanging(target), timeout=timedelta(seconds=2), restart=True)
    with pytest.raises(TooLate):
        await apply(world, target, SIX, fence=2, begin_within=timedelta(0))
    assert (await apply(world, target, fence=2, begin_within=timedelta(0))).after == NEW[IDNA]
    assert broken_rules(world.log(target)) == []


async def test_a_worker_that_was_overtaken_is_refused(world: World) -> None:
    target = world.target()
    await apply(world, target, SIX, fence=3, scope="run")
    with pytest.raises(Fenced, match="newer worker"):
        await apply(world, target, IDNA, fence=2, scope="run")
    assert await versions(world, target) == {**OLD, SIX: NEW[SIX]}
    await apply(world, target, IDNA, fence=1, scope="another run")


async def test_of_two_workers_on_one_update_only_one_changes_the_target(world: World) -> None:
    target = world.target()
    ended = await asyncio.gather(
        apply(world, target, fence=1, scope="run"),
        apply(world, target, fence=2, scope="run"),
        return_exceptions=True,
    )
    assert await versions(world, target) == {**OLD, IDNA: NEW[IDNA]}
    assert broken_rules(world.log(target)) == []
    assert all(isinstance(each, Applied | Fenced) for each in ended), ended


async def test_a_backup_comes_back_whole_in_a_scratch_place(world: World, tmp_path: Path) -> None:
    target = world.target()
    backed_up = await world.driver.backup(target, tmp_path / "backup", timeout=LIMIT)
    assert backed_up.packages_total == len(OLD)
    differences = await world.driver.restore_to_scratch(
        target, tmp_path / "backup", tmp_path / "scratch", timeout=LIMIT
    )
    assert list(differences) == []


async def test_a_folder_that_is_no_backup_is_refused(world: World, tmp_path: Path) -> None:
    target = world.target()
    with pytest.raises(DriverError, match="is no backup"):
        await roll_back(world, target, tmp_path)
    assert await versions(world, target) == OLD


async def test_a_rollback_puts_the_backups_versions_back_and_may_be_asked_again(
    world: World, tmp_path: Path
) -> None:
    target = world.target()
    await world.driver.backup(target, tmp_path / "backup", timeout=LIMIT)
    await apply(world, target)
    rolled_back = await roll_back(world, target, tmp_path / "backup")
    assert (rolled_back.before, rolled_back.after) == (NEW[IDNA], OLD[IDNA])
    assert await versions(world, target) == OLD
    assert (await roll_back(world, target, tmp_path / "backup")).already
    assert (await apply(world, target, fence=2)).after == NEW[IDNA], "the next round may try again"
    assert broken_rules(world.log(target)) == []


async def test_a_rollback_leaves_what_a_later_update_changed_and_says_so(
    world: World, tmp_path: Path
) -> None:
    target = world.target()
    await world.driver.backup(target, tmp_path / "backup", timeout=LIMIT)
    await apply(world, target, IDNA)
    await apply(world, target, SIX)
    rolled_back = await roll_back(world, target, tmp_path / "backup", IDNA)
    assert await versions(world, target) == {IDNA: OLD[IDNA], SIX: NEW[SIX]}
    assert any("only what this update changed was reverted" in note for note in rolled_back.notes)


async def test_an_apply_that_takes_too_long_is_stopped_and_can_be_done_again(world: World) -> None:
    target = world.target()
    hanging = world.hanging(target)
    with pytest.raises(TimedOut, match="did not end within"):
        await apply(world, hanging, restart=True, timeout=timedelta(seconds=5))
    assert (await apply(world, target, fence=2)).after == NEW[IDNA]
    assert [line.event for line in world.log(target)] == ["begin", "interrupted", "begin", "end"]
    assert broken_rules(world.log(target)) == []


async def test_a_cancelled_apply_can_be_done_again(world: World) -> None:
    target = world.target()
    task = asyncio.create_task(apply(world, world.hanging(target), restart=True))
    async with asyncio.timeout(30):
        while not world.log(target):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await apply(world, target, fence=2)).after == NEW[IDNA]
    assert broken_rules(world.log(target)) == []


async def test_a_failing_check_is_a_result(world: World) -> None:
    target = world.failing(world.target())
    failed = await world.driver.check(target, world.check(passing=False), timeout=LIMIT)
    assert not failed.passed
    assert failed.output


async def test_a_passing_check_is_one_too(world: World) -> None:
    assert (await world.driver.check(world.target(), world.check(passing=True), timeout=LIMIT)).passed


async def test_a_target_that_is_not_there_is_unreachable(world: World) -> None:
    target = world.gone(world.target())
    with pytest.raises(Unreachable):
        await world.driver.inventory(target, timeout=LIMIT)
    with pytest.raises(Unreachable):
        await world.driver.precheck(target, IDNA, NEW[IDNA], timeout=LIMIT)


async def test_a_rehearsal_tries_the_update_in_a_copy_only(world: World, tmp_path: Path) -> None:
    target = world.target().model_copy(update={"checks": (world.check(passing=True),)})
    rehearsal = await world.driver.rehearse(target, IDNA, NEW[IDNA], tmp_path / "copy", timeout=LIMIT)
    names = ["dependency consistency", "imports"]
    assert [stage.name for stage in rehearsal.before][:2] == names
    assert [stage.name for stage in rehearsal.after] == [stage.name for stage in rehearsal.before]
    assert all(stage.passed for stage in (*rehearsal.before, rehearsal.apply, *rehearsal.after))
    assert await versions(world, target) == OLD
    assert world.log(target) == []


async def test_a_rehearsal_of_what_does_not_exist_fails_at_the_apply(world: World, tmp_path: Path) -> None:
    rehearsal = await world.driver.rehearse(world.target(), IDNA, "99", tmp_path / "copy", timeout=LIMIT)
    assert not rehearsal.apply.passed
    assert "idna==99" in rehearsal.apply.output
    assert rehearsal.after == ()
