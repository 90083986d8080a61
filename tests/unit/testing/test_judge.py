from datetime import timedelta

from patchline_fleet.driver import Rehearsal, StageOutput
from patchline_testing.judge import error_of, fit_tests, judge, not_copied

SECOND = timedelta(seconds=1)
APPLIED = StageOutput("apply", True, "installed", SECOND)


def stage(name, passed, output="", **more):
    return StageOutput(name, passed, output, SECOND, **more)


def tried(before, after, apply=APPLIED):
    return judge("sha256:e", "wiki", Rehearsal(before=tuple(before), apply=apply, after=tuple(after)))


def test_what_passed_before_and_fails_after_is_blamed_on_the_update():
    words = "Traceback\nImportError: cannot import name 'soft_unicode' from 'markupsafe'"
    test = tried([stage("imports", True)], [stage("imports", False, words)])
    assert not test.passed
    assert [(s.name, s.before, s.after, s.blamed) for s in test.stages] == [
        ("apply", "not-run", "passed", False),
        ("imports", "passed", "failed", True),
    ]
    assert error_of([test]).endswith("ImportError: cannot import name 'soft_unicode' from 'markupsafe'")


def test_what_failed_before_is_not_blamed_on_the_update():
    test = tried([stage("selfcheck", False, "old")], [stage("selfcheck", False, "new")])
    assert test.passed
    assert not any(s.blamed for s in test.stages)


def test_an_update_that_cannot_be_applied_is_to_blame_and_nothing_is_asked_after_it():
    apply = stage("apply", False, "no version of jinja2==9.9")
    test = tried([stage("imports", True)], [], apply)
    assert not test.passed
    assert [(s.name, s.after, s.blamed) for s in test.stages] == [
        ("apply", "failed", True),
        ("imports", "not-run", False),
    ]
    assert error_of([test]) == "in a copy of wiki: the update cannot be applied: no version of jinja2==9.9"


def test_a_stage_that_makes_no_sense_in_a_copy_says_nothing():
    http = stage("http://127.0.0.1/health", False, "makes no sense in a copy", not_run=True)
    test = tried([http], [http])
    assert test.passed
    assert (test.stages[1].before, test.stages[1].after) == ("not-run", "not-run")


def test_a_stage_that_appears_and_fails_only_after_the_update_is_blamed():
    assert not tried([], [stage("imports", False)]).passed


def test_a_target_that_cannot_be_copied_has_not_passed_and_says_why():
    test = not_copied("sha256:e", "wiki", "no such folder")
    assert not test.passed
    assert error_of([test]) == "in a copy of wiki: the update could not be tried in a copy: no such folder"


def test_further_failed_environments_are_counted():
    failed = not_copied("sha256:e", "wiki", "gone")
    good = tried([stage("imports", True)], [stage("imports", True)])
    assert error_of([good, failed, failed]).endswith("2 of 3 environments failed.")


def test_no_environment_is_no_passed_test():
    assert "no environment" in error_of([])


def test_five_hundred_environments_with_long_outputs_fit_into_an_event():
    long = tried(
        [stage("imports", True, "x" * 5000)], [stage("imports", False, "y" * 20_000 + " ImportError: z")]
    )
    fitted = fit_tests([long] * 500)
    assert sum(len(test.model_dump_json()) for test in fitted) < 250 * 1024
    assert fit_tests([long])[0].stages[1].output.endswith("ImportError: z")
