"""Assessment: knows the fleet, and says what each update means for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from patchline_assessment import asking, changes, looking, sweep, telling
from patchline_assessment.asking import Asker
from patchline_assessment.fleet import FLEET, Fleet, KnownGroup, KnownTarget
from patchline_assessment.fleet_source import FleetSource
from patchline_assessment.inventory import Inventory
from patchline_assessment.messages import (
    Ask,
    AskAgain,
    Change,
    Drop,
    EveryoneTold,
    Gather,
    KnowledgeChange,
    Reassess,
    RegisterGroup,
    RegisterTarget,
    RemoveGroup,
    RemoveTarget,
)
from patchline_assessment.settings import Settings
from patchline_assessment.sweep import SWEEP, Sweep
from patchline_assessment.update import KnownUpdate, amend, group_tag, publish
from patchline_fleet.drivers import Drivers
from patchline_kit.context import Context
from patchline_kit.outcomes import Early
from patchline_kit.service import Service
from patchline_schemas.feeds import AdvisoryPublished, UpdatePublished, UpdateRetracted
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
from patchline_schemas.waves import (
    WaveDeployed,
    WaveDeployFailed,
    WaveEvent,
    WaveRollbackFailed,
    WaveRolledBack,
)

service = Service(
    "assessment",
    emits=[
        FleetFileRead,
        FleetFileRefused,
        GroupRegistered,
        GroupRemoved,
        TargetRegistered,
        TargetRemoved,
        InventoryReported,
        InventoryFailed,
        UpdateAssessed,
        RetractionAssessed,
    ],
    settings=Settings,
)

WatchFirst, UpdatesFirst, ChangedFirst, Whenever = 40, 20, 5, 0
"""What is woken first of what is due."""


@service.resource(FleetSource)
async def fleet_source(settings: Settings) -> AsyncIterator[FleetSource]:
    """The fleet file."""
    yield FleetSource(settings.fleet)


@service.resource(Asker)
async def asker(settings: Settings) -> AsyncIterator[Asker]:
    """Hands on the targets."""
    yield Asker(
        Drivers.installed(), at_once=settings.inventory_concurrency, timeout=settings.inventory_timeout
    )


# The fleet file


@service.at_start
async def begin(ctx: Context) -> None:
    """Look at the fleet file at once, and ask again the targets that may have changed meanwhile."""
    fleet = await ctx.load(Fleet, FLEET) or ctx.create(Fleet(id=FLEET, wake_priority=WatchFirst))
    fleet.ask_all = True
    fleet.wake_at = ctx.now


@service.wakes(Fleet)
async def watch(fleet: Fleet, ctx: Context) -> None:
    """Tell groups and targets what a changed fleet file says of them."""
    fleet.wake_at = ctx.now + ctx.setting(Settings).fleet_every
    await telling.follow(fleet, await ctx.resource(FleetSource).read(), ctx)


@service.on(EveryoneTold)
async def told(message: EveryoneTold, ctx: Context) -> None:
    """The revision is known everywhere; a newer one may follow."""
    fleet = await ctx.require(Fleet, FLEET)
    fleet.told_revision = max(fleet.told_revision, message.revision)


@service.on(RegisterGroup)
async def register_group(message: RegisterGroup, ctx: Context) -> None:
    """Keep and tell a group; its updates are assessed again where that changes their urgency."""
    known = await ctx.load(KnownGroup, message.to)
    if telling.register_group(known, message, ctx) and known is not None:
        known.telling_after, known.wake_at = "", ctx.now


@service.wakes(KnownGroup)
async def tell_group_updates(known: KnownGroup, ctx: Context) -> None:
    """Tell the updates that the group needs that it has changed."""
    known.telling_after = await sweep.tell_updates(group_tag(known.id), known.telling_after or "", ctx)
    if known.telling_after is not None:
        known.wake_at = ctx.now


@service.on(RemoveGroup)
async def remove_group(message: RemoveGroup, ctx: Context) -> None:
    """Tell that a group is gone."""
    telling.remove_group(await ctx.load(KnownGroup, message.to), message, ctx)


@service.on(RegisterTarget)
async def register_target(message: RegisterTarget, ctx: Context) -> None:
    """Keep and tell a target, and have it asked."""
    telling.register_target(await ctx.load(KnownTarget, message.to), message, ctx)


@service.on(RemoveTarget)
async def remove_target(message: RemoveTarget, ctx: Context) -> None:
    """Tell that a target is gone, and drop its inventory."""
    telling.remove_target(await ctx.load(KnownTarget, message.to), message, ctx)


# What is installed


@service.on(Ask)
async def ask_target(message: Ask, ctx: Context) -> None:
    """Ask a new or changed target at once."""
    telling.renew(await ctx.load(Inventory, message.to), message, ctx)


@service.on(Drop)
async def drop(message: Drop, ctx: Context) -> None:
    """Forget what a removed target had."""
    telling.drop(await ctx.load(Inventory, message.to), message, ctx)


@service.on(AskAgain)
async def ask_again(message: AskAgain, ctx: Context) -> None:
    """Ask a target whose packages may have changed."""
    inventory = await ctx.load(Inventory, message.to)
    if inventory is not None and not inventory.removed:
        inventory.wake_at = ctx.now
        inventory.wake_priority = message.priority


@service.wakes(Inventory)
async def collect(inventory: Inventory, ctx: Context) -> None:
    """Ask the target what it has."""
    if not inventory.removed:
        every = ctx.setting(Settings).inventory_every
        inventory.wake_priority = Whenever
        await asking.ask(inventory, ctx.resource(Asker), every, ctx)


@service.on(WaveDeployed, WaveDeployFailed, WaveRolledBack, WaveRollbackFailed)
async def ask_wave(event: WaveEvent, ctx: Context) -> None:
    """Ask the targets that a wave has touched."""
    if await ctx.load(KnownUpdate, event.order.update_id) is not None:
        for target_id in asking.worth_asking(event):
            ctx.send(AskAgain(to=target_id, priority=ChangedFirst))


@service.on(Change)
async def look_up(message: Change, ctx: Context) -> None:
    """Have the updates assessed again for which a target's change makes a difference."""
    inventory = await ctx.require(Inventory, message.to)
    async for update_id in changes.concerned(inventory, message, ctx):
        ctx.send(Reassess(to=update_id))


@service.on(KnowledgeChange)
async def call_sweep(message: KnowledgeChange, ctx: Context) -> None:
    """Have updates assessed again for which unknown targets count."""
    await ctx.require(Inventory, message.to)
    await sweep.call(message.settled_too, ctx)


@service.on(Gather)
async def gather(message: Gather, ctx: Context) -> None:
    """Gather such news for a moment: at a start it comes from every target."""
    news = await ctx.load(Sweep, SWEEP) or ctx.create(Sweep(id=SWEEP, wake_priority=UpdatesFirst))
    sweep.gather(news, message, ctx.now, ctx.setting(Settings).assessment_delay)


@service.wakes(Sweep)
async def sweep_updates(news: Sweep, ctx: Context) -> None:
    """Tell the updates for which unknown targets count that some have become known, or unknown."""
    asking_still = await looking.still_asking(await ctx.read(Fleet, FLEET), ctx)
    await sweep.advance(news, asking_still, ctx.setting(Settings), ctx)


# What updates mean


@service.on(UpdatePublished)
async def know_update(event: UpdatePublished, ctx: Context) -> None:
    """Keep a published update and assess it at once."""
    update = await _update(event, ctx)
    first = update.published is None
    publish(update, event, ctx.envelope.time if ctx.envelope else ctx.now)
    if first:
        update.wait_until = ctx.now + ctx.setting(Settings).inventory_patience
    update.wake_at = ctx.now


@service.on(AdvisoryPublished)
async def know_advisories(event: AdvisoryPublished, ctx: Context) -> None:
    """Keep what was added to an update and assess it again."""
    update = await ctx.require(KnownUpdate, event.update_id)
    if update.published is None:
        raise Early(f"{update.id} is not published yet", waits_for=(KnownUpdate, update.id))
    amend(update.published, event)
    update.wake_at = ctx.now


@service.on(UpdateRetracted)
async def know_retraction(event: UpdateRetracted, ctx: Context) -> None:
    """Find out where a withdrawn version is installed."""
    update = await _update(event, ctx)
    update.withdrawn = event.reason
    update.wake_at = ctx.now


@service.on(Reassess)
async def look_again(message: Reassess, ctx: Context) -> None:
    """Assess an update soon; what else comes until then is seen too."""
    update = await ctx.require(KnownUpdate, message.to)
    update.look_by(ctx.now + ctx.setting(Settings).assessment_delay)


@service.wakes(KnownUpdate)
async def assess(update: KnownUpdate, ctx: Context) -> None:
    """Say what an update means for the fleet, if that is news."""
    if update.withdrawn is not None:
        await looking.assess_withdrawn(update, ctx)
    elif update.revision or not await looking.should_wait(
        update, ctx.setting(Settings).fleet is not None, ctx
    ):
        await looking.assess(update, ctx)


async def _update(event: UpdatePublished | UpdateRetracted, ctx: Context) -> KnownUpdate:
    known = await ctx.load(KnownUpdate, event.update_id)
    if known is not None:
        return known
    return ctx.create(
        KnownUpdate(
            id=event.update_id,
            component=event.component,
            to_version=event.version,
            wake_priority=UpdatesFirst,
        )
    )
