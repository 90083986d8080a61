"""Which policies a group's history asks for."""

from datetime import UTC, datetime, timedelta

import pytest

from patchline_review.history import GroupHistory, PastRound
from patchline_review.proposals import iso_duration, more_frequent, proposals
from patchline_schemas.fleet import Group, Policies, RecurringWindow

NINE = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def past(number, **facts):
    return PastRound(
        update_id=f"u{number}", round=1, ended_at=NINE + number * HOUR, evidence=(f"e{number}",), **facts
    )


def group(**facts):
    return Group(name="shop", criticality="medium", **facts)


def found(rounds, of_group):
    return {each.rule: each for each in proposals(rounds, of_group)}


def test_two_failures_in_the_soak_ask_for_a_longer_one():
    failed = {"failed_in_soak_after": timedelta(seconds=8)}
    rounds = [past(1, **failed), past(2), past(3, **failed)]
    proposal = found(rounds, group(policies=Policies(soak=timedelta(minutes=5))))["longer-soak"]
    assert (proposal.path, proposal.value) == (("policies", "soak"), "PT10M")
    assert proposal.evidence == ("e1", "e3")
    assert proposal.reason.startswith(
        "2 of the last 3 updates of shop failed during the soak time of 5 minutes"
    )


def test_one_failure_asks_for_nothing():
    assert found([past(1, failed_in_soak_after=HOUR)], group()) == {}


def test_failures_long_ago_ask_for_nothing():
    old = [past(number, failed_in_soak_after=HOUR) for number in (1, 2)]
    assert found([*old, *(past(number) for number in range(3, 8))], group()) == {}


def test_the_longest_soak_is_not_made_longer():
    rounds = [past(number, failed_in_soak_after=HOUR) for number in (1, 2)]
    assert found(rounds, group(policies=Policies(soak=timedelta(days=1)))) == {}


def test_due_dates_missed_while_waiting_for_a_window_ask_for_a_more_frequent_one():
    window = RecurringWindow(rrule="FREQ=MONTHLY;BYDAY=1SA;BYHOUR=2", duration=2 * HOUR)
    rounds = [past(n, late_by=HOUR, lead_time=30 * HOUR, waited=20 * HOUR) for n in (1, 2)]
    proposal = found(rounds, group(window=window))["more-frequent-window"]
    assert (proposal.path, proposal.value) == (("window", "rrule"), "FREQ=WEEKLY;BYDAY=SA;BYHOUR=2")


def test_being_late_for_another_reason_does_not():
    window = RecurringWindow(rrule="FREQ=MONTHLY;BYDAY=1SA", duration=HOUR)
    rounds = [past(n, late_by=HOUR, lead_time=30 * HOUR, waited=HOUR) for n in (1, 2)]
    assert found(rounds, group(window=window)) == {}
    assert found([past(n, late_by=HOUR, lead_time=HOUR, waited=HOUR) for n in (1, 2)], group()) == {}


def test_targets_left_over_at_the_windows_end_ask_for_more_at_once():
    rounds = [past(n, not_started_total=4) for n in (1, 2)]
    proposal = found(rounds, group(policies=Policies(concurrency=10)))["more-at-once"]
    assert (proposal.path, proposal.value) == (("policies", "concurrency"), 20)


@pytest.mark.parametrize(
    ("rrule", "better"),
    [
        ("FREQ=YEARLY;BYMONTH=1;BYDAY=1SA", "FREQ=MONTHLY;BYDAY=1SA"),
        ("FREQ=MONTHLY;BYMONTHDAY=3;BYHOUR=2", "FREQ=WEEKLY;BYHOUR=2;BYDAY=SA"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SA", "FREQ=WEEKLY;BYDAY=SA"),
        ("FREQ=WEEKLY;BYDAY=SA;BYHOUR=2", "FREQ=WEEKLY;BYDAY=WE,SA;BYHOUR=2"),
        ("FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=MO,WE"),
        ("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA,SU", None),
        ("FREQ=DAILY;BYHOUR=2", None),
        ("RRULE:freq=weekly;interval=3", "FREQ=WEEKLY"),
    ],
)
def test_the_next_more_frequent_recurrence(rrule, better):
    assert more_frequent(rrule) == better


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "PT0S"), (20, "PT20S"), (60, "PT1M"), (3690, "PT1H1M30S"), (86_400, "P1D"), (86_430, "P1DT30S")],
)
def test_durations_are_written_as_the_fleet_file_has_them(seconds, text):
    assert iso_duration(timedelta(seconds=seconds)) == text


def test_a_history_forgets_nothing_recent_and_grows_no_further():
    history = GroupHistory(id="shop")
    assert all(history.learn(past(number)) for number in range(30))
    assert [each.update_id for each in history.past] == [f"u{number}" for number in range(10, 30)]
    assert history.learn(past(29)) is False


def test_rounds_under_former_policies_say_nothing_about_the_new_ones():
    history = GroupHistory(id="shop")
    history.register(group(contacts=("mailto://a:b@example.org",)), 1, NINE)
    history.learn(past(1))
    assert len(history.relevant()) == 1
    history.register(group(policies=Policies(soak=HOUR)), 2, NINE + 2 * HOUR)
    assert history.relevant() == []
    assert history.group.contacts == ()
