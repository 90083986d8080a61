"""What the service says of a wave, from what it was told and from the results: pure functions."""

from __future__ import annotations

from patchline_fleet.runs import ROOM, Assignment, Lap, fit, size
from patchline_schemas.waves import (
    WaveBackedUp,
    WaveDeployed,
    WaveDeployFailed,
    WaveRollbackFailed,
    WaveRollbackRequested,
    WaveRolledBack,
)


def assignments(event: WaveBackedUp | WaveRollbackRequested) -> tuple[Assignment, ...]:
    """Each target of the event with its backup."""
    backups = {backup.target_id: backup for backup in event.backups}
    return tuple(Assignment(target=target, backup=backups.get(target.target_id)) for target in event.targets)


def deployed(lap: Lap) -> WaveDeployed | WaveDeployFailed:
    """Good news if no more targets failed than the policy allows; what the window left out is no failure."""
    if lap.refused is not None or len(lap.failures) > lap.order.max_failures:
        return WaveDeployFailed(order=lap.order, results=fit(lap.results_of_all), error=lap.error())
    room = ROOM - size(lap.not_started)
    return WaveDeployed(order=lap.order, results=fit(lap.results, room=room), not_started=lap.not_started)


def rolled_back(lap: Lap) -> WaveRolledBack | WaveRollbackFailed:
    """Good news only if every target is as its backup has it."""
    if lap.refused is not None or lap.failures:
        return WaveRollbackFailed(order=lap.order, results=fit(lap.results_of_all), error=lap.error())
    return WaveRolledBack(order=lap.order, results=fit(lap.results))
