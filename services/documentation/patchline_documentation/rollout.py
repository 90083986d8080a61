"""What ran where: waves, targets and backups of a round, from its events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from patchline_documentation.facts import Fact
from patchline_documentation.report import MOST_ROWS, BackupLine, ChangeLine, TargetLine, WaveLine
from patchline_documentation.wording import output, without_secrets
from patchline_schemas import waves as steps
from patchline_schemas.values import TargetOutcome

ENDINGS: dict[type[steps.WaveEvent], tuple[str, bool | None]] = {
    steps.WaveVerified: ("verified", True),
    steps.WaveBackupFailed: ("backup failed, nothing deployed", False),
    steps.WaveDeployFailed: ("deployment failed", False),
    steps.WaveVerificationFailed: ("verification failed", False),
    steps.WaveRolledBack: ("rolled back", False),
    steps.WaveRollbackVerified: ("rolled back and checked", False),
    steps.WaveRollbackFailed: ("rollback failed", False),
    steps.WaveCancelled: ("not started", None),
}
"""How an event leaves its wave, and whether that is good; the last one counts."""

_GOING_BACK = (steps.WaveRolledBack, steps.WaveRollbackVerified, steps.WaveRollbackFailed)
"""Steps whose own before-version is the one that the update brought."""


@dataclass(slots=True)
class Rollout:
    """Takes the events of a round's waves, in causal order."""

    waves: dict[str, WaveLine] = field(default_factory=dict)
    targets: dict[str, TargetLine] = field(default_factory=dict)
    backups: dict[tuple[str, str], BackupLine] = field(default_factory=dict)

    def shown_targets(self) -> tuple[TargetLine, ...]:
        """The first of the targets; those that need attention before the others."""
        ordered = sorted(self.targets.values(), key=lambda line: line.outcome == "succeeded")
        return tuple(ordered[:MOST_ROWS])

    def take(self, event: steps.WaveEvent, at: datetime) -> None:
        """The next event."""
        self._wave(event, at)
        if isinstance(event, steps.WavePlanned | steps.WaveDue):
            for target in event.targets:
                self._plan(event.order, target)
        if isinstance(event, steps.WaveBackedUp):
            for backup in event.backups:
                self.backups[(event.order.wave_id, backup.target_id)] = _backup_line(event.order, backup)
        for result in getattr(event, "results", ()):
            self._result(event, result, at)

    def _wave(self, event: steps.WaveEvent, at: datetime) -> None:
        order = event.order
        line = self.waves.get(order.wave_id) or WaveLine(
            id=order.wave_id,
            number=order.number,
            group=order.group,
            targets_total=0,
            window_ends_at=order.window_ends_at,
            outcome="not started",
        )
        changes: dict[str, object] = {}
        if isinstance(event, steps.WavePlanned):
            changes = {"planned_start": event.starts_at, "targets_total": len(event.targets)}
            changes["window_ends_at"] = event.ends_at
        elif isinstance(event, steps.WaveDue):
            changes = {"started_at": at, "targets_total": len(event.targets), "outcome": "started"}
        if type(event) in ENDINGS:
            outcome, good = ENDINGS[type(event)]
            changes |= {"outcome": outcome, "good": good}
            if good is not None:
                changes["ended_at"] = at
        self.waves[order.wave_id] = line.model_copy(update=changes)

    def _plan(self, order: steps.WaveOrder, target: steps.WaveTarget) -> None:
        """A wave is planned again when its plan is revised; the newest plan knows best what is installed."""
        known = self.targets.get(target.target_id)
        if known is None or known.wave_id != order.wave_id or known.outcome == "not-started":
            self.targets[target.target_id] = TargetLine(
                target_id=target.target_id,
                group=order.group,
                wave_id=order.wave_id,
                outcome="not-started",
                before=target.from_version,
                after=target.from_version,
            )

    def _result(self, event: steps.WaveEvent, result: steps.TargetResult, at: datetime) -> None:
        known = self.targets.get(result.target_id) or TargetLine(
            target_id=result.target_id,
            group=event.order.group,
            wave_id=event.order.wave_id,
            outcome=result.outcome,
            before=result.from_version,
        )
        untouched = isinstance(event, steps.WaveBackupFailed)
        rolling_back = isinstance(event, steps.WaveRolledBack | steps.WaveRollbackVerified)
        changes: dict[str, object] = {
            "wave_id": event.order.wave_id,
            "outcome": _outcome(event, result),
            "before": known.before if isinstance(event, _GOING_BACK) else result.from_version or known.before,
            "after": known.before if untouched else result.to_version or known.after,
            "restarted": known.restarted or result.restarted,
            "notes": tuple(dict.fromkeys([*known.notes, *map(without_secrets, result.notes)])),
            "error": output(result.error) or known.error,
        }
        if result.changes and not rolling_back:
            changes["changes"] = _other_changes(event.order.component, result.changes)
        if rolling_back:
            changes["changes"] = ()
        if result.checks:
            changes |= _checks(result)
            if isinstance(event, steps.WaveDeployed) and changes["checks_failed"]:
                changes["failing_since"] = result.started_at or at
        self.targets[result.target_id] = known.model_copy(update=changes)


def rollout(facts: Iterable[Fact]) -> Rollout:
    """What ran where."""
    found = Rollout()
    for fact in facts:
        if isinstance(fact.event, steps.WaveEvent):
            found.take(fact.event, fact.time)
    return found


def groups(lines: Sequence[WaveLine]) -> list[str]:
    """The groups of waves, each once, in order."""
    return list(dict.fromkeys(line.group for line in lines))


def _outcome(event: steps.WaveEvent, result: steps.TargetResult) -> TargetOutcome:
    if isinstance(event, steps.WaveRolledBack | steps.WaveRollbackVerified) and result.outcome == "succeeded":
        return "rolled-back"
    return result.outcome


def _checks(result: steps.TargetResult) -> dict[str, object]:
    failed = tuple(without_secrets(check.name) for check in result.checks if not check.passed)
    total = len(result.checks)
    return {"checks_total": total, "checks_passed": total - len(failed), "checks_failed": failed}


def _other_changes(component: str, changes: Sequence[steps.PackageChange]) -> tuple[ChangeLine, ...]:
    return tuple(
        ChangeLine(component=change.component, before=change.before, after=change.after)
        for change in changes
        if change.component != component
    )


def _backup_line(order: steps.WaveOrder, backup: steps.Backup) -> BackupLine:
    return BackupLine(
        target_id=backup.target_id,
        wave_id=order.wave_id,
        address=without_secrets(backup.address),
        sha256=backup.sha256,
        size=backup.size,
        packages_total=backup.packages_total,
        files_total=backup.files_total,
    )
