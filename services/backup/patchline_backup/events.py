"""What the service says of a wave, from the results: pure functions."""

from __future__ import annotations

from patchline_fleet.runs import Assignment, Lap, fit, size
from patchline_schemas.waves import WaveBackedUp, WaveBackupFailed, WaveDue

ROOM = 250 * 1024
"""Bytes for the targets and backups of one event; planning repeats them when it asks for a rollback."""


def assignments(event: WaveDue) -> tuple[Assignment, ...]:
    """Each target of the wave."""
    return tuple(Assignment(target=target) for target in event.targets)


def backed_up(lap: Lap) -> WaveBackedUp | WaveBackupFailed:
    """Good news only if every target has a backup that was restored once, but for those that left the fleet.

    The targets' environments are left out where they would make the event too long; if it is too long even
    so, the wave has failed, and the error says what to change.
    """
    if lap.failures or lap.not_started or lap.refused is not None:
        return _failed(lap, lap.error())
    targets = tuple(run.assignment.target for run in lap.runs)
    backups = tuple(run.backup for run in lap.runs if run.backup is not None)
    if size((*targets, *backups)) > ROOM:
        targets = tuple(target.model_copy(update={"environment": None}) for target in targets)
    if size((*targets, *backups)) > ROOM:
        return _failed(
            lap,
            f"the backups of {len(targets)} targets with names this long do not fit into one event: "
            "make the group's wave_size smaller",
        )
    return WaveBackedUp(order=lap.order, targets=targets, backups=backups)


def _failed(lap: Lap, error: str) -> WaveBackupFailed:
    return WaveBackupFailed(order=lap.order, results=fit(lap.results_of_all), error=error)
