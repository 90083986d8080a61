"""Planning as a service: its name, its settings and what it publishes."""

from __future__ import annotations

from patchline_kit.service import Service
from patchline_planning.settings import Settings
from patchline_schemas.requests import RequestAccepted, RequestRefused
from patchline_schemas.updates import (
    UpdateApproved,
    UpdateCancelled,
    UpdateCompleted,
    UpdateDueSoon,
    UpdateFailed,
    UpdateNotApplicable,
    UpdateOverdue,
    UpdatePlanned,
    UpdateProgressed,
    UpdateRejected,
)
from patchline_schemas.waves import WaveCancelled, WaveDue, WavePlanned, WaveRollbackRequested

service = Service(
    "planning",
    emits=[
        UpdatePlanned,
        UpdateProgressed,
        UpdateApproved,
        UpdateRejected,
        UpdateDueSoon,
        UpdateOverdue,
        UpdateNotApplicable,
        UpdateCompleted,
        UpdateFailed,
        UpdateCancelled,
        WavePlanned,
        WaveDue,
        WaveCancelled,
        WaveRollbackRequested,
        RequestAccepted,
        RequestRefused,
    ],
    settings=Settings,
)
