from datetime import timedelta

from patchline_assessment import assessing, looking
from patchline_assessment.fleet import FLEET, Fleet
from patchline_assessment.service import service
from patchline_assessment.update import KnownUpdate
from patchline_kit.unit import Unit
from patchline_schemas.examples import examples
from patchline_schemas.feeds import Advisory, AdvisoryPublished, AffectedRange, UpdateRetracted
from patchline_schemas.fleet import (
    FleetFileRead,
    FleetFileRefused,
    GroupRegistered,
    GroupRemoved,
    InventoryFailed,
    InventoryReported,
    TargetRegistered,
    TargetRemoved,
)
from patchline_schemas.updates import RetractionAssessed, UpdateAssessed
from patchline_schemas.waves import TargetResult, WaveDeployed, WaveOrder

TWO = {"wiki": "intranet", "shop-1": "shop"}


def order(update, group="intranet"):
    return WaveOrder(
        wave_id=f"{update}.r1.w1",
        update_id=update,
        revision=1,
        round=1,
        number=1,
        group=group,
        component="pkg:pypi/jinja2",
        version="3.1.6",
        restart_required=False,
        concurrency=10,
        max_failures=0,
        target_timeout=timedelta(minutes=10),
        soak=timedelta(seconds=10),
    )


async def deployed(world, update, *targets):
    await world.publish(
        WaveDeployed(
            order=order(update),
            results=tuple(TargetResult(target_id=each, outcome="succeeded") for each in targets),
        )
    )
    await world.settle()
    await world.advance(timedelta(seconds=2))


async def test_groups_and_targets_of_the_file_are_registered_and_asked(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.2")
    async with world:
        await world.ready()
        assert {event.group.name for event in world.published(GroupRegistered)} == {"intranet", "shop"}
        assert {event.target.id for event in world.published(TargetRegistered)} == set(TWO)
        reports = {event.target_id: event for event in world.published(InventoryReported)}
        assert [each.version for each in reports["wiki"].packages] == ["3.1.2"]
        assert reports["shop-1"].packages == ()
        assert [event.targets_total for event in world.published(FleetFileRead)] == [2]


async def test_a_file_that_stays_as_it_is_registers_nothing_again(make_world):
    world = make_world()
    world.fleet(TWO)
    async with world:
        await world.ready()
        await world.restart()
        await world.ready()
        assert len(world.published(TargetRegistered)) == 2
        assert len(world.published(FleetFileRead)) == 1


async def test_a_target_that_a_wave_found_changed_is_asked_at_once(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.2")
    async with world:
        await world.ready()
        update = await world.update()
        world.has("wiki", jinja2="3.1.5")
        changed = TargetResult(target_id="wiki", outcome="not-started", error="it has 3.1.5")
        await world.publish(WaveDeployed(order=order(update), results=(changed,)))
        await world.settle()
        await world.advance(timedelta(seconds=2))
        assert world.said(update)[1]["wiki"].installed_version == "3.1.5"


async def test_a_removed_target_is_told_and_no_longer_counts(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.2")
    world.has("shop-1", jinja2="3.1.2")
    async with world:
        await world.ready()
        update = await world.update()
        world.fleet({"shop-1": "shop"})
        await world.advance(timedelta(seconds=10))
        assert [event.target_id for event in world.published(TargetRemoved)] == ["wiki"]
        assert world.published(TargetRemoved)[0].revision == 2
        head, targets = world.said(update)
        assert (set(targets), head.affected_total) == ({"shop-1"}, 1)


async def test_a_group_that_is_gone_is_told_and_registered_again_when_it_comes_back(make_world):
    world = make_world()
    world.fleet(TWO)
    async with world:
        await world.ready()
        before = len(world.published(GroupRegistered))
        world.fleet({"wiki": "intranet"}, groups="groups:\n  - {name: intranet, criticality: low}\n")
        await world.advance(timedelta(seconds=10))
        assert [(event.group, event.revision) for event in world.published(GroupRemoved)] == [("shop", 2)]
        world.fleet(TWO)
        await world.advance(timedelta(seconds=10))
        told = world.published(GroupRegistered)[before:]
        assert [event.revision for event in told if event.group.name == "shop"] == [3]


async def test_a_target_that_comes_back_is_registered_and_counts_again(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.2")
    async with world:
        await world.ready()
        update = await world.update()
        for fleet in ({"shop-1": "shop"}, TWO):
            world.fleet(fleet)
            await world.advance(timedelta(seconds=10))
        assert world.said(update)[1]["wiki"].status == "affected"


async def test_a_broken_file_keeps_what_held_and_says_why(make_world):
    world = make_world()
    world.fleet(TWO)
    async with world:
        await world.ready()
        world.file.write_text("groups: [\n")
        await world.advance(timedelta(seconds=20))
        (refused,) = world.published(FleetFileRefused)
        assert "YAML" in refused.error
        assert refused.revision == 1
        assert (await world.document(Fleet, FLEET)).error == refused.error
        assert world.published(TargetRemoved) == []
        world.fleet(TWO)
        await world.advance(timedelta(seconds=5))
        assert (await world.document(Fleet, FLEET)).error is None
        assert len(world.published(FleetFileRead)) == 2
        assert len(world.published(TargetRegistered)) == 2


async def test_an_update_says_of_each_target_whether_it_needs_it_and_why(make_world):
    world = make_world()
    world.fleet(TWO | {"old": "intranet", "bare": "shop"})
    world.has("wiki", jinja2="3.1.6")
    world.has("shop-1", jinja2="3.1.2")
    world.has("old", jinja2="not-a-version")
    world.has("bare", requests="2.31.0")
    async with world:
        await world.ready()
        update = await world.update()
        head, targets = world.said(update)
        assert {id_: each.status for id_, each in targets.items()} == {
            "wiki": "not-affected",
            "shop-1": "affected",
            "old": "unknown",
        }
        assert (head.affected_total, head.not_affected_total, head.unknown_total) == (1, 2, 1)
        assert "CVE-1" in targets["shop-1"].reason
        assert targets["shop-1"].advisories == ("CVE-1",)
        assert "cannot be said" in targets["old"].reason
        assert head.urgency == "out-of-cycle"
        assert head.due_at == head.published_at + timedelta(days=14)


async def test_an_update_that_nobody_has_affects_no_target_and_none_is_unknown(make_world):
    world = make_world()
    world.fleet(TWO)
    async with world:
        await world.ready()
        head, targets = world.said(await world.update())
        assert (head.affected_total, head.unknown_total, head.not_affected_total) == (0, 0, 2)
        assert targets == {}
        assert (head.urgency, head.due_at) == (None, None)


async def test_a_target_that_does_not_answer_is_unknown_with_the_reason(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.2")
    world.breaks("shop-1", "its environment is missing")
    async with world:
        await world.ready()
        head, targets = world.said(await world.update())
        assert targets["shop-1"].status == "unknown"
        assert "its environment is missing" in targets["shop-1"].reason
        assert head.unknown_total == 1
        assert [event.reason for event in world.published(InventoryFailed)] == ["its environment is missing"]


async def test_a_target_that_answers_at_last_is_assessed_again(make_world):
    world = make_world()
    world.fleet(TWO)
    world.breaks("shop-1")
    async with world:
        await world.ready()
        update = await world.update()
        world.driver.failing.clear()
        world.has("shop-1", jinja2="3.1.2")
        await world.advance(timedelta(seconds=30))
        head, targets = world.said(update)
        assert (targets["shop-1"].status, head.unknown_total) == ("affected", 0)


async def test_one_failure_of_a_known_target_changes_nothing_and_two_make_it_unknown(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("shop-1", jinja2="3.1.2")
    async with world:
        await world.ready()
        update = await world.update()
        world.breaks("shop-1")
        await deployed(world, update, "shop-1")
        assert world.said(update)[1]["shop-1"].status == "affected"
        await world.advance(timedelta(seconds=10))
        assert world.said(update)[1]["shop-1"].status == "unknown"


async def test_a_broken_target_does_not_make_another_ecosystem_unknown(make_world):
    world = make_world()
    world.fleet(TWO)
    world.breaks("shop-1")
    async with world:
        await world.ready()
        head, _ = world.said(await world.update("pkg:npm/left-pad", "1.3.0", advisories=()))
        assert head.unknown_total == 0


async def test_the_first_assessment_waits_for_targets_that_are_still_being_asked(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.2")
    async with world:
        update = await world.update()
        await world.ready()
        head, targets = world.said(update)
        assert (head.revision, targets["wiki"].status, head.unknown_total) == (1, "affected", 0)


async def test_with_a_fleet_file_that_was_never_read_nothing_is_said_to_be_fine(make_world):
    world = make_world()
    world.file.write_text("groups: nonsense\n")
    async with world:
        await world.update()
        await world.advance(timedelta(minutes=5))
        assert world.published(UpdateAssessed) == []
        world.fleet(TWO)
        await world.advance(timedelta(seconds=10))
        assert len(world.published(UpdateAssessed)) == 1


async def test_a_deployment_makes_its_targets_be_asked_and_the_update_assessed_again(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.2")
    async with world:
        await world.ready()
        update = await world.update()
        world.has("wiki", jinja2="3.1.6")
        await deployed(world, update, "wiki")
        head, targets = world.said(update)
        assert (head.revision, targets["wiki"].status) == (2, "not-affected")


async def test_an_old_version_that_shows_up_again_reopens_a_settled_update(make_world):
    world = make_world(fleet_every=timedelta(hours=1))
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.6")
    async with world:
        await world.ready()
        update = await world.update()
        assert world.said(update)[0].affected_total == 0
        world.has("wiki", jinja2="3.0.1")
        await world.advance(timedelta(hours=1, minutes=10))
        assert world.said(update)[1]["wiki"].status == "affected"


async def test_nothing_is_said_twice_while_nothing_changes(make_world):
    world = make_world(fleet_every=timedelta(hours=1))
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.2")
    async with world:
        await world.ready()
        update = await world.update()
        await deployed(world, update, "wiki")
        await world.advance(timedelta(hours=5))
        assert len(world.published(UpdateAssessed)) == 1
        assert len(world.published(InventoryReported)) == 2


async def test_a_newer_version_on_an_unaffected_target_is_no_news(make_world):
    world = make_world(fleet_every=timedelta(hours=1))
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.6")
    async with world:
        await world.ready()
        await world.update()
        world.has("wiki", jinja2="3.1.7")
        await world.advance(timedelta(hours=2))
        assert len(world.published(UpdateAssessed)) == 1


async def test_added_advisories_are_assessed_with_the_others(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("shop-1", jinja2="3.1.2")
    async with world:
        await world.ready()
        update = await world.update()
        more = Advisory(id="CVE-2", severity="critical", affected=(AffectedRange(fixed="3.1.6"),))
        await world.publish(
            AdvisoryPublished(
                update_id=update,
                vendor="scanner",
                component="pkg:pypi/jinja2",
                version="3.1.6",
                advisories=(more,),
            )
        )
        await world.settle()
        head, targets = world.said(update)
        assert targets["shop-1"].advisories == ("CVE-1", "CVE-2")
        assert head.urgency == "immediate"
        assert {each.origin for each in head.inputs} >= {"feed:scanner", "fleet file, group shop"}


async def test_advisories_that_come_before_their_update_wait_for_it(make_world):
    world = make_world()
    world.fleet(TWO)
    async with world:
        await world.ready()
        early = AdvisoryPublished(
            update_id="jinja2-3.1.6-381efe",
            vendor="scanner",
            component="pkg:pypi/jinja2",
            version="3.1.6",
            advisories=(Advisory(id="CVE-2"),),
        )
        await world.publish(early)
        await world.settle()
        update = await world.update()
        await world.settle()
        assert world.said(update)[0].advisories == ("CVE-1", "CVE-2")


async def test_an_immediate_update_travels_on_the_urgent_lane(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("shop-1", jinja2="3.1.2")
    async with world:
        await world.ready()
        await world.update(advisories=(Advisory(id="CVE-1", exploited=True),))
        assert {record.topic for record in world.records(UpdateAssessed)} == {"updates.assessed.urgent"}


async def test_a_group_that_becomes_more_exposed_makes_its_updates_more_urgent(make_world):
    world = make_world()
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.2")
    async with world:
        await world.ready()
        update = await world.update()
        assert world.said(update)[0].urgency == "scheduled"
        world.fleet(
            TWO,
            groups="groups:\n"
            "  - {name: intranet, criticality: critical, exposure: open, window: always}\n"
            "  - {name: shop, criticality: high, exposure: open, window: always}\n",
        )
        await world.advance(timedelta(seconds=10))
        assert world.said(update)[0].urgency == "immediate"


async def test_a_retraction_says_where_the_version_is_installed_and_ends_assessing(make_world):
    world = make_world(fleet_every=timedelta(hours=1))
    world.fleet(TWO)
    world.has("wiki", jinja2="3.1.6")
    world.has("shop-1", jinja2="3.1.2")
    async with world:
        await world.ready()
        update = await world.update()
        await world.publish(
            UpdateRetracted(
                update_id=update,
                vendor="pallets",
                component="pkg:pypi/jinja2",
                version="3.1.6",
                reason="broken",
            )
        )
        await world.settle()
        (event,) = world.published(RetractionAssessed)
        assert (event.installed_on, event.installed_total, event.reason) == (("wiki",), 1, "broken")
        world.breaks("wiki")
        await world.advance(timedelta(hours=2))
        await world.advance(timedelta(seconds=10))
        event = world.published(RetractionAssessed)[-1]
        assert (event.installed_total, event.unknown_total) == (0, 1)
        assert (event.last_seen_on, event.unknown) == (("wiki",), ("wiki",))
        world.driver.failing.clear()
        world.has("wiki", jinja2="3.1.5")
        await world.advance(timedelta(hours=2))
        event = world.published(RetractionAssessed)[-1]
        assert (event.installed_on, event.last_seen_on, event.unknown_total) == ((), (), 0)
        assert len(world.published(UpdateAssessed)) == 1


async def test_a_large_fleet_is_assessed_in_pages_and_survives_a_crash(make_world):
    world = make_world()
    fleet = {f"t{number:04}": "shop" for number in range(1100)}
    world.fleet(fleet)
    for target in fleet:
        world.has(target, jinja2="3.1.2")
    async with world:
        await world.settle(timeout=60)
        await world.advance(timedelta(seconds=10))
        update = await world.update()
        head, targets = world.said(update)
        assert (head.affected_total, len(targets), head.pages) == (1100, 1100, 3)
        await world.restart()
        known = await world.document(KnownUpdate, update)
        assert (known.revision, known.telling) == (1, False)


async def test_an_assessment_cut_off_between_two_pages_is_told_anew_and_whole(make_world, monkeypatch):
    world = make_world(tolerate_errors=True)
    fleet = {f"t{number:04}": "shop" for number in range(6)}
    world.fleet(fleet)
    for target in fleet:
        world.has(target, jinja2="3.1.2")
    monkeypatch.setattr(assessing, "PAGE_TARGETS", 2)
    monkeypatch.setattr(looking, "PAGES_AT_ONCE", 1)
    async with world:
        await world.ready()
        checkpoint = Unit.checkpoint

        async def cut_off(unit):
            await checkpoint(unit)
            monkeypatch.setattr(Unit, "checkpoint", checkpoint)
            raise ConnectionError("the power went")

        monkeypatch.setattr(Unit, "checkpoint", cut_off)
        update = await world.update()
        assert [event.page for event in world.published(UpdateAssessed)] == [1]
        await world.advance(timedelta(seconds=30))
        head, targets = world.said(update)
        assert (head.revision, head.pages, len(targets)) == (2, 3, 6)


async def test_every_example_of_what_is_consumed_is_handled(make_world):
    world = make_world()
    world.fleet(TWO)
    async with world:
        await world.ready()
        for kind, pair in examples().items():
            if kind in service.events:
                for event in pair:
                    await world.publish(event)
                    await world.settle()
        assert world.dead_letters() == []
        assert await world.parked() == []
