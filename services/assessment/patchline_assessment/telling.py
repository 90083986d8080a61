"""Carries what the fleet file says to the documents that it is about."""

from __future__ import annotations

from datetime import timedelta

from patchline_assessment.fleet import Fleet, KnownGroup, KnownTarget, groups_gone, news
from patchline_assessment.fleet_source import Refused
from patchline_assessment.inventory import Inventory
from patchline_assessment.messages import (
    Ask,
    AskAgain,
    Change,
    Drop,
    EveryoneTold,
    KnowledgeChange,
    RegisterGroup,
    RegisterTarget,
    RemoveGroup,
    RemoveTarget,
)
from patchline_fleet.fleetfile import FleetFile
from patchline_kit.context import Context
from patchline_schemas.fleet import (
    FleetFileRead,
    FleetFileRefused,
    GroupRegistered,
    GroupRemoved,
    TargetRegistered,
    TargetRemoved,
)

BLOCK = 500
"""So many documents are told with one write."""
FRESH = timedelta(minutes=1)
"""A target that answered so recently is not asked again at a start."""
NEW_TARGET = 10
"""Wake priority of a target that was never asked."""


async def follow(fleet: Fleet, file: FleetFile | Refused | None, ctx: Context) -> None:
    """Bring the known fleet to what ``file`` says now. A file that cannot be used changes nothing but
    :attr:`Fleet.error`.
    """
    if fleet.ask_all:
        await _ask_all(fleet, ctx)
    if isinstance(file, Refused):
        _note_refused(fleet, file, ctx)
    elif file is not None and file.digest == fleet.digest:
        _note_repaired(fleet, file, ctx)
        if fleet.telling:
            await _tell(fleet, file, ctx)
    elif fleet.telling:
        _stop_telling(fleet, ctx)
    elif file is not None and fleet.told_revision == fleet.revision:
        fleet.revision += 1
        fleet.digest, fleet.targets_total, fleet.telling = file.digest, len(file.targets), True
        fleet.error = fleet.refused_digest = None
        ctx.emit(_file_read(fleet, file))
        for group in file.groups:
            ctx.send(
                RegisterGroup(
                    to=group.name,
                    revision=fleet.revision,
                    group=group,
                    freezes=file.freezes_of(group.name),
                )
            )
        async for gone in groups_gone(fleet, file, ctx):
            ctx.send(gone)
        await ctx.checkpoint()
        await _tell(fleet, file, ctx)


def register_group(known: KnownGroup | None, message: RegisterGroup, ctx: Context) -> bool:
    """Keep and tell what the file says of a group; whether that changes its updates' urgency."""
    if known is None:
        ctx.create(
            KnownGroup(id=message.to, revision=message.revision, group=message.group, freezes=message.freezes)
        )
    elif message.revision <= known.revision or _is_known(known, message):
        return False
    ctx.emit(GroupRegistered(revision=message.revision, group=message.group, freezes=message.freezes))
    if known is None:
        return False
    before = known.group
    known.revision, known.group, known.freezes = message.revision, message.group, message.freezes
    known.removed = False
    return (before.exposure, before.criticality) != (message.group.exposure, message.group.criticality)


def _is_known(known: KnownGroup, message: RegisterGroup) -> bool:
    return not known.removed and (known.group, known.freezes) == (message.group, message.freezes)


def remove_group(known: KnownGroup | None, message: RemoveGroup, ctx: Context) -> None:
    """Tell that a group is gone."""
    if known is None or known.removed or message.revision <= known.revision:
        return
    known.revision, known.removed = message.revision, True
    ctx.emit(GroupRemoved(revision=message.revision, group=known.id))


def register_target(known: KnownTarget | None, message: RegisterTarget, ctx: Context) -> None:
    """Keep and tell what the file says of a target, and have it asked."""
    if known is None:
        ctx.create(KnownTarget(id=message.to, revision=message.revision, target=message.target))
    elif message.revision <= known.revision:
        return
    else:
        known.revision, known.target, known.removed = message.revision, message.target, False
    ctx.emit(TargetRegistered(revision=message.revision, target=message.target))
    ctx.send(Ask(to=message.to, revision=message.revision, target=message.target))


def remove_target(known: KnownTarget | None, message: RemoveTarget, ctx: Context) -> None:
    """Tell that a target is gone."""
    if known is None or known.removed or message.revision <= known.revision:
        return
    known.revision, known.removed = message.revision, True
    ctx.emit(TargetRemoved(revision=message.revision, target_id=known.id, group=known.target.group))
    ctx.send(Drop(to=known.id, revision=message.revision))


def renew(inventory: Inventory | None, message: Ask, ctx: Context) -> None:
    """Have a target asked at once. One that moved to another group, or came back, is news for its updates."""
    if inventory is None:
        inventory = ctx.create(Inventory(id=message.to, revision=message.revision, target=message.target))
    elif message.revision <= inventory.revision:
        return
    moved = inventory.target.group != message.target.group
    inventory.revision, inventory.target = message.revision, message.target
    if inventory.removed:
        inventory.removed, inventory.state, inventory.packages = False, "awaited", {}
        inventory.failure, inventory.failures = None, 0
    elif moved and inventory.state == "known":
        ctx.send(Change(to=inventory.id, whole=True))
    elif moved:
        ctx.send(KnowledgeChange(to=inventory.id))
    inventory.wake_at, inventory.wake_priority = ctx.now, NEW_TARGET


def drop(inventory: Inventory | None, message: Drop, ctx: Context) -> None:
    """Forget what a removed target had; its updates are assessed without it."""
    if inventory is None or message.revision <= inventory.revision:
        return
    inventory.revision, inventory.removed, inventory.wake_at = message.revision, True, None
    if inventory.state == "known":
        ctx.send(Change(to=inventory.id, before=inventory.packages))
    else:
        ctx.send(KnowledgeChange(to=inventory.id))
    inventory.packages = {}


async def _tell(fleet: Fleet, file: FleetFile, ctx: Context) -> None:
    count = 0
    async for message in news(fleet, file, ctx):
        ctx.send(message)
        count += 1
        if count % BLOCK == 0:
            await ctx.checkpoint()
    _stop_telling(fleet, ctx)


def _stop_telling(fleet: Fleet, ctx: Context) -> None:
    """Nothing more follows of this revision: the file is told, or has changed in the middle of it."""
    fleet.telling = False
    ctx.send(EveryoneTold(to=fleet.id, revision=fleet.revision))


async def _ask_all(fleet: Fleet, ctx: Context) -> None:
    fleet.ask_all = False
    after = ""
    while page := await ctx.find(Inventory, after=after, limit=BLOCK):
        after = page[-1].id
        for each in page:
            stale = each.collected_at is None or each.collected_at < ctx.now - FRESH
            if stale and not each.removed:
                ctx.send(AskAgain(to=each.id))
        await ctx.checkpoint()


def _note_refused(fleet: Fleet, file: Refused, ctx: Context) -> None:
    if (file.digest, file.error) == (fleet.refused_digest, fleet.error):
        return
    fleet.refused_digest, fleet.error = file.digest, file.error
    kept = f"revision {fleet.revision} still holds" if fleet.revision else "there is no earlier one to keep"
    ctx.log.error("the fleet file cannot be used, %s:\n%s", kept, file.error)
    ctx.emit(
        FleetFileRefused(
            revision=fleet.revision, path=str(file.path), digest=file.digest, error=file.error[:32_000]
        )
    )


def _note_repaired(fleet: Fleet, file: FleetFile, ctx: Context) -> None:
    if fleet.error is not None:
        fleet.error = fleet.refused_digest = None
        ctx.emit(_file_read(fleet, file))


def _file_read(fleet: Fleet, file: FleetFile) -> FleetFileRead:
    return FleetFileRead(
        revision=fleet.revision,
        path=str(file.path),
        digest=file.digest,
        groups_total=len(file.groups),
        targets_total=len(file.targets),
    )
