from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from patchline_gateway.history import cause_before_effect, traces_of

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


@dataclass
class Entry:
    id: str
    time: datetime
    cause_id: str | None


def entry(id: str, minute: int, cause: str | None = None) -> Entry:
    return Entry(id, NOON + timedelta(minutes=minute), cause)


def ids(entries: list[Entry]) -> list[str]:
    return [each.id for each in entries]


def test_an_effect_follows_its_cause_even_where_its_clock_was_behind() -> None:
    assert ids(cause_before_effect([entry("effect", 1, "cause"), entry("cause", 5)])) == ["cause", "effect"]


def test_what_is_not_related_is_sorted_by_time() -> None:
    assert ids(
        cause_before_effect([entry("late", 9), entry("early", 1), entry("middle", 5, "elsewhere")])
    ) == [
        "early",
        "middle",
        "late",
    ]


def test_a_long_chain_comes_out_in_order_whatever_order_it_went_in() -> None:
    chain = [entry(f"{number:05}", -number, f"{number - 1:05}") for number in range(5000)]
    shuffled = random.Random(7).sample(chain, len(chain))
    assert ids(cause_before_effect(shuffled)) == ids(chain)


def test_events_that_claim_to_cause_each_other_are_still_shown() -> None:
    loop = [entry("a", 2, "b"), entry("b", 1, "a"), entry("c", 3), entry("self", 0, "self")]
    assert ids(cause_before_effect(loop)) == ["self", "c", "b", "a"]


def test_traces_are_listed_once_in_order() -> None:
    assert traces_of(["b", "a", "b"]) == ["b", "a"]
