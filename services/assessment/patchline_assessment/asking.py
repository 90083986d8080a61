"""Asks a target what it has, and keeps the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

from patchline_assessment.inventory import (
    FAILURES_TO_UNKNOWN,
    FIRST_RETRY,
    Inventory,
    changed,
    next_ask,
    packages_of,
    report,
    retry_after,
    size_of,
)
from patchline_assessment.messages import Change, KnowledgeChange
from patchline_fleet.driver import Busy, DriverError
from patchline_fleet.driver import Inventory as Answer
from patchline_fleet.drivers import Drivers
from patchline_kit.context import Context
from patchline_schemas.envelope import MAX_MESSAGE_BYTES
from patchline_schemas.fleet import InventoryFailed, Target
from patchline_schemas.waves import (
    WaveDeployed,
    WaveDeployFailed,
    WaveEvent,
    WaveRollbackFailed,
    WaveRolledBack,
)

REASON_LENGTH = 4000


class Asker:
    """Asks targets by their drivers, a limited number at a time."""

    def __init__(self, drivers: Drivers, *, at_once: int, timeout: timedelta) -> None:
        self._drivers = drivers
        self._turns = asyncio.Semaphore(at_once)
        self._timeout = timeout

    def ecosystems(self, target: Target) -> tuple[str, ...] | None:
        """The ecosystems that the target's driver can find there; None if it does not say."""
        try:
            found = getattr(self._drivers.for_target(target), "ecosystems", None)
        except DriverError:
            return None
        return tuple(sorted(found)) if found else None

    async def ask(self, target: Target) -> Answer:
        """Every package of the target. Raises :class:`DriverError`."""
        async with self._turns:
            return await self._drivers.for_target(target).inventory(target, timeout=self._timeout)


async def ask(inventory: Inventory, asker: Asker, every: timedelta, ctx: Context) -> None:
    """Ask the inventory's target now, keep and tell what is new, and say when to ask again."""
    inventory.ecosystems = asker.ecosystems(inventory.target)
    began = ctx.now
    try:
        answer = await asker.ask(inventory.target)
        _fits(answer)
    except Busy:
        inventory.wake_at = ctx.now + FIRST_RETRY
    except DriverError as error:
        _note_failure(inventory, str(error)[-REASON_LENGTH:] or type(error).__name__, ctx)
        inventory.wake_at = ctx.now + retry_after(inventory.failures, every)
    else:
        _note_answer(inventory, answer, began, ctx)
        inventory.wake_at = next_ask(inventory.id, ctx.now, every)


def worth_asking(event: WaveEvent) -> Iterator[str]:
    """Ids of the targets that a wave's step has begun to change, or found to be not as they were assessed."""
    if isinstance(event, WaveDeployed | WaveDeployFailed | WaveRolledBack | WaveRollbackFailed):
        for result in event.results:
            if result.error or result.outcome not in ("pending", "not-started"):
                yield result.target_id


def _note_answer(inventory: Inventory, answer: Answer, asked_at: datetime, ctx: Context) -> None:
    packages = packages_of(answer)
    was_known, recovered = inventory.state == "known", inventory.failure is not None
    before = (inventory.packages, inventory.runtime, inventory.environment)
    difference = changed(inventory.packages, packages)
    inventory.packages, inventory.runtime, inventory.environment = (
        packages,
        answer.runtime,
        answer.environment,
    )
    inventory.collected_at = asked_at
    inventory.state, inventory.failure, inventory.failures = "known", None, 0
    if was_known and not recovered and before == (packages, answer.runtime, answer.environment):
        return
    ctx.emit(report(inventory))
    if not was_known:
        ctx.send(Change(to=inventory.id, whole=True))
        ctx.send(KnowledgeChange(to=inventory.id))
    elif difference:
        ctx.send(Change(to=inventory.id, before=difference))


def _note_failure(inventory: Inventory, reason: str, ctx: Context) -> None:
    inventory.failures += 1
    if reason != inventory.failure:
        ctx.log.warning("the inventory of %s cannot be collected: %s", inventory.id, reason)
        ctx.emit(
            InventoryFailed(
                target_id=inventory.id, group=inventory.target.group, attempted_at=ctx.now, reason=reason
            )
        )
    inventory.failure = reason
    never_asked = inventory.state == "awaited"
    if never_asked or (inventory.state == "known" and inventory.failures >= FAILURES_TO_UNKNOWN):
        inventory.state = "unknown"
        ctx.send(KnowledgeChange(to=inventory.id, settled_too=never_asked))


def _fits(answer: Answer) -> None:
    size = size_of(packages_of(answer))
    if size > MAX_MESSAGE_BYTES * 0.9:
        raise DriverError(
            f"it has {len(answer.packages)} packages, {size // 1024} KiB to report; "
            f"an event may have at most {MAX_MESSAGE_BYTES // 1024} KiB. Split the target in the fleet file"
        )
