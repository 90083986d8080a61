"""Work on all targets of a wave: one piece of code for backup, deployment, rollback and verification."""

from patchline_fleet.runs.attempt import LeftOut
from patchline_fleet.runs.checkup import run_checks
from patchline_fleet.runs.documents import (
    FAILURES,
    Assignment,
    TargetRun,
    WaveRun,
    target_run_id,
    wave_run_id,
    window_is_over,
)
from patchline_fleet.runs.fit import ROOM, end_of, fit, fit_by, size
from patchline_fleet.runs.lap import Lap
from patchline_fleet.runs.steps import Step, WaveRuns, is_stopped

__all__ = [
    "FAILURES",
    "ROOM",
    "Assignment",
    "Lap",
    "LeftOut",
    "Step",
    "TargetRun",
    "WaveRun",
    "WaveRuns",
    "end_of",
    "fit",
    "fit_by",
    "is_stopped",
    "run_checks",
    "size",
    "target_run_id",
    "wave_run_id",
    "window_is_over",
]
