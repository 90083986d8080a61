"""Who is to blame for what a rehearsal showed: pure rules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

from patchline_fleet.driver import Rehearsal, StageOutput
from patchline_fleet.runs import end_of, fit_by
from patchline_schemas.updates import EnvironmentTest, StageResult

Said = Literal["passed", "failed", "not-run"]
COPY = "copy"
"""Name of the stage that stands for a copy that could not be made."""
APPLY = "apply"
LENGTHS = (8000, 4000, 2000, 800, 300, 100, 0)
"""How much of each stage's output an event keeps, longest first."""
ERROR_LENGTH = 1500


def judge(environment: str, target_id: str, rehearsal: Rehearsal) -> EnvironmentTest:
    """The test of an environment: passed if the update could be applied and is to blame for nothing.

    The update is to blame for a stage that passed before it and fails after it. A stage that failed before
    already says nothing about the update; one that was not run before and fails after is blamed, because
    nothing excuses it.
    """
    before = {stage.name: stage for stage in rehearsal.before}
    after = {stage.name: stage for stage in rehearsal.after}
    stages = [
        StageResult(
            name=APPLY,
            before="not-run",
            after=_said(rehearsal.apply),
            blamed=not rehearsal.apply.passed,
            output=rehearsal.apply.output,
            duration=rehearsal.apply.duration,
        )
    ]
    stages += [_stage(name, before.get(name), after.get(name)) for name in {**before, **after}]
    return EnvironmentTest(
        environment=environment,
        target_id=target_id,
        passed=not any(stage.blamed for stage in stages),
        stages=tuple(stages),
    )


def not_copied(environment: str, target_id: str, why: str) -> EnvironmentTest:
    """The test of an environment in which no update could be tried: not passed, and nobody's blame."""
    stage = StageResult(
        name=COPY, before="failed", after="not-run", blamed=False, output=why, duration=timedelta(0)
    )
    return EnvironmentTest(environment=environment, target_id=target_id, passed=False, stages=(stage,))


def error_of(tests: Sequence[EnvironmentTest]) -> str:
    """Why the update did not pass: the end of what the first blamed stage's tool said, and where."""
    failed = [test for test in tests if not test.passed]
    if not failed:
        return "there is no environment to test the update in" if not tests else ""
    first = failed[0]
    stage = next((stage for stage in first.stages if stage.blamed), first.stages[0])
    what = {
        COPY: "the update could not be tried in a copy",
        APPLY: "the update cannot be applied",
    }.get(stage.name, f"{stage.name} failed after the update, and passed before it")
    words = end_of(stage.output, ERROR_LENGTH) or "the tool said nothing"
    others = f"\n{len(failed)} of {len(tests)} environments failed." if len(failed) > 1 else ""
    return f"in a copy of {first.target_id}: {what}: {words}{others}"


def fit_tests(tests: Sequence[EnvironmentTest]) -> tuple[EnvironmentTest, ...]:
    """``tests`` small enough for one event; outputs keep their ends."""
    return fit_by(tests, _trimmed, lengths=LENGTHS)


def _stage(name: str, before: StageOutput | None, after: StageOutput | None) -> StageResult:
    was, now = _said(before), _said(after)
    shown = after if after is not None and not after.not_run else before
    return StageResult(
        name=name,
        before=was,
        after=now,
        blamed=now == "failed" and was != "failed",
        output=shown.output if shown is not None else "",
        duration=sum((stage.duration for stage in (before, after) if stage is not None), timedelta(0)),
    )


def _said(stage: StageOutput | None) -> Said:
    if stage is None or stage.not_run:
        return "not-run"
    return "passed" if stage.passed else "failed"


def _trimmed(test: EnvironmentTest, length: int) -> EnvironmentTest:
    stages = tuple(
        stage.model_copy(update={"output": end_of(stage.output, length if stage.blamed else length // 4)})
        for stage in test.stages
    )
    return test.model_copy(update={"stages": stages})
