"""Finds the updates that a target's change concerns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

from patchline_assessment.inventory import Inventory, Versions, component_tag
from patchline_assessment.looking import same
from patchline_assessment.messages import Change
from patchline_assessment.update import KnownUpdate
from patchline_assessment.verdicts import judge
from patchline_kit.context import Context

FEW_COMPONENTS = 10
"""Up to so many are looked up one by one without asking how many updates there are."""
FEW_UPDATES = 200
"""Up to so many updates it is quicker to look through all than to look up every component of a target."""


async def concerned(inventory: Inventory, change: Change, ctx: Context) -> AsyncIterator[str]:
    """Ids of the updates that say something else of the target than before its change."""
    after = {} if inventory.removed else inventory.packages
    components = after.keys() if change.whole else change.before.keys()
    async for update in _updates_of(components, ctx):
        before = () if change.whole else change.before[update.component]
        if _differs(update, before, after.get(update.component, ())):
            yield update.id


def _differs(update: KnownUpdate, before: Versions, after: Versions) -> bool:
    if update.withdrawn:
        return any(same(update, each) for each in before) != any(same(update, each) for each in after)
    if update.published is None:
        return False
    facts = update.facts()
    old = judge(facts, before) if before else None
    new = judge(facts, after) if after else None
    if old is None or new is None:
        present = old or new
        return present is not None and present.status != "not-affected"
    return not new.weighs_like(old)


async def _updates_of(components: Iterable[str], ctx: Context) -> AsyncIterator[KnownUpdate]:
    wanted = set(components)
    if len(wanted) > FEW_COMPONENTS and await ctx.count(KnownUpdate) <= FEW_UPDATES:
        for update in await ctx.find(KnownUpdate, limit=FEW_UPDATES + 1):
            if update.component in wanted:
                yield update
        return
    for component in sorted(wanted):
        after = ""
        while page := await ctx.find(KnownUpdate, component_tag(component), after=after):
            for update in page:
                yield update
            after = page[-1].id
