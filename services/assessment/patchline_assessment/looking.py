"""Gathers from the documents what an update's assessment rests on, and publishes it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from patchline_assessment.assessing import Assessment, Assessor, conclude, digest_of, pages
from patchline_assessment.fleet import FLEET, Fleet, KnownGroup
from patchline_assessment.inventory import ANSWERED, Inventory, component_tag, hiding_tags
from patchline_assessment.update import KnownUpdate
from patchline_kit.context import Context
from patchline_kit.outcomes import RetryLater
from patchline_schemas.updates import RetractionAssessed
from patchline_schemas.versions import UnknownVersion, compare

LOOK_EVERY = timedelta(seconds=2)
"""How often an update that waits for first answers looks for them, besides being told."""
PAGES_AT_ONCE = 4
"""So many pages are published with one write."""
TARGETS_SHOWN = 500
"""Of each kind, in what is said of a withdrawn version."""
FOUND_AT_ONCE = 500


async def still_asking(fleet: Fleet | None, ctx: Context) -> bool:
    """Whether there are targets that have never been asked, or a fleet file that was never read."""
    if fleet is None or fleet.telling or fleet.told_revision < fleet.revision:
        return True
    return await ctx.count(Inventory, ANSWERED) < fleet.targets_total


async def should_wait(update: KnownUpdate, has_fleet_file: bool, ctx: Context) -> bool:
    """Whether the first assessment is to wait, and until when; then :attr:`KnownUpdate.wake_at` is set.

    A fleet file that was never read is waited for without end: with no fleet known, that no target needs the
    update would be a guess.
    """
    fleet = await ctx.read(Fleet, FLEET)
    never_read = has_fleet_file and (fleet is None or fleet.revision == 0)
    if never_read:
        update.wake_at = ctx.now + LOOK_EVERY
        return True
    if not has_fleet_file and (fleet is None or fleet.revision == 0):
        return False
    if update.wait_until is None or ctx.now >= update.wait_until or not await still_asking(fleet, ctx):
        return False
    update.wake_at = min(ctx.now + LOOK_EVERY, update.wait_until)
    return True


async def assess(update: KnownUpdate, ctx: Context) -> None:
    """Publish what a published update means for the fleet, if that has changed."""
    if update.published is None:
        return
    fleet = await ctx.read(Fleet, FLEET)
    assessment = await _look(update, ctx)
    digest = digest_of(assessment, update.published)
    if digest == update.digest and not update.telling:
        return
    update.revision += 1
    update.digest = digest
    update.affected_total, update.unknown_total = assessment.affected_total, assessment.unknown_total
    update.groups = assessment.groups
    update.telling = True
    events = pages(update, assessment, fleet.targets_total if fleet else 0)
    urgent = update.published.emergency or assessment.urgency == "immediate"
    for number, event in enumerate(events, start=1):
        ctx.emit(event, part=str(number), urgent=urgent)
        if number % PAGES_AT_ONCE == 0 and number < len(events):
            await ctx.checkpoint()
    update.telling = False


async def assess_withdrawn(update: KnownUpdate, ctx: Context) -> None:
    """Publish where a withdrawn version is installed, if that has changed."""
    installed_on, unknown, last_seen_on = [], [], []
    async for page in _having(component_tag(update.component), ctx):
        installed_on += [inventory.id for inventory in page if _has_version(inventory, update)]
    async for page in _unknown(update.component, ctx):
        unknown += [inventory.id for inventory in page]
        last_seen_on += [inventory.id for inventory in page if _has_version(inventory, update)]
    digest = hashlib.sha256(repr((installed_on, unknown, last_seen_on)).encode()).hexdigest()
    if digest == update.digest:
        return
    update.revision += 1
    update.digest = digest
    update.affected_total, update.unknown_total = len(installed_on), len(unknown)
    ctx.emit(
        RetractionAssessed(
            update_id=update.id,
            revision=update.revision,
            component=update.component,
            version=update.to_version,
            reason=update.withdrawn or "",
            installed_on=tuple(installed_on[:TARGETS_SHOWN]),
            installed_total=len(installed_on),
            last_seen_on=tuple(last_seen_on[:TARGETS_SHOWN]),
            unknown=tuple(unknown[:TARGETS_SHOWN]),
            unknown_total=len(unknown),
        )
    )


def same(update: KnownUpdate, installed: str) -> bool:
    """Whether ``installed`` is the update's version; where no rule can read it, letter by letter."""
    try:
        return compare(update.component, installed, update.to_version) == 0
    except UnknownVersion:
        return installed == update.to_version


def _has_version(inventory: Inventory, update: KnownUpdate) -> bool:
    """Whether the target's last answer names the update's version."""
    return any(same(update, version) for version in inventory.packages.get(update.component, ()))


async def _look(update: KnownUpdate, ctx: Context) -> Assessment:
    if update.published is None:
        raise ValueError(f"{update.id} was never published")
    assessor = Assessor(update.facts())
    async for page in _having(component_tag(update.component), ctx):
        assessor.add_installed(page)
    async for page in _unknown(update.component, ctx):
        assessor.add_unknown(page)
    groups = {}
    for name in assessor.affected_groups():
        known = await ctx.read(KnownGroup, name)
        if known is None:
            raise RetryLater(f"the group {name} is not registered yet")
        groups[name] = known.group
    return conclude(assessor, update.published, groups)


async def _unknown(component: str, ctx: Context) -> AsyncIterator[Sequence[Inventory]]:
    """Targets that may have ``component`` without anybody knowing."""
    for tag in hiding_tags(component):
        async for page in _having(tag, ctx):
            yield page


async def _having(tag: str, ctx: Context) -> AsyncIterator[Sequence[Inventory]]:
    after = ""
    while page := await ctx.find(Inventory, tag, after=after, limit=FOUND_AT_ONCE):
        yield page
        if len(page) < FOUND_AT_ONCE:
            return
        after = page[-1].id
