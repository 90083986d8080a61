"""What the service says of a wave, from the results: pure functions."""

from __future__ import annotations

from patchline_fleet.runs import Assignment, Lap, fit
from patchline_schemas.waves import WaveBackedUp, WaveBackupFailed, WaveDue


def assignments(event: WaveDue) -> tuple[Assignment, ...]:
    """Each target of the wave."""
    return tuple(Assignment(target=target) for target in event.targets)


def backed_up(lap: Lap) -> WaveBackedUp | WaveBackupFailed:
    """Good news only if every target has a backup that was restored once."""
    backups = tuple(run.backup for run in lap.runs if run.backup is not None)
    if lap.failures or lap.not_started or lap.refused is not None:
        return WaveBackupFailed(order=lap.order, results=fit(lap.results_of_all), error=lap.error())
    return WaveBackedUp(
        order=lap.order, targets=tuple(run.assignment.target for run in lap.runs), backups=backups
    )
