"""The documents of a run over a wave, the messages between them, and the rule of what may start."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from patchline_kit.documents import Document, Message
from patchline_schemas.values import TargetOutcome, Value
from patchline_schemas.waves import Backup, CheckResult, TargetResult, WaveOrder, WaveTarget

FAILURES: frozenset[TargetOutcome] = frozenset({"failed", "timed-out", "unreachable"})
Phase = Literal["preparing", "running", "resting", "ended", "stopped"]


class Assignment(Value):
    """A target's part in a run, with what the step needs to know about it."""

    target: WaveTarget
    backup: Backup | None = None
    """What a rollback restores."""
    expected_version: str | None = None
    """What a verification expects to be in effect."""
    failed_before: tuple[str, ...] = ()
    """Checks that failed before the deployment already."""

    @property
    def target_id(self) -> str:
        """The target's id."""
        return self.target.target_id


class StartTarget(Message):
    """From a wave run: work on this target now. Makes its :class:`TargetRun`, or sends it on another lap."""

    wave_run: str
    step: str
    lap: int
    order: WaveOrder
    assignment: Assignment


class TargetEnded(Message):
    """To a wave run: the work on a target has ended; how is in its :class:`TargetRun`."""

    lap: int
    target_id: str
    outcome: TargetOutcome


class StartRun(Message):
    """To a wave run, from another of the same wave that had to be stopped first: run over these targets."""

    step: str
    order: WaveOrder
    assignments: tuple[Assignment, ...]


class ForgetTarget(Message):
    """To a target run: its wave's run is long over."""


class TargetRun(Document, collection="target_runs"):
    """One step on one target: leased work that any replica may claim, and its result."""

    wave_run: str
    step: str
    lap: int = 1
    order: WaveOrder
    assignment: Assignment
    allowed_at: datetime
    """When the wave run let it start."""
    scope: str
    """Names its lease towards the target: fencing numbers compare only within it."""
    touched_at: datetime | None = None
    """When it began to change the target; stored before it does, so that a successor knows."""
    version_before: str | None = None
    """In effect when ``touched_at`` was stored."""
    checks_before: tuple[CheckResult, ...] = ()
    """What the target's checks said then."""
    stored_archive: str | None = None
    """Address of what a backup step has stored, before it is proven."""
    backup: Backup | None = None
    """What a backup step made and proved."""
    result: TargetResult | None = None

    def tags(self) -> frozenset[str]:
        """Found by the run it belongs to."""
        return frozenset({self.wave_run})


class WaveRun(Document, collection="wave_runs"):
    """One step over one wave. Its results lie in its target runs, so it stays small."""

    step: str
    order: WaveOrder
    phase: Phase = "preparing"
    lap: int = 1
    """A run may go over its targets again, as a verification does through the soak time."""
    ends_with_window: bool = False
    """Whether nothing is started after ``order.window_ends_at``."""
    tolerates: int | None = None
    """So many targets may fail before no further one is started; null to try all."""
    waiting: tuple[Assignment, ...] = ()
    """Not started yet, in order."""
    started: tuple[str, ...] = ()
    """Ids of the targets that were started in this lap."""
    ended: tuple[str, ...] = ()
    """Ids of the started ones that have ended: no counter, so an answer that comes twice counts once."""
    failed: tuple[str, ...] = ()
    """Ids of the ended ones that failed."""
    soak_until: datetime | None = None
    """Until when a verification goes over its targets again."""
    note: str | None = None
    """Why it was refused or stopped."""

    def take(self, now: datetime) -> Sequence[Assignment]:
        """Move what may start now from ``waiting`` to ``started`` and return it."""
        if self.halted(now) is not None:
            return ()
        room = max(0, self.order.concurrency - (len(self.started) - len(self.ended)))
        taken, self.waiting = self.waiting[:room], self.waiting[room:]
        self.started += tuple(assignment.target_id for assignment in taken)
        return taken

    def ends(self, target_id: str, outcome: TargetOutcome) -> None:
        """Note that a target has ended. Harmless when it is said twice."""
        if target_id in self.started and target_id not in self.ended:
            self.ended += (target_id,)
            if outcome in FAILURES:
                self.failed += (target_id,)

    def halted(self, now: datetime) -> str | None:
        """Why nothing more is started, as a sentence's end; None while more may start."""
        if self.ends_with_window and window_is_over(self.order, now):
            return "the window had ended"
        if self.tolerates is not None and len(self.failed) > self.tolerates:
            return f"{len(self.failed)} had failed before, and the policy allows {self.tolerates}"
        return None

    def is_over(self, now: datetime) -> bool:
        """Whether nothing runs and nothing more may start."""
        return len(self.ended) == len(self.started) and (not self.waiting or self.halted(now) is not None)

    def again(self, assignments: Sequence[Assignment]) -> None:
        """Begin another lap over ``assignments``."""
        self.phase, self.lap = "running", self.lap + 1
        self.waiting, self.started, self.ended, self.failed = tuple(assignments), (), (), ()


def wave_run_id(wave_id: str, step: str) -> str:
    """The id of a wave's run of ``step``."""
    return f"{wave_id}/{step}"


def target_run_id(wave_run: str, target_id: str) -> str:
    """The id of a run's part on one target."""
    return f"{wave_run}/{target_id}"


def window_is_over(order: WaveOrder, now: datetime) -> bool:
    """Whether the wave's window has ended; ``always`` never does."""
    return order.window_ends_at is not None and now >= order.window_ends_at
