"""Waves over a simulated fleet, from planned to verified or rolled back."""

from datetime import timedelta

from wave_doubles import JINJA, NEW, OLD, SELFCHECK, order, wave_targets

from patchline_fleet.drivers import Drivers
from patchline_schemas.updates import UpdateTested, UpdateTestFailed
from patchline_schemas.waves import (
    WaveBackedUp,
    WaveBackupFailed,
    WaveChecksPassed,
    WaveDeployed,
    WaveDeployFailed,
    WaveDue,
    WaveRollbackVerified,
    WaveRolledBack,
    WaveVerificationFailed,
    WaveVerified,
)

SOAK = timedelta(seconds=30)


async def version(target):
    inventory = await Drivers.installed().for_target(target).inventory(target, timeout=SOAK)
    return inventory.version_of(JINJA)


async def test_a_wave_of_many_targets_goes_from_tested_to_verified(waves, sim):
    targets = [sim(f"t{number:02}") for number in range(30)]
    ids = [target.id for target in targets]
    await waves.register(*targets)
    await waves.plan(ids[0], ids[1])
    assert len(waves.harness.published(UpdateTested)) == 1
    await waves.due(order(concurrency=7), *ids)
    assert len(waves.said(WaveBackedUp).backups) == 30
    assert len(waves.said(WaveDeployed).results) == 30
    assert len(waves.said(WaveChecksPassed).results) == 30
    await waves.harness.advance(SOAK)
    assert [r.target_id for r in waves.said(WaveVerified).results] == ids
    assert {await version(target) for target in targets} == {NEW}
    assert waves.harness.dead_letters() == []


async def test_an_update_that_breaks_imports_fails_its_test_and_touches_nothing(waves, sim):
    target = sim("wiki", broken=f"{JINJA}@{NEW}")
    await waves.register(target)
    await waves.plan("wiki")
    (failed,) = waves.harness.published(UpdateTestFailed)
    assert any(stage.blamed for test in failed.environments for stage in test.stages)
    assert await version(target) == OLD


async def test_a_wave_whose_checks_fail_goes_back_and_works_as_before(waves, sim):
    good = sim("good").model_copy(update={"checks": (SELFCHECK,)})
    bad = sim("bad", bad=f"{JINJA}@{NEW}").model_copy(update={"checks": (SELFCHECK,)})
    await waves.register(good, bad)
    await waves.due(order(), "good", "bad")
    failed = waves.said(WaveVerificationFailed)
    assert not failed.during_soak
    assert [(r.target_id, r.outcome) for r in failed.results] == [("bad", "failed"), ("good", "succeeded")]
    await waves.go_back(failed.error)
    assert {r.outcome for r in waves.said(WaveRolledBack).results} == {"rolled-back"}
    assert [r.to_version for r in waves.said(WaveRollbackVerified).results] == [OLD, OLD]
    assert (await version(good), await version(bad)) == (OLD, OLD)
    await waves.harness.advance(SOAK)
    assert waves.harness.published(WaveVerified) == []


async def test_without_a_backup_nothing_is_deployed(waves, sim):
    target = sim("wiki", fail="backup")
    await waves.register(target)
    await waves.due(order(), "wiki")
    assert "wiki" in waves.said(WaveBackupFailed).error
    assert waves.harness.published(WaveDeployed) == waves.harness.published(WaveDeployFailed) == []
    assert await version(target) == OLD


async def test_a_target_that_hangs_is_timed_out_and_goes_back(waves, sim):
    target = sim("wiki", hang="apply:1")
    await waves.register(target)
    await waves.due(order(target_timeout=timedelta(seconds=1)), "wiki")
    failed = waves.said(WaveDeployFailed)
    assert [r.outcome for r in failed.results] == ["timed-out"]
    await waves.go_back(failed.error)
    assert [r.to_version for r in waves.said(WaveRollbackVerified).results] == [OLD]


async def test_killed_again_and_again_a_wave_ends_as_it_would_have(waves, sim):
    targets = [sim(f"t{number}", latency="PT0.05S") for number in range(6)]
    ids = [target.id for target in targets]
    await waves.register(*targets)
    await waves.plan(ids[0])
    await waves.harness.publish(due_event(ids))
    for events in (1, 2, 3):
        await waves.harness.until(lambda seen=events: len(waves.harness.transport.records) > 7 + seen)
        await waves.harness.restart()
    await waves.settle()
    await waves.harness.advance(SOAK)
    assert [r.target_id for r in waves.said(WaveVerified).results] == ids
    assert {await version(target) for target in targets} == {NEW}
    assert waves.harness.dead_letters() == []


def due_event(ids):
    return WaveDue(order=order(concurrency=2), targets=wave_targets(*ids))
