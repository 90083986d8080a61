"""How a wave's events move its targets' outcomes, whatever order they arrive in.

Each event stands at a step of the wave's life. News of a later step wins; of an earlier one only what was
not known yet is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from patchline_schemas import waves
from patchline_schemas.values import TargetOutcome, WaveState
from patchline_schemas.waves import TargetResult, WaveEvent

PLANNED, DROPPED, DUE, BACKED_UP, DEPLOYED, CHECKED, ENDED, REVERTING, REVERTED, SETTLED = range(10)
"""The steps of a wave's life, in order."""


@dataclass(frozen=True, slots=True)
class TargetNews:
    """What one event says of one target; None where it says nothing."""

    outcome: TargetOutcome | None = None
    from_version: str | None = None
    """The version before the update; a rollback's own before-version is the update's, so it says none."""
    error: str | None = None
    failing_since: datetime | None = None
    """When the deployment, before it touched the target, found a check that failed."""
    none_passed: tuple[str, ...] = ()
    """Names of the target's checks, where it counts as good though none of them passed."""
    unchecked: bool = False
    """Whether it counts as good though no check is declared for it."""


@dataclass(frozen=True, slots=True)
class WaveNews:
    """What one event says of a wave."""

    step: int
    state: WaveState
    targets: Mapping[str, TargetNews] = field(default_factory=dict)


def wave_news(event: WaveEvent) -> WaveNews:  # noqa: PLR0911, PLR0912 - one branch for each step
    """What ``event`` says of its wave and the wave's targets."""
    match event:
        case waves.WavePlanned(targets=targets):
            return WaveNews(PLANNED, "planned", _all(targets, "pending"))
        case waves.WaveCancelled():
            return WaveNews(DROPPED, "cancelled")
        case waves.WaveDue(targets=targets):
            return WaveNews(DUE, "backing-up", _all(targets, "running"))
        case waves.WaveBackedUp(targets=targets):
            return WaveNews(BACKED_UP, "deploying", _all(targets, "running"))
        case waves.WaveBackupFailed(results=results):
            return WaveNews(BACKED_UP, "failed", _stopped_before_deployment(results))
        case waves.WaveDeployed(results=results, not_started=left):
            running = _deployed(results)
            state: WaveState = "verifying" if any(_was_started(each) for each in results) else "cancelled"
            return WaveNews(DEPLOYED, state, running | _all(left, "not-started"))
        case waves.WaveDeployFailed(results=results):
            return WaveNews(DEPLOYED, "failed", _results(results))
        case waves.WaveChecksPassed(results=results):
            return WaveNews(CHECKED, "soaking", _checked(results, instead_of_succeeded="running"))
        case waves.WaveVerified(results=results):
            return WaveNews(ENDED, "verified", _checked(results))
        case waves.WaveVerificationFailed(results=results):
            return WaveNews(ENDED, "failed", _results(results))
        case waves.WaveRollbackRequested():
            return WaveNews(REVERTING, "rolling-back")
        case waves.WaveRolledBack(results=results):
            return WaveNews(REVERTED, "rolling-back", _rollback_results(results))
        case waves.WaveRollbackVerified(results=results):
            return WaveNews(SETTLED, "rolled-back", _rollback_results(results))
        case waves.WaveRollbackFailed(results=results):
            return WaveNews(SETTLED, "failed", _rollback_results(results))
        case _:
            return WaveNews(PLANNED, "planned")


def _all(targets: Sequence[waves.WaveTarget], outcome: TargetOutcome) -> dict[str, TargetNews]:
    return {target.target_id: TargetNews(outcome, target.from_version) for target in targets}


def _results(
    results: Sequence[TargetResult], *, instead_of_succeeded: TargetOutcome = "succeeded"
) -> dict[str, TargetNews]:
    """A step that went well is no success of the target before the wave's last step has."""
    return {
        result.target_id: TargetNews(
            instead_of_succeeded if result.outcome == "succeeded" else result.outcome,
            result.from_version,
            result.error,
        )
        for result in results
    }


def _was_started(result: TargetResult) -> bool:
    return result.outcome != "not-started"


def _deployed(results: Sequence[TargetResult]) -> dict[str, TargetNews]:
    told = _results(results, instead_of_succeeded="running")
    for result in results:
        if any(not check.passed for check in result.checks):
            told[result.target_id] = replace(told[result.target_id], failing_since=result.started_at)
    return told


def _checked(
    results: Sequence[TargetResult], *, instead_of_succeeded: TargetOutcome = "succeeded"
) -> dict[str, TargetNews]:
    told = _results(results, instead_of_succeeded=instead_of_succeeded)
    for result in results:
        if result.outcome == "succeeded" and not any(check.passed for check in result.checks):
            names = tuple(check.name for check in result.checks)
            told[result.target_id] = replace(told[result.target_id], none_passed=names, unchecked=not names)
    return told


def _rollback_results(results: Sequence[TargetResult]) -> dict[str, TargetNews]:
    """What a rollback says; the version that it began from is the one the update brought."""
    told = _results(results, instead_of_succeeded="rolled-back")
    return {target_id: replace(news, from_version=None) for target_id, news in told.items()}


def _stopped_before_deployment(results: Sequence[TargetResult]) -> dict[str, TargetNews]:
    """Where a wave's backup fails, nothing is deployed anywhere: a good backup is a target not started."""
    return _results(results, instead_of_succeeded="not-started")
