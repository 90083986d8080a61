"""A wave's own document: its targets, its state, and what its rollback needs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, TypedDict

from pydantic import Field

from patchline_kit.documents import Document
from patchline_planning.machine import WAVE
from patchline_planning.messages import WaveMoved
from patchline_schemas.fleet import Policies
from patchline_schemas.values import WaveState
from patchline_schemas.waves import Backup, WaveOrder, WaveTarget


class Terms(TypedDict):
    """What of a group's policies goes with its waves."""

    concurrency: int
    max_failures: int
    target_timeout: timedelta
    soak: timedelta


def terms(policies: Policies) -> Terms:
    """What of ``policies`` goes with a wave."""
    return {
        "concurrency": policies.concurrency,
        "max_failures": policies.max_failures,
        "target_timeout": policies.target_timeout,
        "soak": policies.soak,
    }


class Wave(Document, collection="waves"):
    """One per wave; its id is the wave's. Holds at most 500 targets."""

    order: WaveOrder
    targets: tuple[WaveTarget, ...]
    state: WaveState = "planned"
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    replans: int = 0
    """Number of the last change of its plan that it has seen."""
    announcements: int = 0
    """How often ``waves.planned`` was said."""
    priority: int = 0
    attempt: int = 0
    """Counts the tries to own targets."""
    gates: Literal["none", "asking", "owned"] = "none"
    asked_for: tuple[str, ...] = ()
    """Ids of the targets that it asks for or owns, ascending."""
    waits_for: str | None = None
    """Who owns the target that it waits for, in words."""
    began_at: datetime | None = None
    """When the step began that runs now; None while it waits."""
    limit: timedelta = timedelta(0)
    """How long that step may take."""
    backups: tuple[Backup, ...] = ()
    deployed_at: datetime | None = None
    changed: tuple[str, ...] = ()
    """Ids of the targets that the deployment touched."""
    not_started: tuple[WaveTarget, ...] = ()
    """Those that the window's end left unstarted."""
    left_out: tuple[str, ...] = ()
    """Ids of the targets that the deployment did not touch because they were not as planned any more."""
    mending: bool = False
    """Whether, verified, it takes back the targets whose failure the policy tolerates."""
    soak_until: datetime | None = None
    needs_person: bool = False
    error: str | None = None
    failed: tuple[str, ...] = Field(default=())
    """Ids of the targets that failed."""

    def move(self, trigger: str) -> None:
        """Follow the state machine. Raises :class:`~patchline_planning.machine.ImpossibleMove`."""
        self.state = WAVE.after(self.state, trigger)

    def begin_step(self, now: datetime, limit: timedelta) -> None:
        """A step begins that must end within ``limit``."""
        self.began_at, self.limit = now, limit
        self.wake_at = now + limit

    def idle(self) -> None:
        """No step runs."""
        self.began_at = self.wake_at = None

    def size(self) -> tuple[int, int, timedelta]:
        """What the limit of a step follows from: targets, how many at once, and the limit of each."""
        return len(self.targets), self.order.concurrency, self.order.target_timeout

    def moved(self) -> WaveMoved:
        """What the plan must know of the wave now."""
        return WaveMoved(
            to=self.order.update_id,
            wave_id=self.id,
            state=self.state,
            targets_total=len(self.targets),
            waits_for=self.waits_for,
            soak_until=self.soak_until,
            left_over=len(self.not_started),
            left_out=len(self.left_out),
            failed=len(self.failed),
            mending=self.mending,
            needs_person=self.needs_person,
            error=self.error,
        )

    def ids(self) -> tuple[str, ...]:
        """Ids of all its targets, ascending: the order in which gates are asked."""
        return tuple(sorted(target.target_id for target in self.targets))

    def done(self) -> frozenset[str]:
        """Ids of the targets that it has brought to the version, once it is verified."""
        left = {target.target_id for target in self.not_started}
        return frozenset(self.ids()) - left - frozenset((*self.failed, *self.left_out))
