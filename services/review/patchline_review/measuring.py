"""Takes what an event says into a case. The same events in another order give the same case."""

from __future__ import annotations

from collections.abc import Iterable

from patchline_review.case import Case, Mark, RoundCase, WaveCase
from patchline_schemas import Event, updates, waves
from patchline_schemas.values import UpdateState

ENDINGS: dict[type[Event], UpdateState] = {
    updates.UpdateCompleted: "completed",
    updates.UpdateFailed: "failed",
    updates.UpdateCancelled: "cancelled",
    updates.UpdateRejected: "rejected",
    updates.UpdateNotApplicable: "not-applicable",
}
MEASURED: tuple[type[Event], ...] = (
    updates.UpdateAssessed,
    updates.UpdatePlanned,
    updates.UpdateTested,
    updates.UpdateTestFailed,
    updates.UpdateApproved,
    updates.UpdateOverdue,
    *ENDINGS,
    updates.UpdateDocumented,
    waves.WavePlanned,
    waves.WaveCancelled,
    waves.WaveDue,
    waves.WaveBackedUp,
    waves.WaveBackupFailed,
    waves.WaveDeployed,
    waves.WaveDeployFailed,
    waves.WaveChecksPassed,
    waves.WaveVerified,
    waves.WaveVerificationFailed,
    waves.WaveRolledBack,
    waves.WaveRollbackVerified,
    waves.WaveRollbackFailed,
)
"""The events that a review measures."""

MOMENTS: dict[type[Event], str] = {
    waves.WaveDue: "due",
    waves.WaveCancelled: "cancelled",
    waves.WaveBackedUp: "backed_up",
    waves.WaveDeployed: "deployed",
    waves.WaveChecksPassed: "checks_passed",
    waves.WaveVerified: "verified",
    waves.WaveBackupFailed: "failed",
    waves.WaveDeployFailed: "failed",
    waves.WaveVerificationFailed: "failed",
    waves.WaveRollbackVerified: "rolled_back",
    waves.WaveRollbackFailed: "rollback_failed",
}
"""Which moment of a wave an event marks."""
FAILURES = frozenset({"failed", "timed-out", "unreachable"})


def case_id(event: Event) -> str:
    """The update that a measured event is about."""
    if isinstance(event, waves.WaveEvent):
        return event.order.update_id
    if isinstance(event, updates.UpdateEvent):
        return event.update_id
    raise TypeError(f"{type(event).__name__} is not measured")


def note(case: Case, event: Event, mark: Mark) -> None:
    """Take in what ``event`` says."""
    if isinstance(event, waves.WaveEvent):
        case.component, case.to_version = event.order.component, event.order.version
        _note_wave(_wave(case.round(event.order.round), event.order), event, mark)
        return
    if isinstance(event, updates.UpdateEvent):
        case.component, case.to_version = event.component, event.version
    if isinstance(event, updates.UpdateAssessed):
        case.published_at, case.due_at = event.published_at, event.due_at
    elif isinstance(event, updates.UpdateOverdue):
        number = max(case.rounds, default=1)
        case.round(number).overdue = mark
    else:
        _note_round(case.round(getattr(event, "round", 1)), event, mark)


def _note_round(found: RoundCase, event: Event, mark: Mark) -> None:
    match event:
        case updates.UpdatePlanned():
            found.planned = _earlier(found.planned, mark)
            found.due_at = event.due_at or found.due_at
        case updates.UpdateTested():
            found.tests = _with(found.tests, mark)
            found.tested = _later(found.tested, mark)
        case updates.UpdateTestFailed():
            found.tests = _with(found.tests, mark)
            found.test_failed = mark
        case updates.UpdateApproved():
            found.approved = _later(found.approved, mark)
        case updates.UpdateDocumented():
            found.documented, found.revision = mark, event.revision
        case updates.UpdateEnded() | updates.UpdateRejected():
            found.ended, found.outcome = mark, ENDINGS[type(event)]
            found.due_at = getattr(event, "due_at", None) or found.due_at
        case _:
            raise TypeError(f"{type(event).__name__} is not measured")


def _wave(found: RoundCase, order: waves.WaveOrder) -> WaveCase:
    return found.waves.setdefault(
        order.wave_id,
        WaveCase(
            id=order.wave_id,
            number=order.number,
            group=order.group,
            soak=order.soak,
            concurrency=order.concurrency,
            window_ends_at=order.window_ends_at,
        ),
    )


def _note_wave(wave: WaveCase, event: waves.WaveEvent, mark: Mark) -> None:
    if type(event) in MOMENTS:
        setattr(wave, MOMENTS[type(event)], mark)
    wave.failed_targets |= _failed(getattr(event, "results", ()))
    match event:
        case waves.WavePlanned():
            wave.starts_at, wave.window_ends_at = event.starts_at, event.ends_at
            wave.targets_total = len(event.targets)
        case waves.WaveDue():
            wave.targets_total = len(event.targets)
        case waves.WaveDeployed():
            wave.not_started_total = len(event.not_started)
            wave.left_out_total = len(event.left_out())
        case waves.WaveBackupFailed():
            wave.failed_step = "backup"
        case waves.WaveDeployFailed():
            wave.failed_step = "deployment"
        case waves.WaveVerificationFailed():
            wave.failed_step, wave.failed_in_soak = "verification", event.during_soak
        case waves.WaveRolledBack() | waves.WaveRollbackVerified():
            wave.rolled_back_targets |= {
                result.target_id for result in event.results if result.outcome in ("rolled-back", "succeeded")
            }
        case _:
            pass


def _failed(results: Iterable[waves.TargetResult]) -> frozenset[str]:
    return frozenset(result.target_id for result in results if result.outcome in FAILURES)


def _with(marks: list[Mark], mark: Mark) -> list[Mark]:
    return sorted([*marks, mark], key=lambda each: each.at)[-20:]


def _earlier(known: Mark | None, mark: Mark) -> Mark:
    return mark if known is None or mark.at < known.at else known


def _later(known: Mark | None, mark: Mark) -> Mark:
    return mark if known is None or mark.at > known.at else known
