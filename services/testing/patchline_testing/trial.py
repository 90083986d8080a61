"""One trial: the update in a disposable copy of a real target."""

from __future__ import annotations

import asyncio
from pathlib import Path

from patchline_fleet.driver import Busy, Driver, DriverError, TimedOut
from patchline_fleet.drivers import Drivers
from patchline_fleet.registry import KnownTarget
from patchline_fleet.scratch import scratch
from patchline_kit.context import Context
from patchline_kit.outcomes import RetryLater
from patchline_schemas.fleet import Target
from patchline_schemas.updates import EnvironmentTest
from patchline_testing.documents import Trial
from patchline_testing.judge import judge, not_copied
from patchline_testing.settings import Settings

SCRATCH = "test"
"""What the names of its scratch folders begin with."""


async def try_update(trial: Trial, known: KnownTarget, ctx: Context) -> EnvironmentTest:
    """Copy the representative, try the update there, and judge. The copy is removed in any case.

    Raises :class:`RetryLater` while another change is under way on the target, for one time limit.
    """
    settings = ctx.setting(Settings)
    limit = settings.test_timeout
    environment, target_id = trial.representative.environment, trial.representative.target_id
    try:
        target = _present(known)
        driver = ctx.resource(Drivers).for_target(target)
        async with asyncio.timeout(limit.total_seconds()):
            return await _rehearse(trial, target, driver, settings.dir / "work", ctx)
    except Busy as error:
        if not ctx.deadline_passed(trial.asked_at, limit):
            raise RetryLater(str(error)) from error
        return not_copied(environment, target_id, str(error))
    except (TimeoutError, TimedOut):
        why = f"the test did not end within {limit.total_seconds():g} s and was stopped"
        return not_copied(environment, target_id, why)
    except (DriverError, OSError) as error:
        return not_copied(environment, target_id, str(error) or type(error).__name__)


async def _rehearse(
    trial: Trial, target: Target, driver: Driver, work: Path, ctx: Context
) -> EnvironmentTest:
    async with scratch(work, SCRATCH) as folder:
        rehearsal = await driver.rehearse(
            target,
            trial.component,
            trial.update_version,
            folder,
            timeout=ctx.setting(Settings).test_timeout,
        )
    return judge(trial.representative.environment, target.id, rehearsal)


def _present(known: KnownTarget) -> Target:
    if known.target is None or known.removed:
        raise DriverError(f"{known.id} is no longer in the fleet file, so there is nothing to copy")
    return known.target
