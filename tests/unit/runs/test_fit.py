from datetime import timedelta

import pytest

from patchline_fleet.runs import end_of, fit
from patchline_fleet.runs.fit import size
from patchline_schemas.waves import CheckResult, PackageChange, TargetResult


def result(number, *, words=20, changes=3, checks=2, outcome="failed"):
    text = " ".join(f"word{n}" for n in range(words)) + " ImportError: soft_unicode"
    return TargetResult(
        target_id=f"target-{number:05}",
        outcome=outcome,
        from_version="3.1.2",
        to_version="3.1.6",
        changes=tuple(
            PackageChange(component=f"pkg:pypi/package-{n}", before="1.0", after="2.0")
            for n in range(changes)
        ),
        checks=tuple(
            CheckResult(name=f"check {n}", passed=n > 0, output=text, duration=timedelta(seconds=1))
            for n in range(checks)
        ),
        notes=("config was kept aside.",),
        error=text,
    )


def test_what_fits_stays_as_it_is():
    results = (result(1), result(2))
    assert fit(results) == results


@pytest.mark.parametrize("count", [1, 50, 500])
def test_many_results_with_long_outputs_fit_and_keep_who_ended_how(count):
    results = [result(n, words=2000, changes=300, checks=5) for n in range(count)]
    fitted = fit(results)
    assert size(fitted) <= 200 * 1024
    assert [(r.target_id, r.outcome, r.from_version, r.to_version) for r in fitted] == [
        (r.target_id, r.outcome, r.from_version, r.to_version) for r in results
    ]
    assert all([check.name for check in r.checks if not check.passed] == ["check 0"] for r in fitted)


def test_the_end_of_an_error_stays_because_it_says_what_went_wrong():
    (fitted,) = fit([result(1, words=5000)])
    assert fitted.error.startswith("[…] ")
    assert fitted.error.endswith("ImportError: soft_unicode")


def test_what_is_left_out_is_said():
    (fitted,) = fit([result(1, changes=300)])
    if len(fitted.changes) < 300:
        assert f"{300 - len(fitted.changes)} further package changes are left out here." in fitted.notes


def test_what_cannot_fit_is_an_error():
    with pytest.raises(ValueError, match="do not fit"):
        fit([result(n) for n in range(10)], room=100)


def test_the_end_of_a_short_text_is_the_text():
    assert end_of(" short \n", 100) == "short"
