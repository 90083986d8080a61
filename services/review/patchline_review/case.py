"""What the review knows of an update: when each step was, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from patchline_kit.documents import Document
from patchline_schemas.values import UpdateState


class Mark(BaseModel):
    """When something was, and the event that says so."""

    at: datetime
    event_id: str


class WaveCase(BaseModel):
    """One wave."""

    id: str
    number: int
    group: str
    soak: timedelta
    concurrency: int
    targets_total: int = 0
    starts_at: datetime | None = None
    """As planned last; None when no window was in sight."""
    window_ends_at: datetime | None = None
    due: Mark | None = None
    backed_up: Mark | None = None
    deployed: Mark | None = None
    checks_passed: Mark | None = None
    verified: Mark | None = None
    failed: Mark | None = None
    failed_step: str = ""
    """``backup``, ``deployment`` or ``verification``."""
    failed_in_soak: bool = False
    rolled_back: Mark | None = None
    rollback_failed: Mark | None = None
    cancelled: Mark | None = None
    failed_targets: frozenset[str] = frozenset()
    rolled_back_targets: frozenset[str] = frozenset()
    not_started_total: int = 0
    """How many targets the window's end left unstarted."""
    left_out_total: int = 0
    """How many targets were not as planned any more, and so not touched."""

    @property
    def ended(self) -> Mark | None:
        """When it was over, well or not; None while it runs or never ran."""
        return self.verified or self.rolled_back or self.rollback_failed or self.cancelled or self.failed


class RoundCase(BaseModel):
    """One round."""

    planned: Mark | None = None
    """The first plan."""
    tested: Mark | None = None
    """The last test that passed."""
    tests: list[Mark] = Field(default_factory=list)
    """Every test, passed or not."""
    test_failed: Mark | None = None
    approved: Mark | None = None
    overdue: Mark | None = None
    ended: Mark | None = None
    outcome: UpdateState | None = None
    due_at: datetime | None = None
    waves: dict[str, WaveCase] = Field(default_factory=dict)
    documented: Mark | None = None
    revision: int = 0
    reviewed: bool = False

    def in_order(self) -> list[WaveCase]:
        """Its waves as they became due, then those that did not, by number."""
        return sorted(
            self.waves.values(),
            key=lambda wave: (wave.due is None, wave.due.at if wave.due else None, wave.number),
        )

    def complete(self) -> bool:
        """Whether all that the report covers has been seen here too."""
        started = [wave for wave in self.waves.values() if wave.due]
        if self.documented is None or self.ended is None:
            return False
        if self.outcome == "completed" and not started:
            return False
        return all(wave.ended for wave in started)


class Case(Document, collection="cases", id_of="update"):
    """An update under review; its id is the update's. Grows with waves, not with good targets."""

    component: str = ""
    to_version: str = ""
    published_at: datetime | None = None
    due_at: datetime | None = None
    rounds: dict[int, RoundCase] = Field(default_factory=dict)

    def round(self, number: int) -> RoundCase:
        """The round of that number, made if it is new."""
        return self.rounds.setdefault(number, RoundCase())

    def ready(self, waited_enough: Callable[[datetime], bool]) -> list[int]:
        """Rounds to review now: documented, and complete or waited for long enough since then."""
        return [
            number
            for number, found in sorted(self.rounds.items())
            if found.documented
            and found.ended
            and not found.reviewed
            and (found.complete() or waited_enough(found.documented.at))
        ]

    def look(self, now: datetime, patience: timedelta) -> None:
        """Wake at once if a round can be reviewed, else when patience with one is over."""
        waiting = [found for found in self.rounds.values() if found.documented and not found.reviewed]
        if any(found.complete() for found in waiting):
            self.wake_at = now
        elif waiting:
            over = min(found.documented.at for found in waiting if found.documented) + patience
            self.wake_at = over if over > now else now + patience
