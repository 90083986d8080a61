"""The services that work on targets, with planning itself: what one says is what the other understands."""

from datetime import timedelta

import pytest
from wave_doubles import JINJA, NEW, NOW, OLD, SELFCHECK

import patchline_backup.service
import patchline_backup.settings
import patchline_deployment.service
import patchline_deployment.settings
import patchline_planning.service
import patchline_planning.settings
import patchline_testing.service
import patchline_testing.settings
import patchline_verification.service
import patchline_verification.settings
from patchline_kit.testing import SystemHarness
from patchline_schemas.fleet import Group, GroupRegistered, Policies, TargetRegistered, TargetRemoved
from patchline_schemas.ids import update_id
from patchline_schemas.updates import (
    AssessedTarget,
    UpdateAssessed,
    UpdateCompleted,
    UpdateFailed,
    UpdateProgressed,
    UpdateTestFailed,
)
from patchline_schemas.waves import (
    WaveDeployed,
    WaveDeployFailed,
    WaveDue,
    WaveRollbackVerified,
    WaveVerified,
)

PACKAGES = (
    patchline_planning,
    patchline_testing,
    patchline_backup,
    patchline_deployment,
    patchline_verification,
)
GROUPS = {"intranet": "low", "shop": "medium", "payments": "critical"}
UPDATE = update_id(JINJA, NEW)


@pytest.fixture
async def system(tmp_path):
    (tmp_path / "state").mkdir()
    services = [package.service.service for package in PACKAGES]
    settings = {
        package.service.service.name: package.settings.Settings(dir=tmp_path / "state")
        for package in PACKAGES
    }
    async with SystemHarness(services, tmp_path=tmp_path, settings=settings) as harness:
        yield harness


async def know_fleet(system, sim, per_group=2, **odd):
    targets = {}
    for group, criticality in GROUPS.items():
        policies = Policies(soak=timedelta(seconds=30))
        await system.publish(
            GroupRegistered(revision=1, group=Group(name=group, criticality=criticality, policies=policies))
        )
        for number in range(per_group):
            id = f"{group}-{number}"
            settings = odd.get(id.replace("-", "_"), {})
            target = sim(id, **settings).model_copy(update={"group": group, "checks": (SELFCHECK,)})
            targets[id] = target
            await system.publish(TargetRegistered(revision=1, target=target))
    await system.settle()
    return targets


async def assess(system, targets, *, version=NEW, installed=OLD, revision=1, fixes="CVE-2025-27516"):
    await system.publish(
        UpdateAssessed(
            update_id=update_id(JINJA, version),
            revision=revision,
            component=JINJA,
            version=version,
            page=1,
            pages=1,
            vendor="palletsprojects",
            kind="security",
            urgency="out-of-cycle",
            due_rule="none",
            inputs=(),
            released_at=NOW,
            published_at=NOW,
            published_by="feed",
            advisories=(fixes,),
            affected_total=len(targets),
            not_affected_total=0,
            unknown_total=0,
            targets=tuple(
                AssessedTarget(
                    target_id=target.id,
                    group=target.group,
                    status="affected",
                    reason="older than the fix",
                    installed_version=installed,
                    environment=f"sha256:{target.group}",
                    collected_at=system.clock.now(),
                )
                for target in targets.values()
            ),
        )
    )
    await system.settle(30)


async def test_an_update_goes_through_three_waves_to_completed(system, sim):
    targets = await know_fleet(system, sim)
    await assess(system, targets)
    await system.advance(timedelta(minutes=10))
    assert [event.order.group for event in system.published(WaveVerified)] == list(GROUPS)
    assert len(system.published(UpdateCompleted)) == 1
    assert system.published(UpdateFailed) == []
    assert system.dead_letters() == []


async def test_an_update_that_breaks_a_copy_fails_and_no_wave_becomes_due(system, sim):
    targets = await know_fleet(system, sim, intranet_0={"broken": f"{JINJA}@{NEW}"})
    await assess(system, targets)
    await system.advance(timedelta(minutes=10))
    (failed,) = system.published(UpdateTestFailed)
    (ended,) = system.published(UpdateFailed)
    assert failed.error in ended.error or ended.error in failed.error
    assert system.published(WaveDue) == []


async def test_a_later_wave_that_fails_its_checks_goes_back_and_the_update_fails(system, sim):
    targets = await know_fleet(system, sim, shop_1={"bad": f"{JINJA}@{NEW}"})
    await assess(system, targets)
    await system.advance(timedelta(minutes=10))
    assert [event.order.group for event in system.published(WaveVerified)] == ["intranet"]
    (back,) = system.published(WaveRollbackVerified)
    assert {result.target_id: result.to_version for result in back.results} == {"shop-0": OLD, "shop-1": OLD}
    (ended,) = system.published(UpdateFailed)
    assert "shop-1" in ended.error
    assert [event.order.group for event in system.published(WaveDeployed)] == ["intranet", "shop"]
    last = system.published(UpdateProgressed)[-1]
    assert last.state == "failed"
    assert system.dead_letters() == []


async def test_a_version_that_waits_for_another_one_goes_on_from_what_that_has_installed(system, sim):
    targets = await know_fleet(system, sim, per_group=1)
    wiki = {"intranet-0": targets["intranet-0"]}
    await assess(system, wiki, version="3.1.5", fixes="CVE-2024-56326")
    await assess(system, wiki)
    await system.advance(timedelta(minutes=5))
    assert [event.version for event in system.published(UpdateCompleted)] == ["3.1.5"]
    waiting = [event for event in system.published(UpdateProgressed) if event.version == NEW][-1]
    assert (waiting.state, waiting.held.rule) == ("assessed", "inventory-unknown")
    await assess(system, wiki, installed="3.1.5", revision=2)
    await system.advance(timedelta(minutes=5))
    assert [event.version for event in system.published(UpdateCompleted)] == ["3.1.5", NEW]
    assert system.published(UpdateFailed) == []
    assert system.dead_letters() == []


async def test_a_target_that_has_left_the_fleet_since_it_was_assessed_stops_no_other(system, sim):
    targets = await know_fleet(system, sim)
    await system.publish(TargetRemoved(revision=2, target_id="intranet-1", group="intranet"))
    await assess(system, {id_: targets[id_] for id_ in ("intranet-0", "intranet-1")})
    await system.advance(timedelta(minutes=5))
    await assess(system, {}, revision=2)
    await system.advance(timedelta(minutes=5))
    (verified,) = system.published(WaveVerified)
    assert [result.target_id for result in verified.results] == ["intranet-0"]
    assert len(system.published(UpdateCompleted)) == 1
    assert system.published(WaveDeployFailed) == system.published(UpdateFailed) == []
    assert system.dead_letters() == []
