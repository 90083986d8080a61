"""What a report says about a round."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from patchline_documentation.building import build_report
from patchline_documentation.facts import in_causal_order, missing_cause

NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)


def report(life, **more):
    return build_report(life.ledger.facts, life.last, written_at=NOW, **more)


def test_a_completed_update_says_where_it_is_in_effect_and_that_it_was_in_time(completed_life):
    said = report(completed_life)
    assert said.headline == "jinja2 3.1.6 is in effect on 1 target"
    assert said.due_met is True
    assert said.issues == ()
    assert "bea approved revision 1 (“read the notes”)" in " ".join(said.summary)


def test_versions_before_and_after_come_from_the_targets(completed_life):
    (target,) = report(completed_life).targets
    assert (target.before, target.after, target.outcome) == ("3.1.2", "3.1.6", "succeeded")
    assert [change.component for change in target.changes] == ["pkg:pypi/markupsafe"]
    assert target.restarted and target.checks_passed == target.checks_total == 1


@pytest.mark.parametrize("goes_back", [False, True])
def test_the_version_before_is_the_one_that_the_deployment_found_not_that_of_an_older_plan(life, goes_back):
    life.published()
    life.wave_planned("3.1.1")
    life.deployed()
    if goes_back:
        life.rolled_back()
        life.failed("wiki answers 503")
    else:
        life.verified()
        life.completed()
    (target,) = report(life).targets
    assert (target.before, target.after) == ("3.1.2", "3.1.2" if goes_back else "3.1.6")


def test_a_wave_planned_anew_shows_what_its_targets_have_now(life):
    life.published()
    life.wave_planned("3.1.1")
    life.wave_planned("3.1.2")
    life.failed("the vendor withdrew it")
    (target,) = report(life).targets
    assert (target.before, target.after, target.outcome) == ("3.1.2", "3.1.2", "not-started")


def test_a_target_on_which_no_check_passed_is_said_not_to_be_verified_by_them(life):
    life.published()
    life.deployed(passed=False, at=datetime(2026, 3, 3, 9, 5, tzinfo=UTC))
    life.verified(passed=False)
    life.completed()
    assert (
        "No check passed on wiki, so only the version was verified there, not that it works: "
        "selfcheck failed before the deployment already, on 3 March 2026, 09:05 UTC."
    ) in report(life).summary


def test_a_target_without_a_check_is_said_not_to_be_verified_by_one(life):
    life.published()
    life.wave_planned("3.1.2")
    life.verified(checked=False)
    life.completed()
    (said,) = [sentence for sentence in report(life).summary if "check" in sentence]
    assert said.startswith(
        "The fleet file declares no check for wiki, so only the version was verified there"
    )


def test_a_target_that_was_not_as_planned_is_an_issue_that_its_next_wave_resolves(life):
    life.published()
    life.left_out("the target has 3.1.5, assessed was 3.1.2")
    life.wave_planned("3.1.5", number=2)
    life.completed()
    (issue,) = report(life).issues
    assert issue.what == "1 target not as planned any more, and not touched: wiki."
    assert "has 3.1.5" in issue.output
    assert (issue.resolution, issue.resolved) == ("Planned again in Wave 2 (intranet).", True)


def test_the_timeline_does_not_say_a_pause_twice_and_names_what_was_withdrawn(life):
    life.published()
    life.paused()
    life.retracted()
    life.failed("withdrawn")
    said = [line.sentence for line in report(life).timeline]
    assert "The update is paused; it can be released by: bea." in said
    assert "palletsprojects withdrew jinja2 3.1.6: broken wheel." in said


def test_nothing_is_said_of_checks_that_pass(completed_life):
    assert "check" not in " ".join(report(completed_life).summary)


def test_the_request_that_published_the_update_is_told_though_it_names_no_update(completed_life):
    said = report(completed_life)
    assert [(line.who, line.action) for line in said.requests] == [("ada", "publish"), ("bea", "approve")]
    assert said.requests[1].answer == "Carried out: It may roll out."


def test_a_late_update_says_by_how_much(life):
    life.published()
    life.deployed()
    life.verified()
    life.completed(at=datetime(2026, 3, 20, 9, 0, tzinfo=UTC))
    said = report(life)
    assert said.due_met is False
    assert said.due_sentence == "The due date, 17 March 2026, 09:00 UTC, was missed by 3 days."


def test_a_failed_test_names_the_tools_words_and_that_nothing_was_touched(life):
    words = "ImportError: cannot import name 'soft_unicode' from 'markupsafe'"
    life.published()
    life.planned()
    life.tested(passed=False, output=words)
    life.failed(words)
    said = report(life)
    assert said.headline == "jinja2 3.1.6 failed its test; no real target was touched"
    assert said.tests[0].stages[0].output == words
    (issue,) = said.issues
    assert issue.output == words and issue.resolved and "disposable copy of wiki" in issue.resolution


def test_a_rolled_back_wave_says_what_came_back_and_how_the_issue_was_resolved(life):
    life.published()
    life.deployed()
    life.verified()
    life.deployed(2, "shop", "till")
    life.rolled_back(2, "shop", "till", error="KeyError: 'sub'")
    life.failed("till: KeyError: 'sub'")
    said = report(life)
    by_id = {target.target_id: target for target in said.targets}
    assert (by_id["till"].before, by_id["till"].after) == ("3.1.2", "3.1.2")
    assert by_id["till"].outcome == "rolled-back" and by_id["till"].changes == ()
    assert by_id["till"].notes == ("config was kept aside in .patchline/aside/20260303T094000Z.",)
    assert by_id["wiki"].outcome == "succeeded"
    (issue,) = said.issues
    assert issue.resolved and "Rolled back to the exact packages" in issue.resolution
    assert [wave.outcome for wave in said.waves] == ["verified", "rolled back and checked"]


def test_the_timeline_is_in_causal_order_whatever_the_clocks_say(completed_life):
    facts = list(completed_life.ledger.facts)
    expected = [fact.id for fact in in_causal_order(facts)]
    random.Random(4).shuffle(facts)
    assert [fact.id for fact in in_causal_order(facts)] == expected
    place = {id_: number for number, id_ in enumerate(expected)}
    assert all(place[f.cause_id] < place[f.id] for f in facts if f.cause_id)


def test_an_effect_with_an_earlier_clock_comes_after_its_cause(life):
    life.published()
    early = life.completed(at=datetime(2026, 3, 3, 8, 0, tzinfo=UTC))
    assert in_causal_order(life.ledger.facts)[-1].id == early


def test_a_cause_that_is_not_in_the_ledger_is_named(completed_life):
    facts = completed_life.ledger.facts
    ending = completed_life.last
    assert missing_cause(facts, ending, "jinja2-3.1.6-5f2d1c") is None
    without = [fact for fact in facts if fact.id != facts[-3].id]
    assert missing_cause(without, ending, "jinja2-3.1.6-5f2d1c") == facts[-3].id
    assert missing_cause([], ending, "jinja2-3.1.6-5f2d1c") == ending


def test_a_report_without_its_ending_cannot_be_built(life):
    life.published()
    with pytest.raises(ValueError, match="no ending"):
        build_report(life.ledger.facts, "e0", written_at=NOW)


def test_secrets_in_what_tools_said_are_not_repeated(life):
    words = "fetching https://bot:hunter2@example.org/simple failed, token=abc123, Authorization: Bearer xyz"
    life.published()
    life.deployed()
    life.rolled_back(error=words)
    life.failed(words)
    text = report(life).model_dump_json()
    assert "hunter2" not in text and "abc123" not in text and "xyz" not in text
    assert "https://…@example.org/simple" in text


def test_the_whole_timeline_of_events_can_be_found_in_the_ledger(completed_life):
    said = report(completed_life)
    ids = {fact.id for fact in completed_life.ledger.facts}
    assert {line.event_id for line in said.timeline} <= ids
    assert said.events_total == len(ids)
    chain = next(line for line in said.chains if line.chain == "update/jinja2-3.1.6-5f2d1c")
    assert chain.last_hash == completed_life.ledger.heads[chain.chain].hash


def test_durations_are_said_in_two_units():
    from patchline_documentation.wording import length

    assert length(timedelta(days=3, hours=4, minutes=5)) == "3 days 4 hours"
    assert length(timedelta(seconds=1)) == "1 second"


def test_an_assessment_made_while_targets_get_done_does_not_lower_the_need(life):
    life.published()
    assessed = life.ledger.facts[-1].event
    life.deployed()
    done = {"affected_total": 0, "urgency": None, "due_at": None}
    life.ledger.keep(assessed.model_copy(update=done), cause=life.last)
    life.verified()
    life.completed()
    said = report(life)
    assert (said.affected_total, said.urgency) == (2, "out-of-cycle")


def test_a_targets_words_are_not_repeated_where_the_event_says_them(life):
    life.published()
    life.deployed()
    life.rolled_back(error="wiki: GET /health answered 503\nKeyError: 'sub'")
    life.failed("wiki answers 503")
    (issue,) = report(life).issues
    assert issue.output.splitlines() == ["wiki: GET /health answered 503", "KeyError: 'sub'"]
