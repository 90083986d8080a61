"""What planning's documents tell each other."""

from __future__ import annotations

from datetime import datetime

from patchline_kit.documents import Message
from patchline_planning.gates import Claim
from patchline_schemas.updates import UpdateAssessed
from patchline_schemas.values import WaveState
from patchline_schemas.waves import WaveOrder, WaveTarget

# To a plan ---------------------------------------------------------------------------------------


class PageArrived(Message):
    """A page of an assessment is stored."""

    head: UpdateAssessed
    """Without targets."""


class WaveMoved(Message):
    """Where a wave is now."""

    wave_id: str
    state: WaveState
    targets_total: int
    waits_for: str | None = None
    soak_until: datetime | None = None
    left_over: int = 0
    """How many targets the window's end left unstarted."""
    left_out: int = 0
    """How many targets were not as planned any more."""
    failed: int = 0
    mending: bool = False
    needs_person: bool = False
    error: str | None = None


class Supersede(Message):
    """A newer update takes the place of this one."""

    by: str
    by_version: str


class LookAgain(Message):
    """Something that plans depend on has changed: a group, or a halt."""


# To a wave ---------------------------------------------------------------------------------------


class OpenWave(Message):
    """Make the wave and announce it."""

    order: WaveOrder
    targets: tuple[WaveTarget, ...]
    starts_at: datetime | None
    ends_at: datetime | None
    priority: int = 0


class ReplanWave(Message):
    """Change a wave that has not started, and announce it again."""

    revision: int
    starts_at: datetime | None
    ends_at: datetime | None
    drop: frozenset[str] = frozenset()
    """Ids of targets that no longer need the update."""
    refresh: tuple[WaveTarget, ...] = ()
    """Targets that come from another version now."""
    number: int = 0
    """Counts what the wave was sent of this kind."""


class BeginWave(Message):
    """It is the wave's turn and its window is open: own the targets, then be due."""

    revision: int
    """Of the plan that was tested and approved."""
    ends_at: datetime | None
    priority: int


class StandDown(Message):
    """Do not start now; if it has started it goes on."""


class DropWave(Message):
    """Do not start at all; if it has started it goes on."""

    reason: str


class RollBackWave(Message):
    """Undo a verified wave."""

    reason: str


class FreeTargets(Message):
    """A person releases the targets of a wave whose rollback failed."""


class TargetsOwned(Message):
    """The chain of gates has reached its end: the wave owns every target it asked for."""

    attempt: int


class TargetTaken(Message):
    """A gate has put the wave in its queue."""

    attempt: int
    target_id: str
    owner: Claim
    blocked: bool


# To a gate ---------------------------------------------------------------------------------------


class AcquireTarget(Message):
    """Grant the target to the wave, then pass the wish on to the first gate in ``rest``.

    Waves ask in ascending order of target ids, so two of them never wait for each other.
    """

    claim: Claim
    rest: tuple[str, ...]


class ReleaseTarget(Message):
    """The wave does not need the target any more, or no longer wants it."""

    wave_id: str
    attempt: int


class BlockTarget(Message):
    """The wave's rollback failed: keep the target until a person frees it."""

    wave_id: str
