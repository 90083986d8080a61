from datetime import timedelta

from wave_doubles import JINJA, NEW, NOW, OLD, FakeDriver, order, register, resources, wave_targets

from patchline_fleet.driver import Busy, Unreachable
from patchline_fleet.runs import TargetRun, WaveRun
from patchline_kit.testing import ServiceHarness
from patchline_schemas.waves import (
    CheckResult,
    TargetResult,
    WaveChecksPassed,
    WaveDeployed,
    WaveRollbackFailed,
    WaveRollbackRequested,
    WaveRollbackVerified,
    WaveRolledBack,
    WaveVerificationFailed,
    WaveVerified,
)
from patchline_verification.service import service
from patchline_verification.settings import Settings

SOAK = timedelta(seconds=30)


def harness(driver, tmp_path):
    return ServiceHarness(
        service, tmp_path=tmp_path, resources=resources(driver, tmp_path), settings=Settings(dir=tmp_path)
    )


def result(id, outcome="succeeded", *, checks=(), before=OLD, after=NEW):
    return TargetResult(target_id=id, outcome=outcome, from_version=before, to_version=after, checks=checks)


def deployed(*ids, **changes):
    return WaveDeployed(order=order(**changes), results=tuple(result(id) for id in ids))


def failed_check():
    return CheckResult(name="selfcheck", passed=False, output="", duration=timedelta(seconds=1))


async def test_a_wave_is_verified_after_its_soak_time(tmp_path):
    driver = FakeDriver("wiki", "shop", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki", "shop")
        await h.publish(deployed("wiki", "shop"))
        await h.settle()
        (passed,) = h.published(WaveChecksPassed)
        assert passed.soak_until == NOW + SOAK
        assert [r.to_version for r in passed.results] == [NEW, NEW]
        assert h.published(WaveVerified) == []
        await h.advance(SOAK - timedelta(seconds=1))
        assert h.published(WaveVerified) == []
        await h.advance(timedelta(seconds=1))
        (verified,) = h.published(WaveVerified)
        assert [r.outcome for r in verified.results] == ["succeeded", "succeeded"]
        assert driver.count("check", "wiki") == 4
        assert len(h.published(WaveChecksPassed)) == 1


async def test_the_documents_of_a_wave_are_forgotten_long_after_it_is_over(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(deployed("wiki"))
        await h.settle()
        await h.advance(timedelta(days=29))
        assert len(await h.documents(WaveRun)) == len(await h.documents(TargetRun)) == 1
        await h.advance(timedelta(days=2))
        assert await h.documents(WaveRun) == await h.documents(TargetRun) == []
        assert len(h.published(WaveVerified)) == 1


async def test_a_wave_without_a_soak_time_is_verified_at_once(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(deployed("wiki", soak=timedelta(0)))
        await h.settle()
        assert len(h.published(WaveChecksPassed)) == len(h.published(WaveVerified)) == 1


async def test_a_version_that_is_not_in_effect_fails_the_verification(tmp_path):
    driver = FakeDriver("wiki", version=OLD)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(deployed("wiki"))
        await h.settle()
        (failed,) = h.published(WaveVerificationFailed)
        assert not failed.during_soak
        assert failed.error == "wiki: pkg:pypi/jinja2 is 3.1.2, expected was 3.1.6"
        assert h.published(WaveChecksPassed) == []


async def test_every_target_is_looked_at_even_when_one_fails(tmp_path):
    driver = FakeDriver("a", "b", "c", version=NEW)
    driver.failing_checks.update({"a", "c"})
    async with harness(driver, tmp_path) as h:
        await register(h, "a", "b", "c")
        await h.publish(deployed("a", "b", "c", concurrency=1))
        await h.settle()
        (failed,) = h.published(WaveVerificationFailed)
        assert [r.outcome for r in failed.results] == ["failed", "succeeded", "failed"]
        assert "AssertionError: wrong page" in failed.error
        assert "c (failed)" in failed.error


async def test_a_check_that_begins_to_fail_in_the_soak_time_fails_the_verification(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(deployed("wiki"))
        await h.settle()
        driver.failing_checks.add("wiki")
        await h.advance(timedelta(seconds=10))
        (failed,) = h.published(WaveVerificationFailed)
        assert failed.during_soak
        await h.advance(SOAK)
        assert h.published(WaveVerified) == []


async def test_a_target_that_vanishes_in_the_soak_time_fails_the_verification(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(deployed("wiki"))
        await h.settle()
        driver.fault["inventory", "wiki"] = Unreachable("apps/wiki is not there")
        await h.advance(SOAK)
        (failed,) = h.published(WaveVerificationFailed)
        assert failed.results[0].outcome == "unreachable"


async def test_a_check_that_hangs_is_stopped_and_has_failed(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    driver.hangs.add(("check", "wiki"))
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(deployed("wiki"))
        await h.settle()
        (failed,) = h.published(WaveVerificationFailed)
        assert "did not end within 1 s" in failed.error


async def test_a_change_under_way_in_the_soak_time_is_waited_for(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(deployed("wiki"))
        await h.settle()
        driver.fault["inventory", "wiki"] = Busy("another change holds the lock")
        await h.advance(timedelta(seconds=15))
        assert h.published(WaveVerificationFailed) == []
        driver.fault.clear()
        driver.versions["wiki"][JINJA] = "3.2.0"
        await h.advance(SOAK)
        (verified,) = h.published(WaveVerified)
        assert "later update" in verified.results[0].notes[0]


async def test_a_wave_that_goes_back_soaks_no_more(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(deployed("wiki"))
        await h.settle()
        await h.publish(rollback_requested())
        await h.settle()
        looked = driver.count("check")
        driver.failing_checks.add("wiki")
        await h.advance(timedelta(hours=1))
        assert driver.count("check") == looked
        assert h.published(WaveVerified) == h.published(WaveVerificationFailed) == []


async def test_a_deployment_that_is_heard_of_after_its_rollback_is_not_verified(tmp_path):
    driver = FakeDriver("wiki", version=OLD)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(rollback_requested())
        await h.settle()
        await h.publish(deployed("wiki"))
        await h.settle()
        assert driver.calls == []
        assert h.published(WaveVerificationFailed) == []


async def test_only_targets_that_were_deployed_are_verified(tmp_path):
    driver = FakeDriver("a", "b", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "a", "b")
        event = WaveDeployed(
            order=order(soak=timedelta(0), max_failures=1),
            results=(result("a"), result("b", "failed", after=OLD)),
            not_started=wave_targets("c"),
        )
        await h.publish(event)
        await h.settle()
        assert [r.target_id for r in h.published(WaveVerified)[0].results] == ["a"]


async def test_a_deployment_that_started_nothing_is_not_verified(tmp_path):
    async with harness(FakeDriver(), tmp_path) as h:
        await h.publish(WaveDeployed(order=order(), results=(), not_started=wave_targets("a")))
        await h.settle()
        assert h.published(WaveChecksPassed) == h.published(WaveVerified) == []


async def test_a_kill_in_the_soak_time_soaks_on(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(deployed("wiki"))
        await h.settle()
        await h.restart()
        await h.advance(SOAK)
        assert len(h.published(WaveChecksPassed)) == len(h.published(WaveVerified)) == 1


async def test_a_soak_that_ended_while_the_service_was_down_is_looked_at_once_more(tmp_path):
    driver = FakeDriver("wiki", version=NEW)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(deployed("wiki"))
        await h.settle()
        await h.kill()
        driver.failing_checks.add("wiki")
        h.clock.advance(timedelta(days=1))
        await h.start()
        await h.settle()
        assert h.published(WaveVerified) == []
        assert h.published(WaveVerificationFailed)[0].during_soak


async def test_rolled_back_targets_that_work_as_before_are_verified(tmp_path):
    driver = FakeDriver("wiki", version=OLD)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(rolled_back())
        await h.settle()
        (verified,) = h.published(WaveRollbackVerified)
        assert [(r.target_id, r.to_version) for r in verified.results] == [("wiki", OLD)]


async def test_a_rolled_back_target_that_does_not_work_needs_a_person(tmp_path):
    driver = FakeDriver("wiki", version=OLD)
    driver.failing_checks.add("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(rolled_back())
        await h.settle()
        assert "wrong page" in h.published(WaveRollbackFailed)[0].error


async def test_a_rolled_back_target_need_not_do_what_it_could_not_do_before(tmp_path):
    driver = FakeDriver("wiki", version=OLD)
    driver.failing_checks.add("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(rolled_back(checks=(failed_check(),)))
        await h.settle()
        (verified,) = h.published(WaveRollbackVerified)
        assert "as it did before" in verified.results[0].notes[0]


def rollback_requested():
    return WaveRollbackRequested(
        order=order(), targets=wave_targets("wiki"), backups=(), reason="a person asked for it"
    )


def rolled_back(**more):
    return WaveRolledBack(
        order=order(), results=(result("wiki", "rolled-back", before=NEW, after=OLD, **more),)
    )
