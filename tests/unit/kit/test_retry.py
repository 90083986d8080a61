from datetime import UTC, datetime, timedelta

import pytest

from patchline_kit import Early, Poison, RetryLater, RetryPolicy
from patchline_kit.retry import GiveUp, TryAgain, delay, verdict

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
POLICY = RetryPolicy(first=timedelta(seconds=1), longest=timedelta(seconds=60), attempts=3)


def judged(error: Exception, *, attempts: int = 1, since: timedelta = timedelta(0)) -> TryAgain | GiveUp:
    return verdict(
        POLICY, error, attempts=attempts, patience_over=since >= POLICY.early_for, now=NOON, seed="lane/1"
    )


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (500, 60)])
def test_a_delay_doubles_up_to_the_longest_and_varies_by_a_fifth(attempts, seconds):
    delays = [delay(POLICY, attempts, str(seed)).total_seconds() for seed in range(200)]
    assert 0.8 * seconds <= min(delays) < 0.9 * seconds
    assert 1.1 * seconds < max(delays) <= 1.2 * seconds


def test_the_same_record_waits_the_same_time_wherever_it_is_judged():
    assert delay(POLICY, 2, "lane/1") == delay(POLICY, 2, "lane/1")


def test_a_failure_is_tried_again_until_the_last_attempt():
    assert isinstance(judged(ValueError("x"), attempts=2), TryAgain)
    assert judged(ValueError("x"), attempts=3) == GiveUp("failed 3 times, the last time with: ValueError: x")


def test_an_outcome_s_own_words_are_the_reason():
    assert judged(RetryLater("the mirror is down"), attempts=3) == GiveUp(
        "failed 3 times, the last time with: the mirror is down"
    )


def test_poison_is_given_up_at_once_with_its_reason():
    assert judged(Poison("no such vendor")) == GiveUp("no such vendor")


def test_a_retry_can_name_its_time():
    assert judged(RetryLater("busy", after=timedelta(hours=2))) == TryAgain(NOON + timedelta(hours=2))


def test_an_early_record_has_time_rather_than_attempts():
    assert isinstance(judged(Early("x"), attempts=1_000, since=timedelta(hours=23)), TryAgain)
    assert isinstance(judged(Early("x"), attempts=1, since=timedelta(hours=24)), GiveUp)
