from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from patchline_planning.windows import UnusableWindow, next_window
from patchline_schemas.fleet import Freeze, RecurringWindow

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
MONDAY = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def window(
    rrule: str, timezone: str = "UTC", *, hours: float = 2, start: date | None = None
) -> RecurringWindow:
    return RecurringWindow(
        rrule=rrule,
        duration=timedelta(hours=hours),
        timezone=timezone,
        start=start or date(1970, 1, 5),
    )


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


def freeze(start: datetime, end: datetime) -> Freeze:
    return Freeze(starts_at=start, ends_at=end, reason="year end")


def starts(rule: RecurringWindow, after: datetime, count: int) -> list[datetime]:
    found = []
    while len(found) < count:
        slot = next_window(rule, after)
        assert slot is not None and slot.ends_at is not None
        found.append(slot.starts_at)
        after = slot.ends_at
    return found


class TestDaylightSaving:
    def test_a_wall_clock_time_stays_in_summer_and_winter(self) -> None:
        rule = window("FREQ=DAILY;BYHOUR=2", BERLIN)
        assert next_window(rule, utc(2026, 1, 10, 12)).starts_at == utc(2026, 1, 11, 1)
        assert next_window(rule, utc(2026, 7, 10, 12)).starts_at == utc(2026, 7, 11, 0)

    @pytest.mark.parametrize(
        ("zone", "before", "expected"),
        [
            # 02:30 does not exist: with the offset from before the change it is 03:30 summer time
            (BERLIN, utc(2026, 3, 28, 12), utc(2026, 3, 29, 1, 30)),
            (NEW_YORK, utc(2026, 3, 7, 12), utc(2026, 3, 8, 7, 30)),
        ],
    )
    def test_a_time_in_the_gap_takes_the_offset_before_it(
        self, zone: str, before: datetime, expected: datetime
    ) -> None:
        slot = next_window(window("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", zone), before)
        assert slot.starts_at == expected

    @pytest.mark.parametrize(
        ("zone", "minute", "before", "expected"),
        [
            (BERLIN, "BYHOUR=2;BYMINUTE=30", utc(2026, 10, 24, 12), utc(2026, 10, 25, 0, 30)),
            (NEW_YORK, "BYHOUR=1;BYMINUTE=30", utc(2026, 10, 31, 12), utc(2026, 11, 1, 5, 30)),
        ],
    )
    def test_a_time_that_comes_twice_means_the_first(
        self, zone: str, minute: str, before: datetime, expected: datetime
    ) -> None:
        slot = next_window(window(f"FREQ=DAILY;{minute}", zone), before)
        assert slot.starts_at == expected

    @pytest.mark.parametrize("day", [utc(2026, 3, 28, 12), utc(2026, 10, 24, 12)])
    def test_duration_is_elapsed_time(self, day: datetime) -> None:
        slot = next_window(window("FREQ=DAILY;BYHOUR=1", BERLIN, hours=4), day)
        assert slot.ends_at - slot.starts_at == 4 * HOUR

    def test_the_window_of_a_changing_night_comes_once(self) -> None:
        nights = starts(window("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", BERLIN), utc(2026, 10, 23, 12), 3)
        assert nights == [utc(2026, 10, 24, 0, 30), utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]

    @settings(max_examples=150, deadline=None)
    @given(
        after=st.integers(0, 15 * 365 * 24 * 60).map(
            lambda minutes: utc(2020, 1, 1) + timedelta(minutes=minutes)
        ),
        hour=st.integers(0, 23),
        zone=st.sampled_from([BERLIN, NEW_YORK, "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
        hours=st.integers(1, 30),
    )
    def test_a_daily_window_is_what_counting_by_hand_gives(
        self, after: datetime, hour: int, zone: str, hours: int
    ) -> None:
        slot = next_window(window(f"FREQ=DAILY;BYHOUR={hour}", zone, hours=hours), after)
        local = after.astimezone(ZoneInfo(zone)).date()
        candidates = [
            datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(zone)).astimezone(UTC)
            for day in (local + timedelta(days=shift) for shift in range(-4, 5))
        ]
        first = min(start for start in candidates if start + hours * HOUR > after)
        assert slot.starts_at == max(first, after)
        assert slot.ends_at == first + hours * HOUR


class TestRules:
    def test_missing_hour_minute_and_second_are_zero(self) -> None:
        assert next_window(window("FREQ=WEEKLY;BYDAY=SA"), MONDAY).starts_at == utc(2026, 1, 10)

    def test_interval_counts_from_the_first_monday_of_1970(self) -> None:
        mondays = starts(window("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=2"), MONDAY, 2)
        assert mondays[1] - mondays[0] == 14 * DAY
        assert (mondays[0].date() - date(1970, 1, 5)).days % 14 == 0

    def test_interval_counts_from_start_where_one_is_given(self) -> None:
        odd = window("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=2", start=date(2026, 1, 12))
        even = window("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=2", start=date(2026, 1, 19))
        assert next_window(odd, MONDAY).starts_at == utc(2026, 1, 12, 2)
        assert next_window(even, MONDAY).starts_at == utc(2026, 1, 19, 2)

    @pytest.mark.parametrize(
        ("rrule", "expected"),
        [
            ("FREQ=MONTHLY;BYDAY=2TU;BYHOUR=3", utc(2026, 1, 13, 3)),
            ("FREQ=MONTHLY;BYMONTHDAY=-1", utc(2026, 1, 31)),
            ("FREQ=MONTHLY;INTERVAL=3;BYMONTHDAY=1", utc(2026, 4, 1)),
            ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", utc(2028, 2, 29)),
            ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;BYHOUR=22", utc(2026, 1, 30, 22)),
            ("RRULE:FREQ=DAILY;BYHOUR=23", utc(2026, 1, 5, 23)),
            ("FREQ=HOURLY;INTERVAL=5;BYMINUTE=30", utc(2026, 1, 5, 14, 30)),
        ],
    )
    def test_rules_of_rfc_5545(self, rrule: str, expected: datetime) -> None:
        assert next_window(window(rrule, hours=0.5), MONDAY).starts_at == expected

    @settings(max_examples=120, deadline=None)
    @given(
        rrule=st.sampled_from(
            [
                "FREQ=YEARLY;INTERVAL={n}",
                "FREQ=YEARLY;INTERVAL={n};BYMONTH=3;BYDAY=2SU",
                "FREQ=MONTHLY;INTERVAL={n}",
                "FREQ=MONTHLY;INTERVAL={n};BYDAY=-1FR",
                "FREQ=WEEKLY;INTERVAL={n};BYDAY=MO,TH;WKST=SU",
                "FREQ=WEEKLY;INTERVAL={n}",
                "FREQ=DAILY;INTERVAL={n}",
                "FREQ=HOURLY;INTERVAL={n}",
            ]
        ),
        interval=st.integers(1, 9),
        start=st.dates(date(1970, 1, 1), date(2028, 12, 31)),
        after=st.integers(0, 6 * 365 * 24).map(lambda hours: utc(2024, 1, 1) + timedelta(hours=hours)),
    )
    def test_a_search_from_nearby_finds_what_counting_from_the_start_finds(
        self, rrule: str, interval: int, start: date, after: datetime
    ) -> None:
        text = rrule.format(n=interval)
        begins = datetime.combine(start, datetime.min.time())
        counted = rrulestr(text, dtstart=begins).after(after.replace(tzinfo=None) - HOUR / 2)
        slot = next_window(window(text, hours=0.5, start=start), after)
        assert slot.starts_at == max(counted.replace(tzinfo=UTC), after)

    def test_a_rule_may_end(self) -> None:
        assert next_window(window("FREQ=DAILY;UNTIL=20260107T000000Z"), MONDAY).starts_at == utc(2026, 1, 6)
        assert next_window(window("FREQ=DAILY;UNTIL=20260101T000000Z"), MONDAY) is None
        assert next_window(window("FREQ=DAILY;COUNT=2", start=date(2026, 1, 5)), MONDAY).starts_at == utc(
            2026, 1, 6
        )
        assert next_window(window("FREQ=DAILY;COUNT=1", start=date(2026, 1, 5)), MONDAY) is None

    @pytest.mark.parametrize(
        "rrule",
        [
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=MONTHLY;BYDAY=6MO",
            "FREQ=DAILY;INTERVAL=7;BYDAY=TU",
            "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        ],
    )
    def test_a_date_that_never_comes_is_no_window_and_is_found_out_soon(self, rrule: str) -> None:
        began = time.process_time()
        assert next_window(window(rrule), MONDAY) is None
        assert time.process_time() - began < 2

    def test_a_rare_date_is_found(self) -> None:
        slot = next_window(window("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU"), MONDAY)
        assert slot.starts_at == utc(2032, 2, 29)

    @pytest.mark.parametrize(
        "rrule", ["", "every saturday", "FREQ=SOMETIMES", "FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;UNTIL=soon"]
    )
    def test_a_rule_that_means_nothing_is_said(self, rrule: str) -> None:
        with pytest.raises(UnusableWindow):
            next_window(window(rrule), MONDAY)

    def test_an_unknown_time_zone_is_said(self) -> None:
        with pytest.raises(UnusableWindow, match="Mars/Base"):
            next_window(window("FREQ=DAILY", "Mars/Base"), MONDAY)


class TestWhatCounts:
    def test_a_window_that_has_begun_counts_for_the_rest_of_it(self) -> None:
        slot = next_window(window("FREQ=DAILY;BYHOUR=11"), MONDAY)
        assert (slot.starts_at, slot.ends_at) == (MONDAY, utc(2026, 1, 5, 13))
        assert slot.open_at(MONDAY)

    def test_a_window_that_ends_now_is_over(self) -> None:
        assert next_window(window("FREQ=DAILY;BYHOUR=10"), MONDAY).starts_at == utc(2026, 1, 6, 10)

    def test_always_is_open_now_and_has_no_end(self) -> None:
        slot = next_window("always", MONDAY)
        assert (slot.starts_at, slot.ends_at) == (MONDAY, None)

    def test_the_first_window_at_least_the_notice_after_the_notice(self) -> None:
        rule = window("FREQ=DAILY;BYHOUR=11")
        slot = next_window(rule, MONDAY, notice_given_at=MONDAY, notice=3 * DAY)
        assert (slot.starts_at, slot.cause) == (utc(2026, 1, 9, 11), "notice")
        later = next_window(rule, utc(2026, 1, 9, 12), notice_given_at=MONDAY, notice=3 * DAY)
        assert later.starts_at == utc(2026, 1, 9, 12)

    def test_notice_holds_for_always_too(self) -> None:
        slot = next_window("always", MONDAY, notice_given_at=MONDAY, notice=DAY)
        assert (slot.starts_at, slot.cause) == (MONDAY + DAY, "notice")


class TestFreezes:
    def test_nothing_starts_inside_a_freeze(self) -> None:
        slot = next_window("always", MONDAY, freezes=[freeze(MONDAY - DAY, MONDAY + DAY)])
        assert (slot.starts_at, slot.ends_at, slot.cause) == (MONDAY + DAY, None, "freeze")

    def test_a_coming_freeze_ends_the_window(self) -> None:
        slot = next_window("always", MONDAY, freezes=[freeze(MONDAY + HOUR, MONDAY + DAY)])
        assert (slot.starts_at, slot.ends_at) == (MONDAY, MONDAY + HOUR)

    def test_a_freeze_cuts_a_window(self) -> None:
        rule = window("FREQ=DAILY;BYHOUR=14", hours=6)
        frozen = [
            freeze(utc(2026, 1, 5, 10), utc(2026, 1, 5, 15)),
            freeze(utc(2026, 1, 5, 17), utc(2026, 1, 5, 18)),
        ]
        slot = next_window(rule, MONDAY, freezes=frozen)
        assert (slot.starts_at, slot.ends_at, slot.cause) == (
            utc(2026, 1, 5, 15),
            utc(2026, 1, 5, 17),
            "freeze",
        )
        rest = next_window(rule, utc(2026, 1, 5, 17), freezes=frozen)
        assert (rest.starts_at, rest.ends_at) == (utc(2026, 1, 5, 18), utc(2026, 1, 5, 20))

    def test_a_window_that_is_frozen_whole_is_passed_over(self) -> None:
        rule = window("FREQ=WEEKLY;BYDAY=SA;BYHOUR=2")
        slot = next_window(rule, MONDAY, freezes=[freeze(utc(2026, 1, 9), utc(2026, 1, 20))])
        assert (slot.starts_at, slot.cause) == (utc(2026, 1, 24, 2), "freeze")

    @settings(max_examples=100, deadline=None)
    @given(
        cuts=st.lists(
            st.tuples(st.integers(0, 400), st.integers(1, 100)).map(
                lambda pair: freeze(MONDAY + pair[0] * HOUR, MONDAY + (pair[0] + pair[1]) * HOUR)
            ),
            max_size=8,
        ),
        ahead=st.integers(0, 300),
    )
    def test_no_slot_ever_touches_a_freeze(self, cuts: list[Freeze], ahead: int) -> None:
        after = MONDAY + ahead * HOUR
        for rule in ("always", window("FREQ=DAILY;BYHOUR=2", BERLIN, hours=5)):
            slot = next_window(rule, after, freezes=cuts)
            assert slot.starts_at >= after
            for cut in cuts:
                assert slot.starts_at >= cut.ends_at or (
                    slot.starts_at < cut.starts_at
                    and slot.ends_at is not None
                    and slot.ends_at <= cut.starts_at
                )
