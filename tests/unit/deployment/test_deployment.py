import asyncio
import json
from datetime import timedelta
from unittest.mock import AsyncMock

import pytest
from wave_doubles import JINJA, NEW, NOW, OLD, FakeDriver, order, register, resources, wave_targets

from patchline_deployment.service import service
from patchline_deployment.settings import Settings
from patchline_fleet.archives import FolderArchives
from patchline_fleet.driver import Busy, DriverError, NotEnoughSpace, TooLate, Unreachable
from patchline_fleet.runs import TargetRun
from patchline_kit.testing import ServiceHarness
from patchline_schemas.fleet import TargetRemoved
from patchline_schemas.waves import (
    Backup,
    WaveBackedUp,
    WaveDeployed,
    WaveDeployFailed,
    WaveRollbackFailed,
    WaveRollbackRequested,
    WaveRolledBack,
)

WAVE = order().wave_id


def harness(driver, tmp_path, **options):
    return ServiceHarness(
        service,
        tmp_path=tmp_path,
        resources=resources(driver, tmp_path),
        settings=Settings(dir=tmp_path),
        **options,
    )


async def backups(driver, tmp_path, *ids, version=OLD):
    archives, made = FolderArchives(tmp_path / "archives"), []
    for id in ids:
        folder = tmp_path / "made" / id
        folder.mkdir(parents=True)
        (folder / "packages.json").write_text(json.dumps({JINJA: version}))
        archive = await archives.put(folder, f"{id}/w1")
        made.append(
            Backup(
                target_id=id,
                address=archive.address,
                sha256=archive.sha256,
                size=archive.size,
                packages_total=1,
                files_total=1,
            )
        )
    return tuple(made)


async def backed_up(driver, tmp_path, *ids, version=OLD, **changes):
    return WaveBackedUp(
        order=order(**changes),
        targets=wave_targets(*ids, version=version),
        backups=await backups(driver, tmp_path, *ids),
    )


async def test_every_target_gets_the_version_and_the_wave_is_deployed(tmp_path):
    driver = FakeDriver("wiki", "shop")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki", "shop")
        await h.publish(await backed_up(driver, tmp_path, "wiki", "shop", restart_required=True))
        await h.settle()
        (event,) = h.published(WaveDeployed)
        assert [(r.target_id, r.outcome, r.from_version, r.to_version) for r in event.results] == [
            ("shop", "succeeded", OLD, NEW),
            ("wiki", "succeeded", OLD, NEW),
        ]
        assert all(r.restarted and r.started_at and r.ended_at for r in event.results)
        assert [check.passed for check in event.results[0].checks] == [True]
        assert not event.not_started
        assert {v[JINJA] for v in driver.versions.values()} == {NEW}


async def test_the_same_event_twice_deploys_once(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        event = await backed_up(driver, tmp_path, "wiki")
        id = await h.publish(event)
        await h.publish(event, id=id)
        await h.publish(event)
        await h.settle()
        assert len(h.published(WaveDeployed)) == 1
        assert driver.count("apply") == 1


async def test_a_wave_waits_until_its_targets_are_registered(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path) as h:
        await h.publish(await backed_up(driver, tmp_path, "wiki"))
        await h.settle()
        assert driver.calls == []
        await register(h, "wiki")
        await h.settle()
        assert len(h.published(WaveDeployed)) == 1


async def test_what_the_window_s_end_catches_up_with_at_the_target_itself_is_left_for_another_wave(tmp_path):
    driver = FakeDriver("wiki", "shop")
    driver.fault["apply", "shop"] = TooLate("the time is over")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki", "shop")
        ends_at = NOW + timedelta(days=3650)
        await h.publish(await backed_up(driver, tmp_path, "wiki", "shop", window_ends_at=ends_at))
        await h.settle()
        (event,) = h.published(WaveDeployed)
        assert [(r.target_id, r.outcome) for r in event.results] == [("wiki", "succeeded")]
        assert [left.target_id for left in event.not_started] == ["shop"]
        run = await h.document(TargetRun, f"{WAVE}/deploy/shop")
        assert run.touched_at is None
        assert "before the target was touched" in run.result.notes[0]


async def test_a_missing_archive_refuses_the_wave_before_any_target_is_touched(tmp_path):
    driver = FakeDriver("wiki", "shop")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki", "shop")
        event = await backed_up(driver, tmp_path, "wiki", "shop")
        await FolderArchives(tmp_path / "archives").delete(event.backups[1].address)
        await h.publish(event)
        await h.settle()
        (failed,) = h.published(WaveDeployFailed)
        assert "nothing was deployed" in failed.error
        assert "shop" in failed.error
        assert [r.outcome for r in failed.results] == ["not-started", "not-started"]
        assert driver.calls == []


async def test_an_archive_that_was_changed_refuses_the_wave(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        event = await backed_up(driver, tmp_path, "wiki")
        (file,) = (tmp_path / "archives" / "wiki").iterdir()
        file.write_bytes(file.read_bytes() + b"x")
        await h.publish(event)
        await h.settle()
        (failed,) = h.published(WaveDeployFailed)
        assert "SHA-256" in failed.error
        assert driver.calls == []


async def test_the_first_failure_stops_further_starts(tmp_path):
    driver = FakeDriver("a", "b", "c")
    driver.fault["apply", "a"] = DriverError("no matching distribution found")
    async with harness(driver, tmp_path) as h:
        await register(h, "a", "b", "c")
        await h.publish(await backed_up(driver, tmp_path, "a", "b", "c", concurrency=1))
        await h.settle()
        (failed,) = h.published(WaveDeployFailed)
        assert failed.error == "a: no matching distribution found"
        assert [(r.target_id, r.outcome) for r in failed.results] == [
            ("a", "failed"),
            ("b", "not-started"),
            ("c", "not-started"),
        ]
        assert driver.count("apply") == 1


async def test_failures_that_the_policy_allows_do_not_stop_the_wave(tmp_path):
    driver = FakeDriver("a", "b", "c")
    driver.fault["apply", "a"] = DriverError("broken")
    async with harness(driver, tmp_path) as h:
        await register(h, "a", "b", "c")
        await h.publish(await backed_up(driver, tmp_path, "a", "b", "c", concurrency=1, max_failures=1))
        await h.settle()
        (event,) = h.published(WaveDeployed)
        assert [r.outcome for r in event.results] == ["failed", "succeeded", "succeeded"]


async def test_no_more_targets_are_worked_on_at_once_than_the_policy_says(tmp_path):
    ids = [f"t{number}" for number in range(7)]
    driver = FakeDriver(*ids)
    async with harness(driver, tmp_path) as h:
        await register(h, *ids)
        await h.publish(await backed_up(driver, tmp_path, *ids, concurrency=2))
        await h.settle()
        assert len(h.published(WaveDeployed)) == 1
        assert driver.most_at_once <= 2


async def test_what_the_window_leaves_unstarted_is_named_and_no_failure(tmp_path):
    driver = FakeDriver("a", "b", "c")
    ends = NOW + timedelta(minutes=10)
    async with harness(driver, tmp_path) as h:
        driver.fault["apply", "a"] = lambda: h.clock.advance(timedelta(minutes=11))
        await register(h, "a", "b", "c")
        await h.publish(await backed_up(driver, tmp_path, "a", "b", "c", concurrency=1, window_ends_at=ends))
        await h.settle()
        (event,) = h.published(WaveDeployed)
        assert [r.target_id for r in event.results] == ["a"]
        assert [t.target_id for t in event.not_started] == ["b", "c"]


async def test_nothing_starts_when_the_window_has_ended_already(tmp_path):
    driver = FakeDriver("a")
    async with harness(driver, tmp_path) as h:
        await register(h, "a")
        await h.publish(await backed_up(driver, tmp_path, "a", window_ends_at=NOW))
        await h.settle()
        (event,) = h.published(WaveDeployed)
        assert (event.results, [t.target_id for t in event.not_started]) == ((), ["a"])
        assert driver.calls == []


async def test_a_target_whose_turn_comes_after_the_window_is_not_touched(tmp_path):
    driver = FakeDriver("a")
    async with harness(driver, tmp_path) as h:
        driver.fault["precheck", "a"] = lambda: h.clock.advance(timedelta(minutes=11))
        await register(h, "a")
        ends = NOW + timedelta(minutes=10)
        await h.publish(await backed_up(driver, tmp_path, "a", window_ends_at=ends))
        await h.settle()
        (event,) = h.published(WaveDeployed)
        assert (event.results, [t.target_id for t in event.not_started]) == ((), ["a"])
        assert driver.changed == []


async def test_a_target_that_has_another_version_than_assessed_is_not_touched(tmp_path):
    driver = FakeDriver("wiki", version="3.0.0")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(await backed_up(driver, tmp_path, "wiki"))
        await h.settle()
        (result,) = h.published(WaveDeployed)[0].results
        assert (result.outcome, result.from_version) == ("not-started", "3.0.0")
        assert "has pkg:pypi/jinja2 3.0.0, assessed was 3.1.2" in result.error
        assert driver.count("apply") == 0


async def test_a_target_that_is_left_out_stops_no_other(tmp_path):
    driver = FakeDriver("blog", "wiki")
    driver.versions["blog"][JINJA] = "3.1.5"
    async with harness(driver, tmp_path) as h:
        await register(h, "blog", "wiki")
        await h.publish(await backed_up(driver, tmp_path, "blog", "wiki", concurrency=1))
        await h.settle()
        (event,) = h.published(WaveDeployed)
        outcomes = {result.target_id: result.outcome for result in event.results}
        assert (outcomes, event.not_started) == ({"blog": "not-started", "wiki": "succeeded"}, ())


async def test_a_target_without_a_backup_is_not_touched(tmp_path):
    driver = FakeDriver("blog", "wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "blog", "wiki")
        event = await backed_up(driver, tmp_path, "blog", "wiki")
        await h.publish(event.model_copy(update={"backups": event.backups[1:]}))
        await h.settle()
        results = {result.target_id: result for result in h.published(WaveDeployed)[0].results}
        assert results["wiki"].outcome == "succeeded"
        assert "has no backup" in results["blog"].error
        assert driver.count("apply", "blog") == 0


async def test_a_target_that_has_the_version_already_has_succeeded_untouched(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(await backed_up(driver, tmp_path, "wiki"))
        await h.settle()
        (result,) = h.published(WaveDeployed)[0].results
        assert (result.outcome, result.changes) == ("succeeded", ())
        assert "already in effect" in result.notes[0]
        assert driver.count("apply") == 0


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (Unreachable("no route to wiki"), "unreachable"),
        (NotEnoughSpace("3 MiB free, 40 MiB needed"), "failed"),
    ],
)
async def test_a_precheck_that_fails_leaves_the_target_alone(fault, outcome, tmp_path):
    driver = FakeDriver("wiki")
    driver.fault["precheck", "wiki"] = fault
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(await backed_up(driver, tmp_path, "wiki"))
        await h.settle()
        (event,) = h.published(WaveDeployFailed)
        assert (event.results[0].outcome, event.results[0].error) == (outcome, str(fault))
        assert driver.changed == []


async def test_a_target_lost_while_it_was_changed_counts_as_changed(tmp_path):
    driver = FakeDriver("wiki")
    driver.fault["apply", "wiki"] = Unreachable("connection reset")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(await backed_up(driver, tmp_path, "wiki"))
        await h.settle()
        (event,) = h.published(WaveDeployFailed)
        assert event.results[0].outcome == "failed"
        assert "lost while it was being changed" in event.error


async def test_a_target_that_hangs_is_timed_out(tmp_path):
    driver = FakeDriver("wiki")
    driver.hangs.add(("apply", "wiki"))
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        limit = timedelta(seconds=0.2)
        await h.publish(await backed_up(driver, tmp_path, "wiki", target_timeout=limit))
        await h.settle()
        (event,) = h.published(WaveDeployFailed)
        assert event.results[0].outcome == "timed-out"
        assert "0.2 s" in event.error


async def test_a_busy_target_is_asked_again(tmp_path):
    driver = FakeDriver("wiki")
    driver.fault["precheck", "wiki"] = Busy("another change holds the lock")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(await backed_up(driver, tmp_path, "wiki"))
        await h.settle()
        assert h.published(WaveDeployed) == []
        del driver.fault["precheck", "wiki"]
        await h.advance(timedelta(seconds=10))
        assert len(h.published(WaveDeployed)) == 1


async def test_a_target_that_has_left_the_fleet_is_not_touched(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.settle()
        await h.publish(TargetRemoved(revision=2, target_id="wiki", group="intranet"))
        await h.settle()
        await h.publish(await backed_up(driver, tmp_path, "wiki"))
        await h.settle()
        (result,) = h.published(WaveDeployed)[0].results
        assert result.outcome == "not-started"
        assert "no longer in the fleet file" in result.error
        assert driver.calls == []


async def test_a_kill_between_the_change_and_its_record_changes_nothing_twice(tmp_path):
    driver = FakeDriver("wiki")
    driver.held["apply", "wiki"] = asyncio.Event()
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(await backed_up(driver, tmp_path, "wiki"))
        await driver.reached.wait()
        await h.kill()
        del driver.held["apply", "wiki"]
        driver.failing_checks.add("wiki")
        await h.start()
        await h.settle()
        (event,) = h.published(WaveDeployed)
        (result,) = event.results
        assert driver.changed == [("wiki", NEW)]
        assert (result.outcome, result.from_version, result.to_version) == ("succeeded", OLD, NEW)
        assert [(c.before, c.after) for c in result.changes] == [(OLD, NEW)]
        assert "interrupted" in result.notes[0]
        assert [check.passed for check in result.checks] == [True], "what was found before the change"


async def test_a_change_that_was_cut_off_is_carried_on_after_the_window(tmp_path):
    driver = FakeDriver("wiki")
    driver.held["apply", "wiki"] = asyncio.Event()
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        ends = NOW + timedelta(minutes=10)
        await h.publish(await backed_up(driver, tmp_path, "wiki", window_ends_at=ends))
        await driver.reached.wait()
        await h.kill()
        del driver.held["apply", "wiki"]
        h.clock.advance(timedelta(hours=1))
        await h.start()
        await h.settle()
        assert [r.outcome for r in h.published(WaveDeployed)[0].results] == ["succeeded"]


async def test_a_rollback_puts_back_what_the_backup_holds(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        saved = await backups(driver, tmp_path, "wiki")
        await h.publish(
            WaveRollbackRequested(
                order=order(), targets=wave_targets("wiki"), backups=saved, reason="the check failed"
            )
        )
        await h.settle()
        (event,) = h.published(WaveRolledBack)
        (result,) = event.results
        assert (result.outcome, result.from_version, result.to_version) == ("rolled-back", NEW, OLD)
        assert result.notes == ("config was kept aside.",)
        assert list((tmp_path / "work").iterdir()) == []


async def test_a_rollback_tries_every_target_even_when_one_fails(tmp_path):
    driver = FakeDriver("a", "b", "c", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "a", "b", "c")
        saved = await backups(driver, tmp_path, "a", "b", "c")
        for lost in (saved[0], saved[2]):
            await FolderArchives(tmp_path / "archives").delete(lost.address)
        await h.publish(
            WaveRollbackRequested(
                order=order(concurrency=1, window_ends_at=NOW),
                targets=wave_targets("a", "b", "c"),
                backups=saved,
                reason="the check failed",
            )
        )
        await h.settle()
        (event,) = h.published(WaveRollbackFailed)
        assert [(r.target_id, r.outcome) for r in event.results] == [
            ("a", "failed"),
            ("b", "rolled-back"),
            ("c", "failed"),
        ]
        assert "is not there" in event.error
        assert "c (failed)" in event.error
        assert "is not there" in event.results[2].error
        assert driver.versions["b"][JINJA] == OLD


async def test_a_rollback_says_what_the_checks_said_before_the_deployment(tmp_path):
    driver = FakeDriver("wiki")
    driver.failing_checks.add("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        event = await backed_up(driver, tmp_path, "wiki")
        await h.publish(event)
        await h.settle()
        await h.publish(
            WaveRollbackRequested(
                order=order(), targets=event.targets, backups=event.backups, reason="a person asked for it"
            )
        )
        await h.settle()
        (result,) = h.published(WaveRolledBack)[0].results
        assert [check.passed for check in result.checks] == [False]


async def test_a_target_that_the_deployment_did_not_change_is_not_rolled_back(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        event = await backed_up(driver, tmp_path, "wiki")
        await h.publish(event)
        await h.settle()
        await h.publish(
            WaveRollbackRequested(
                order=order(), targets=event.targets, backups=event.backups, reason="another target failed"
            )
        )
        await h.settle()
        (result,) = h.published(WaveRolledBack)[0].results
        assert (result.outcome, result.to_version) == ("not-started", None)
        assert "nothing to undo" in result.notes[0]
        assert driver.count("rollback") == 0


async def test_a_wave_given_up_before_its_backups_were_heard_of_is_never_deployed(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        event = await backed_up(driver, tmp_path, "wiki")
        await h.publish(
            WaveRollbackRequested(order=order(), targets=event.targets, backups=(), reason="timed out")
        )
        await h.settle()
        await h.publish(event)
        await h.settle()
        assert [result.outcome for result in h.published(WaveRolledBack)[0].results] == ["not-started"]
        assert h.published(WaveDeployed) == []
        assert driver.calls == []


async def test_a_deployment_that_had_begun_when_its_wave_was_given_up_goes_back_to_its_own_backup(tmp_path):
    driver = FakeDriver("wiki")
    gate = driver.held["apply", "wiki"] = asyncio.Event()
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        event = await backed_up(driver, tmp_path, "wiki")
        await h.publish(event)
        await driver.reached.wait()
        await h.publish(
            WaveRollbackRequested(order=order(), targets=event.targets, backups=(), reason="timed out")
        )
        await h.until(lambda: bool(h.published(WaveRolledBack)))
        gate.set()
        await h.settle()
        assert driver.versions["wiki"][JINJA] == OLD
        assert h.published(WaveDeployed) == []


async def test_targets_whose_turn_never_came_are_not_rolled_back(tmp_path):
    driver = FakeDriver("a", "b", "c")
    driver.fault["precheck", "b"] = Busy("somebody else installs there")
    gate = driver.held["apply", "a"] = asyncio.Event()
    async with harness(driver, tmp_path) as h:
        await register(h, "a", "b", "c")
        event = await backed_up(driver, tmp_path, "a", "b", "c", concurrency=2)
        await h.publish(event)
        await driver.reached.wait()
        await h.until(lambda: driver.count("precheck", "b") > 0)
        await h.publish(
            WaveRollbackRequested(
                order=event.order, targets=event.targets, backups=event.backups, reason="timed out"
            )
        )
        await h.until(lambda: bool(h.published(WaveRolledBack)))
        gate.set()
        await h.settle()
        outcomes = {result.target_id: result.outcome for result in h.published(WaveRolledBack)[0].results}
        assert outcomes == {"a": "rolled-back", "b": "not-started", "c": "not-started"}
        assert driver.count("rollback", "b") == driver.count("rollback", "c") == 0


async def test_a_deployment_that_is_stopped_right_before_the_change_leaves_it(tmp_path, monkeypatch):
    driver = FakeDriver("wiki")
    looks = iter([False, True])
    monkeypatch.setattr("patchline_deployment.apply.is_stopped", AsyncMock(side_effect=looks))
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(await backed_up(driver, tmp_path, "wiki"))
        await h.settle()
        assert driver.count("apply") == 0
        run = await h.document(TargetRun, f"{WAVE}/deploy/wiki")
        assert (run.touched_at, run.result.outcome) == (None, "not-started")


async def test_a_target_that_nobody_knows_is_not_said_to_be_rolled_back(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await h.publish(TargetRemoved(revision=5, target_id="wiki", group="intranet"))
        await h.settle()
        saved = await backups(driver, tmp_path, "wiki")
        await h.publish(
            WaveRollbackRequested(
                order=order(), targets=wave_targets("wiki"), backups=saved, reason="the check failed"
            )
        )
        await h.settle()
        assert "nobody knows what wiki is" in h.published(WaveRollbackFailed)[0].error


async def test_a_rollback_after_which_the_version_is_still_in_effect_has_failed(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        saved = await backups(driver, tmp_path, "wiki", version=NEW)
        await h.publish(
            WaveRollbackRequested(
                order=order(), targets=wave_targets("wiki"), backups=saved, reason="the check failed"
            )
        )
        await h.settle()
        assert "is still in effect after the rollback" in h.published(WaveRollbackFailed)[0].error


async def test_a_rollback_that_failed_can_be_asked_for_again(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    driver.fault["rollback", "wiki"] = DriverError("disk is read-only")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        request = WaveRollbackRequested(
            order=order(),
            targets=wave_targets("wiki"),
            backups=await backups(driver, tmp_path, "wiki"),
            reason="the check failed",
        )
        await h.publish(request)
        await h.settle()
        assert len(h.published(WaveRollbackFailed)) == 1
        del driver.fault["rollback", "wiki"]
        await h.publish(request)
        await h.settle()
        assert [r.outcome for r in h.published(WaveRolledBack)[0].results] == ["rolled-back"]


async def test_a_wave_that_goes_back_starts_no_further_target(tmp_path):
    driver = FakeDriver("a", "b")
    gate = driver.held["apply", "a"] = asyncio.Event()
    async with harness(driver, tmp_path) as h:
        await register(h, "a", "b")
        event = await backed_up(driver, tmp_path, "a", "b", concurrency=1)
        await h.publish(event)
        await driver.reached.wait()
        await h.publish(
            WaveRollbackRequested(
                order=event.order, targets=event.targets[:1], backups=event.backups, reason="timed out"
            )
        )
        await h.until(lambda: bool(h.published(WaveRolledBack)))
        gate.set()
        await h.settle()
        assert driver.count("apply", "b") == 0
        assert h.published(WaveDeployed) == []
        run = await h.document(TargetRun, f"{WAVE}/deploy/b")
        assert run is None
