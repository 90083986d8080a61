from datetime import UTC, datetime, timedelta

from patchline_kit.deadlines import OUTAGES_KEPT, Heard, Uptime, downtime, lately, with_gap

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def test_a_deadline_passes_when_its_time_is_over():
    uptime = Uptime(heard_until=NOON + HOUR)
    assert not uptime.passed(NOON, HOUR, NOON + 59 * MINUTE)
    assert uptime.passed(NOON, HOUR, NOON + HOUR)


def test_no_deadline_passes_before_the_topics_are_handled_once():
    assert not Uptime(heard_until=None).passed(NOON, HOUR, NOON + 9 * HOUR)


def test_a_deadline_waits_while_records_from_before_it_are_unhandled():
    assert not Uptime(heard_until=NOON + 30 * MINUTE).passed(NOON, HOUR, NOON + 2 * HOUR)


def test_a_deadline_waits_for_the_replica_that_has_heard_the_least():
    behind = (NOON + 30 * MINUTE, NOON + 9 * HOUR)
    assert not Uptime(heard_until=NOON + 9 * HOUR, others=behind).passed(NOON, HOUR, NOON + 9 * HOUR)
    assert not Uptime(heard_until=NOON + 9 * HOUR, others=(None,)).passed(NOON, HOUR, NOON + 9 * HOUR)
    assert Uptime(heard_until=NOON + 9 * HOUR, others=behind[1:]).passed(NOON, HOUR, NOON + 9 * HOUR)


def test_a_replica_that_stands_by_goes_by_what_the_others_have_heard():
    assert Uptime(reads=False, others=(NOON + HOUR,)).passed(NOON, HOUR, NOON + HOUR)
    assert not Uptime(reads=False).passed(NOON, HOUR, NOON + HOUR)


def test_a_replica_that_has_said_nothing_lately_is_gone():
    said = {"a": Heard(seen=NOON, until=None), "b": Heard(seen=NOON + MINUTE, until=None)}
    assert list(lately(said, NOON + MINUTE)) == ["b"]


def test_an_outage_gives_the_step_its_time_again():
    uptime = Uptime(outages=[(NOON + 30 * MINUTE, NOON + 90 * MINUTE)], heard_until=NOON + 9 * HOUR)
    assert not uptime.passed(NOON, HOUR, NOON + 119 * MINUTE)
    assert uptime.passed(NOON, HOUR, NOON + 120 * MINUTE)


def test_only_the_overlap_with_an_outage_counts():
    outages = [
        (NOON - HOUR, NOON + 10 * MINUTE),
        (NOON + 20 * MINUTE, NOON + 25 * MINUTE),
        (NOON + HOUR, NOON + 2 * HOUR),
    ]
    assert downtime(outages, NOON, NOON + HOUR) == 15 * MINUTE


def test_a_short_gap_is_no_outage():
    assert with_gap([], NOON, NOON + timedelta(seconds=30)) == []
    assert with_gap([], NOON, NOON + timedelta(seconds=31)) == [(NOON, NOON + timedelta(seconds=31))]


def test_the_oldest_outages_are_forgotten():
    many = [(NOON + n * HOUR, NOON + n * HOUR + MINUTE) for n in range(OUTAGES_KEPT)]
    kept = with_gap(many, NOON + 999 * HOUR, NOON + 1000 * HOUR)
    assert len(kept) == OUTAGES_KEPT
    assert kept[-1] == (NOON + 999 * HOUR, NOON + 1000 * HOUR)
