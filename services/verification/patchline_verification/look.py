"""What is really so on a target: the version in effect, and what its checks say."""

from __future__ import annotations

from collections.abc import Sequence

from patchline_fleet.driver import Driver
from patchline_fleet.installed import is_newer, same_version
from patchline_fleet.runs import TargetRun, end_of, run_checks
from patchline_schemas.fleet import Target
from patchline_schemas.waves import CheckResult, TargetResult

KEPT_OUTPUT = 2000


async def look(target: Target, driver: Driver, run: TargetRun) -> TargetResult:
    """Ask the target for the version in effect and run every check."""
    inventory = await driver.inventory(target, timeout=run.order.target_timeout)
    checks = await run_checks(target, driver)
    return judge(run, inventory.version_of(run.order.component), checks)


def judge(run: TargetRun, found: str | None, checks: Sequence[CheckResult]) -> TargetResult:
    """Whether the target is as the step before left it.

    In the soak time a newer version is no failure: the wave does not hold its targets then, and a later
    update may have come. A check that failed before the deployment already is named but not held against
    the update.
    """
    component = run.order.component
    expected = run.assignment.expected_version
    notes, faults = [], []
    if not same_version(component, found, expected):
        if run.lap > 1 and expected is not None and is_newer(component, found, expected):
            notes.append(f"A later update has brought {found} into effect meanwhile.")
        else:
            faults.append(f"{component} is {found or 'not installed'}, expected was {expected or 'none'}")
    for check in checks:
        if check.passed:
            continue
        if check.name in run.assignment.failed_before:
            notes.append(
                f"The check `{check.name}` fails as it did before the deployment; "
                "that is not held against the update."
            )
        else:
            faults.append(f"the check `{check.name}` failed: {end_of(check.output, KEPT_OUTPUT)}")
    return TargetResult(
        target_id=run.assignment.target_id,
        outcome="failed" if faults else "succeeded",
        from_version=run.assignment.target.from_version,
        to_version=found,
        checks=tuple(checks),
        notes=tuple(notes),
        error="\n".join(faults) or None,
    )
