import asyncio
import errno
from datetime import timedelta

import pytest
from wave_doubles import JINJA, OLD, FakeDriver, order, register, resources, wave_targets

from patchline_backup.service import service
from patchline_backup.settings import Settings
from patchline_fleet.archives import Archives, FolderArchives
from patchline_fleet.driver import NotEnoughSpace, Unreachable
from patchline_fleet.runs import WaveRun, wave_run_id
from patchline_kit.testing import ServiceHarness
from patchline_schemas.fleet import TargetRemoved
from patchline_schemas.updates import UpdateCompleted
from patchline_schemas.waves import WaveBackedUp, WaveBackupFailed, WaveDue, WaveRollbackRequested

DAY = timedelta(days=1)


def harness(driver, tmp_path, *, archives=None, **settings):
    given = resources(driver, tmp_path)
    if archives is not None:
        given[Archives] = archives
    return ServiceHarness(
        service, tmp_path=tmp_path, resources=given, settings=Settings(dir=tmp_path, **settings)
    )


def due(*ids, **changes):
    return WaveDue(order=order(**changes), targets=wave_targets(*ids))


def kept(tmp_path):
    return sorted(path.parent.name for path in (tmp_path / "archives").rglob("*.zst"))


async def test_every_target_gets_a_backup_that_was_restored_once(tmp_path):
    driver = FakeDriver("wiki", "shop")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki", "shop")
        await h.publish(due("wiki", "shop"))
        await h.settle()
        (event,) = h.published(WaveBackedUp)
        assert event.targets == wave_targets("shop", "wiki")
        assert [backup.target_id for backup in event.backups] == ["shop", "wiki"]
        archives = FolderArchives(tmp_path / "archives")
        for backup in event.backups:
            await archives.verify(backup.address, backup.sha256)
            assert backup.size > 0
            assert (backup.packages_total, backup.files_total) == (1, 1)
        assert driver.count("restore_to_scratch") == 2
        assert list((tmp_path / "work").iterdir()) == []


async def test_a_target_that_has_left_the_fleet_needs_no_backup_and_stops_no_other(tmp_path):
    driver = FakeDriver("wiki", "shop")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki", "shop")
        await h.settle()
        await h.publish(TargetRemoved(revision=2, target_id="shop", group="intranet"))
        await h.settle()
        await h.publish(due("wiki", "shop"))
        await h.settle()
        (event,) = h.published(WaveBackedUp)
        assert event.targets == wave_targets("shop", "wiki")
        assert [backup.target_id for backup in event.backups] == ["wiki"]


async def test_a_backup_of_a_wave_that_planning_has_given_up_is_no_news(tmp_path):
    driver = FakeDriver("wiki")
    gate = driver.held["backup", "wiki"] = asyncio.Event()
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        event = due("wiki")
        await h.publish(event)
        await driver.reached.wait()
        await h.publish(
            WaveRollbackRequested(order=event.order, targets=event.targets, backups=(), reason="timed out")
        )
        run_id = wave_run_id(event.order.wave_id, "backup")
        while (await h.document(WaveRun, run_id)).phase != "stopped":
            await h.handle("backup").changed(WaveRun, run_id, timeout=5)
        gate.set()
        await h.settle()
        assert h.published(WaveBackedUp) == []


async def test_a_backup_that_differs_when_restored_does_not_count(tmp_path):
    driver = FakeDriver("wiki", "shop")
    driver.differences = ["config/app.toml is missing"]
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki", "shop")
        await h.publish(due("wiki"))
        await h.settle()
        (event,) = h.published(WaveBackupFailed)
        assert "config/app.toml is missing" in event.error
        assert kept(tmp_path) == []
        assert h.published(WaveBackedUp) == []


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (NotEnoughSpace("no room for the backup of wiki: 3 MiB are free"), "failed"),
        (OSError(errno.ENOSPC, "No space left on device"), "failed"),
        (Unreachable("apps/wiki is not there"), "unreachable"),
    ],
)
async def test_a_backup_that_cannot_be_made_says_why_and_leaves_nothing(fault, outcome, tmp_path):
    driver = FakeDriver("wiki")
    driver.fault["backup", "wiki"] = fault
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(due("wiki"))
        await h.settle()
        (event,) = h.published(WaveBackupFailed)
        assert event.results[0].outcome == outcome
        assert str(fault) in event.error
        assert kept(tmp_path) == []
        assert list((tmp_path / "work").iterdir()) == []


async def test_a_full_archive_store_fails_the_backup_in_clear_words(tmp_path):
    class Full(FolderArchives):
        async def put(self, folder, name):
            raise NotEnoughSpace(f"no room for the backup {name}: 0 MiB are free")

    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path, archives=Full(tmp_path / "archives")) as h:
        await register(h, "wiki")
        await h.publish(due("wiki"))
        await h.settle()
        assert "no room for the backup" in h.published(WaveBackupFailed)[0].error


async def test_the_first_failure_stops_the_wave(tmp_path):
    driver = FakeDriver("a", "b")
    driver.fault["backup", "a"] = Unreachable("no route")
    async with harness(driver, tmp_path) as h:
        await register(h, "a", "b")
        await h.publish(due("a", "b", concurrency=1, max_failures=5))
        await h.settle()
        (event,) = h.published(WaveBackupFailed)
        assert [r.outcome for r in event.results] == ["unreachable", "not-started"]
        assert driver.count("backup", "b") == 0


async def test_a_backup_that_hangs_is_timed_out_and_leaves_nothing(tmp_path):
    driver = FakeDriver("wiki")
    driver.hangs.add(("restore_to_scratch", "wiki"))
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(due("wiki", target_timeout=timedelta(seconds=0.3)))
        await h.settle()
        assert h.published(WaveBackupFailed)[0].results[0].outcome == "timed-out"
        assert kept(tmp_path) == []
        assert list((tmp_path / "work").iterdir()) == []


async def test_a_kill_before_the_backup_is_proven_makes_another_and_leaves_one(tmp_path):
    driver = FakeDriver("wiki")
    driver.hangs.add(("restore_to_scratch", "wiki"))
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(due("wiki"))
        await driver.reached.wait()
        await h.kill()
        driver.hangs.clear()
        driver.versions["wiki"]["pkg:pypi/idna"] = "3.6"
        await h.start()
        await h.settle()
        (event,) = h.published(WaveBackedUp)
        assert event.backups[0].packages_total == 2
        assert kept(tmp_path) == ["wiki"]


async def test_a_backup_is_kept_while_its_round_runs_and_then_as_long_as_the_rule_says(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path, backup_keep_for=30 * DAY, backup_keep_last=0) as h:
        await register(h, "wiki")
        await h.publish(due("wiki"))
        await h.settle()
        await h.advance(90 * DAY)
        assert kept(tmp_path) == ["wiki"]
        await h.publish(completed())
        await h.settle()
        await h.advance(DAY)
        assert kept(tmp_path) == []


async def test_a_targets_newest_backups_are_kept_however_old_they_are(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path, backup_keep_for=10 * DAY, backup_keep_last=1) as h:
        await register(h, "wiki")
        await h.publish(due("wiki"))
        await h.publish(completed())
        await h.settle()
        await h.advance(20 * DAY)
        assert kept(tmp_path) == ["wiki"]
        driver.versions["wiki"][JINJA] = "3.1.3"
        await h.publish(due("wiki", wave_id="other.r1.w1", update_id="other"))
        await h.settle()
        assert kept(tmp_path) == ["wiki", "wiki"]
        await h.advance(2 * DAY)
        assert kept(tmp_path) == ["wiki"]


async def test_a_shorter_time_counts_for_backups_that_are_there_already(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path, backup_keep_for=30 * DAY, backup_keep_last=0) as h:
        await register(h, "wiki")
        await h.publish(due("wiki"))
        await h.publish(completed())
        await h.settle()
    async with harness(driver, tmp_path, backup_keep_for=2 * DAY, backup_keep_last=0) as h:
        await h.advance(DAY)
        assert kept(tmp_path) == ["wiki"]
        await h.advance(2 * DAY)
        assert kept(tmp_path) == []


async def test_the_same_wave_is_backed_up_once(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await asyncio.gather(h.publish(due("wiki")), h.publish(due("wiki")))
        await h.settle()
        assert len(h.published(WaveBackedUp)) == 1
        assert driver.count("backup") == 1


def completed():
    return UpdateCompleted(
        update_id=order().update_id, revision=1, component=JINJA, version=OLD, round=1, due_at=None
    )
