from datetime import timedelta

import pytest
from wave_doubles import NEW, NOW, OLD, order, wave_targets

from patchline_fleet.runs import Assignment, TargetRun
from patchline_schemas.waves import CheckResult
from patchline_verification.look import judge
from patchline_verification.soak import next_look

MINUTE = timedelta(minutes=1)


def run(*, lap=1, expected=NEW, failed_before=()):
    (target,) = wave_targets("wiki")
    return TargetRun(
        id="w/verify/wiki",
        wave_run="w/verify",
        step="verify",
        lap=lap,
        order=order(),
        assignment=Assignment(target=target, expected_version=expected, failed_before=failed_before),
        allowed_at=NOW,
        scope="w/verify/wiki 1",
    )


def check(passed):
    return CheckResult(name="selfcheck", passed=passed, output="HTTP 503", duration=timedelta(seconds=1))


def test_a_target_with_the_version_whose_checks_pass_is_good():
    result = judge(run(), NEW, [check(True)])
    assert (result.outcome, result.to_version, result.error) == ("succeeded", NEW, None)


def test_another_spelling_of_the_version_is_the_same_version():
    assert judge(run(), "3.1.6.0", []).outcome == "succeeded"


@pytest.mark.parametrize("found", [OLD, None, "3.2.0", "no version at all"])
def test_another_version_right_after_the_deployment_is_a_failure(found):
    result = judge(run(), found, [check(True)])
    assert result.outcome == "failed"
    assert "expected was 3.1.6" in result.error


def test_a_newer_version_in_the_soak_time_is_a_later_update_and_no_failure():
    result = judge(run(lap=2), "3.2.0", [check(True)])
    assert result.outcome == "succeeded"
    assert "3.2.0" in result.notes[0]


def test_an_older_version_in_the_soak_time_is_a_failure():
    assert judge(run(lap=2), OLD, [check(True)]).outcome == "failed"


def test_a_failing_check_is_a_failure_in_its_own_words():
    result = judge(run(), NEW, [check(False)])
    assert (result.outcome, result.error) == ("failed", "the check `selfcheck` failed: HTTP 503")


def test_a_check_that_failed_before_the_deployment_is_named_and_not_held_against_the_update():
    result = judge(run(failed_before=("selfcheck",)), NEW, [check(False)])
    assert result.outcome == "succeeded"
    assert "as it did before the deployment" in result.notes[0]
    assert not result.checks[0].passed


def test_a_short_soak_is_looked_at_three_times_and_at_its_end():
    until, at, looks = NOW + timedelta(seconds=30), NOW, []
    while at < until:
        at = next_look(at, until, soak=timedelta(seconds=30), longest=MINUTE)
        looks.append((at - NOW).total_seconds())
    assert looks == [10, 20, 30]


def test_a_long_soak_is_looked_at_every_minute():
    day = timedelta(days=1)
    assert next_look(NOW, NOW + day, soak=day, longest=MINUTE) == NOW + MINUTE


def test_a_look_that_is_late_is_made_at_once():
    late = NOW + timedelta(hours=1)
    assert next_look(late, NOW, soak=MINUTE, longest=MINUTE) == late
