"""What the service says of a wave, from what it was told and from the results: pure functions."""

from __future__ import annotations

from datetime import datetime

from patchline_fleet.runs import Assignment, Lap, fit
from patchline_schemas.waves import (
    TargetResult,
    WaveChecksPassed,
    WaveDeployed,
    WaveRollbackFailed,
    WaveRollbackVerified,
    WaveRolledBack,
    WaveTarget,
    WaveVerificationFailed,
    WaveVerified,
)


def deployed_targets(event: WaveDeployed) -> tuple[Assignment, ...]:
    """The targets on which the deployment succeeded; they must have the wave's version."""
    return tuple(
        _assignment(result, event.order.version) for result in event.results if result.outcome == "succeeded"
    )


def rolled_back_targets(event: WaveRolledBack) -> tuple[Assignment, ...]:
    """The targets that were rolled back; they must still have what the rollback found in effect."""
    return tuple(
        _assignment(result, result.to_version) for result in event.results if result.outcome == "rolled-back"
    )


def checks_passed(lap: Lap, soak_until: datetime) -> WaveChecksPassed:
    """The first look at all targets was good."""
    return WaveChecksPassed(order=lap.order, results=fit(lap.results), soak_until=soak_until)


def verified(lap: Lap) -> WaveVerified:
    """The look at the end of the soak time was good."""
    return WaveVerified(order=lap.order, results=fit(lap.results))


def verification_failed(lap: Lap) -> WaveVerificationFailed:
    """A look at a target was not good."""
    return WaveVerificationFailed(
        order=lap.order, results=fit(lap.results_of_all), error=lap.error(), during_soak=lap.number > 1
    )


def rollback_checked(lap: Lap) -> WaveRollbackVerified | WaveRollbackFailed:
    """Good news only if every target works as before."""
    if lap.failures:
        return WaveRollbackFailed(order=lap.order, results=fit(lap.results_of_all), error=lap.error())
    return WaveRollbackVerified(order=lap.order, results=fit(lap.results))


def last_look_began_at_end(lap: Lap, soak_until: datetime) -> bool:
    """Whether every target was looked at when the soak time was over."""
    return all(run.allowed_at >= soak_until for run in lap.runs)


def _assignment(result: TargetResult, expected: str | None) -> Assignment:
    return Assignment(
        target=WaveTarget(target_id=result.target_id, from_version=result.from_version or ""),
        expected_version=expected,
        failed_before=tuple(check.name for check in result.checks if not check.passed),
    )
