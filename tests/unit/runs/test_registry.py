from wave_doubles import target

from patchline_fleet.registry import KnownTarget, remember_targets
from patchline_kit.service import Service
from patchline_kit.testing import ServiceHarness
from patchline_schemas.fleet import TargetRegistered, TargetRemoved


def knowing():
    service = Service("knowing", emits=[])
    remember_targets(service)
    return service


async def test_the_newest_word_on_a_target_stays_whatever_comes_later(tmp_path):
    async with ServiceHarness(knowing(), tmp_path=tmp_path) as h:
        await h.publish(TargetRegistered(revision=3, target=target("wiki", restart=False)))
        await h.settle()
        await h.publish(TargetRegistered(revision=2, target=target("wiki")))
        await h.publish(TargetRemoved(revision=1, target_id="wiki", group="intranet"))
        await h.settle()
        known = await h.document(KnownTarget, "wiki")
        assert (known.revision, known.removed, known.target.restart) == (3, False, None)


async def test_a_removed_target_keeps_its_specification_and_may_come_back(tmp_path):
    async with ServiceHarness(knowing(), tmp_path=tmp_path) as h:
        await h.publish(TargetRegistered(revision=1, target=target("wiki")))
        await h.settle()
        await h.publish(TargetRemoved(revision=2, target_id="wiki", group="intranet"))
        await h.settle()
        known = await h.document(KnownTarget, "wiki")
        assert known.removed
        assert known.target.id == "wiki"
        await h.publish(TargetRegistered(revision=3, target=target("wiki")))
        await h.settle()
        assert not (await h.document(KnownTarget, "wiki")).removed
