"""A target's own checks, all of them, each within its time limit."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from patchline_fleet.checks import check_name
from patchline_fleet.driver import Driver, TimedOut
from patchline_schemas.fleet import Check, Target
from patchline_schemas.waves import CheckResult

GRACE = timedelta(seconds=2)
"""What a driver gets beyond a check's limit to stop it and say so."""


async def run_checks(target: Target, driver: Driver) -> tuple[CheckResult, ...]:
    """What each of the target's checks says, in their order. One that hangs has failed.

    Raises :class:`patchline_fleet.driver.DriverError` if the target cannot be asked at all.
    """
    return tuple([await _run_check(target, check, driver) for check in target.checks])


async def _run_check(target: Target, check: Check, driver: Driver) -> CheckResult:
    try:
        async with asyncio.timeout((check.timeout + GRACE).total_seconds()):
            return await driver.check(target, check, timeout=check.timeout)
    except TimedOut as error:
        said = str(error)
    except TimeoutError:
        said = f"it did not end within {check.timeout.total_seconds():g} s and was stopped"
    return CheckResult(name=check_name(check), passed=False, output=said, duration=check.timeout)
