import asyncio
from datetime import timedelta

from wave_doubles import JINJA, NEW, OLD, FakeDriver, register, resources, target

from patchline_fleet.driver import Busy, DriverError, StageOutput
from patchline_kit.testing import ServiceHarness
from patchline_schemas.fleet import CommandCheck, TargetRegistered, TargetRemoved
from patchline_schemas.updates import Representative, UpdatePlanned, UpdateTested, UpdateTestFailed
from patchline_testing.service import service
from patchline_testing.settings import Settings

SECOND = timedelta(seconds=1)


def harness(driver, tmp_path, **settings):
    return ServiceHarness(
        service,
        tmp_path=tmp_path,
        resources=resources(driver, tmp_path),
        settings=Settings(dir=tmp_path, **settings),
    )


def planned(*ids, revision=1, round=1):
    return UpdatePlanned(
        update_id="jinja2-3.1.6-5f2d1c",
        revision=revision,
        component=JINJA,
        version=NEW,
        round=round,
        kind="security",
        advisories=(),
        approval="automatic",
        waves=(),
        representatives=tuple(
            Representative(environment=f"sha256:{id}", target_id=id, from_version=OLD, targets_total=1)
            for id in ids
        ),
        environments_total=len(ids),
        rollback=(),
    )


def breaks(driver):
    driver.after = (StageOutput("imports", False, "ImportError: soft_unicode", SECOND),)


async def test_an_update_that_works_in_every_environment_is_tested(tmp_path):
    driver = FakeDriver("wiki", "shop")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki", "shop")
        await h.publish(planned("wiki", "shop"))
        await h.settle()
        (event,) = h.published(UpdateTested)
        assert [(e.environment, e.target_id, e.passed) for e in event.environments] == [
            ("sha256:wiki", "wiki", True),
            ("sha256:shop", "shop", True),
        ]
        assert (event.revision, event.round) == (1, 1)
        assert list((tmp_path / "work").iterdir()) == []
        assert driver.changed == []


async def test_an_update_that_breaks_a_copy_fails_with_the_tools_own_words(tmp_path):
    driver = FakeDriver("wiki")
    breaks(driver)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(planned("wiki"))
        await h.settle()
        (event,) = h.published(UpdateTestFailed)
        assert event.error.endswith("ImportError: soft_unicode")
        assert list((tmp_path / "work").iterdir()) == []


async def test_a_target_that_cannot_be_copied_fails_the_test_with_the_reason(tmp_path):
    driver = FakeDriver("wiki")
    driver.fault["rehearse", "wiki"] = DriverError("the environment at apps/wiki/.venv is broken")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(planned("wiki"))
        await h.settle()
        assert "apps/wiki/.venv is broken" in h.published(UpdateTestFailed)[0].error


async def test_a_plan_without_an_environment_has_no_passed_test(tmp_path):
    async with harness(FakeDriver(), tmp_path) as h:
        await h.publish(planned())
        await h.settle()
        assert "no environment" in h.published(UpdateTestFailed)[0].error


async def test_a_test_that_hangs_is_stopped_at_its_limit(tmp_path):
    driver = FakeDriver("wiki")
    driver.hangs.add(("rehearse", "wiki"))
    async with harness(driver, tmp_path, test_timeout=timedelta(seconds=0.2)) as h:
        await register(h, "wiki")
        await h.publish(planned("wiki"))
        await h.settle()
        assert "did not end within 0.2 s" in h.published(UpdateTestFailed)[0].error
        assert list((tmp_path / "work").iterdir()) == []


async def test_a_busy_target_is_copied_later(tmp_path):
    driver = FakeDriver("wiki")
    driver.fault["rehearse", "wiki"] = Busy("another change holds the lock")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(planned("wiki"))
        await h.settle()
        assert h.published(UpdateTestFailed) == []
        del driver.fault["rehearse", "wiki"]
        await h.advance(timedelta(minutes=1))
        assert len(h.published(UpdateTested)) == 1


async def test_a_removed_target_is_not_copied(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.settle()
        await h.publish(TargetRemoved(revision=2, target_id="wiki", group="intranet"))
        await h.settle()
        await h.publish(planned("wiki"))
        await h.settle()
        assert "no longer in the fleet file" in h.published(UpdateTestFailed)[0].error
        assert driver.calls == []


async def test_what_passed_is_not_tested_again_for_a_newer_plan_and_it_says_so(tmp_path):
    driver = FakeDriver("wiki", "shop")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki", "shop")
        await h.publish(planned("wiki"))
        await h.settle()
        await h.publish(planned("wiki", "shop", revision=2))
        await h.settle()
        event = h.published(UpdateTested)[1]
        assert [e.tested_for_revision for e in event.environments] == [1, None]
        assert (driver.count("rehearse", "wiki"), driver.count("rehearse", "shop")) == (1, 1)


async def test_what_failed_is_tested_again(tmp_path):
    driver = FakeDriver("wiki")
    good = driver.after
    breaks(driver)
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(planned("wiki"))
        await h.settle()
        driver.after = good
        await h.publish(planned("wiki", revision=2, round=2))
        await h.settle()
        assert len(h.published(UpdateTestFailed)) == 1
        (event,) = h.published(UpdateTested)
        assert (event.round, driver.count("rehearse")) == (2, 2)


async def test_other_checks_are_another_test(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(planned("wiki"))
        await h.settle()
        other = target("wiki", checks=(CommandCheck(command=("stricter",)),))
        await h.publish(TargetRegistered(revision=2, target=other))
        await h.settle()
        await h.publish(planned("wiki", revision=2))
        await h.settle()
        assert driver.count("rehearse") == 2


async def test_an_older_plan_is_stale(tmp_path):
    driver = FakeDriver("wiki")
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(planned("wiki", revision=2))
        await h.settle()
        await h.publish(planned("wiki", revision=1))
        await h.settle()
        assert [event.revision for event in h.published(UpdateTested)] == [2]


async def test_a_plan_that_changes_while_it_is_tested_is_answered_for_its_newest_revision(tmp_path):
    driver = FakeDriver("wiki")
    gate = driver.held["rehearse", "wiki"] = asyncio.Event()
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(planned("wiki", revision=1))
        await driver.reached.wait()
        await h.publish(planned("wiki", revision=2))
        gate.set()
        await h.settle()
        assert [event.revision for event in h.published(UpdateTested)][-1] == 2


async def test_a_kill_during_the_test_tests_again_and_leaves_no_copy(tmp_path):
    driver = FakeDriver("wiki")
    driver.held["rehearse", "wiki"] = asyncio.Event()
    async with harness(driver, tmp_path) as h:
        await register(h, "wiki")
        await h.publish(planned("wiki"))
        await driver.reached.wait()
        await h.kill()
        driver.held.clear()
        (tmp_path / "work" / "test-left").mkdir(parents=True)
        await h.start()
        await h.settle()
        assert len(h.published(UpdateTested)) == 1
        assert list((tmp_path / "work").iterdir()) == []
