"""What a service that works on targets knows of them: the newest word of the fleet file on each."""

from __future__ import annotations

from patchline_kit.context import Context
from patchline_kit.documents import Document
from patchline_kit.outcomes import Early, Stale
from patchline_kit.service import Service
from patchline_schemas.fleet import Target, TargetRegistered, TargetRemoved


class KnownTarget(Document, collection="known_targets", id_of="target"):
    """A target as the fleet file has it; its id is the target's."""

    revision: int = 0
    """Of the fleet file; older news is stale."""
    target: Target | None = None
    """Its last specification; null if it was removed before it was ever seen."""
    removed: bool = False
    """Whether it is gone from the fleet file. Its specification stays: what runs on it must end well."""


def remember_targets(service: Service) -> None:
    """Let ``service`` keep a :class:`KnownTarget` for each target of the fleet."""

    @service.on(TargetRegistered)
    async def remember(event: TargetRegistered, ctx: Context) -> None:
        known = await _newer(event.target.id, event.revision, ctx)
        known.target, known.removed = event.target, False

    @service.on(TargetRemoved)
    async def forget(event: TargetRemoved, ctx: Context) -> None:
        known = await _newer(event.target_id, event.revision, ctx)
        known.removed = True


async def known_target(target_id: str, ctx: Context) -> KnownTarget:
    """What is known of a target. Raises :class:`Early` until ``fleet.target-registered`` was handled."""
    known = await ctx.read(KnownTarget, target_id)
    if known is None:
        raise Early(f"the target {target_id} is not registered here yet", waits_for=(KnownTarget, target_id))
    return known


async def _newer(target_id: str, revision: int, ctx: Context) -> KnownTarget:
    known = await ctx.load(KnownTarget, target_id)
    if known is None:
        known = ctx.create(KnownTarget(id=target_id))
    elif known.revision >= revision:
        raise Stale(f"{target_id} is known as of revision {known.revision} of the fleet file")
    known.revision = revision
    return known
