"""What the service says of an update, from the results: pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from patchline_schemas.updates import EnvironmentTest, UpdateTested, UpdateTestFailed
from patchline_testing.documents import Test, Trial
from patchline_testing.judge import error_of, fit_tests


def tested(test: Test, trials: Sequence[Trial]) -> UpdateTested | UpdateTestFailed:
    """Good news only if the update passed in every environment, and there was one."""
    results = [_result(trial) for trial in trials if trial.result is not None]
    environments = fit_tests(results)
    head = {
        "update_id": test.id,
        "revision": test.revision,
        "component": test.component,
        "version": test.update_version,
        "round": test.round,
        "environments": environments,
    }
    if results and all(result.passed for result in results):
        return UpdateTested(**head)
    return UpdateTestFailed(**head, error=error_of(results))


def _result(trial: Trial) -> EnvironmentTest:
    if trial.result is None:
        raise ValueError(f"the trial {trial.id} has not ended")
    if trial.tried_for == trial.revision:
        return trial.result
    return trial.result.model_copy(update={"tested_for_revision": trial.tried_for})
