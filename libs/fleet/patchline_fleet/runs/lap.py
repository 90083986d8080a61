"""How a run over a wave ended, compiled from its target runs."""

from __future__ import annotations

from dataclasses import dataclass

from patchline_fleet.runs.documents import FAILURES, TargetRun
from patchline_fleet.runs.fit import end_of
from patchline_schemas.waves import TargetResult, WaveOrder, WaveTarget

ERROR_LENGTH = 4000
"""Characters of a target's error that stand for its wave."""


@dataclass(frozen=True, slots=True)
class Lap:
    """A run, or one lap of it, that is over."""

    order: WaveOrder
    number: int
    runs: tuple[TargetRun, ...]
    """Of the targets on which the work has ended, by target id."""
    not_started: tuple[WaveTarget, ...] = ()
    why_not_started: str | None = None
    """As a sentence's end; null when all were started."""
    refused: str | None = None
    """Why the run was refused as a whole."""

    @property
    def results(self) -> tuple[TargetResult, ...]:
        """How it ended on each target that was started."""
        return tuple(run.result for run in self.runs if run.result is not None)

    @property
    def failures(self) -> tuple[TargetResult, ...]:
        """Those of the results that are failures."""
        return tuple(result for result in self.results if result.outcome in FAILURES)

    @property
    def results_of_all(self) -> tuple[TargetResult, ...]:
        """The results, with one that says ``not-started`` for each other target."""
        why = self.refused or self.why_not_started
        return self.results + tuple(
            TargetResult(
                target_id=target.target_id,
                outcome="not-started",
                from_version=target.from_version,
                notes=(f"Not started: {why}.",) if why else (),
            )
            for target in self.not_started
        )

    def error(self) -> str:
        """What went wrong, beginning with the first failed target and its tool's own words."""
        if self.refused is not None:
            return self.refused
        if not self.failures:
            return f"not started: {self.why_not_started}" if self.not_started else ""
        first, *more = self.failures
        sentence = f"{first.target_id}: {end_of(first.error or first.outcome, ERROR_LENGTH)}"
        if more:
            others = ", ".join(f"{result.target_id} ({result.outcome})" for result in more[:10])
            further = f" and {len(more) - 10} further" if len(more) > 10 else ""
            sentence += f"\nalso failed: {others}{further}"
        return sentence
