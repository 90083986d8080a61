import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchline_schemas.feed_items import (
    MAX_FEED_BYTES,
    MAX_ITEMS,
    FeedItemsError,
    Publication,
    Retraction,
    parse_item,
    parse_items,
    update_id_of,
)

ITEM = {
    "vendor": "palletsprojects",
    "component": "pkg:pypi/Jinja2",
    "version": "3.1.6",
    "kind": "security",
    "released_at": "2025-03-05T20:05:00Z",
    "advisories": [
        {"id": "CVE-2025-27516", "severity": "high", "affected": [{"introduced": "0", "fixed": "3.1.6"}]}
    ],
    "notes_url": "https://example.org/notes",
    "restart_required": False,
}


def without(key):
    return {name: value for name, value in ITEM.items() if name != key}


def advisory(**changes):
    return {**ITEM, "advisories": [{"id": "CVE-1", **changes}]}


def problems(feed):
    with pytest.raises(FeedItemsError) as refused:
        parse_items(feed)
    return [str(problem) for problem in refused.value.problems]


def test_the_item_of_the_readme_is_taken_in_normal_form():
    (item,) = parse_items(json.dumps(ITEM))
    assert isinstance(item, Publication)
    assert (item.component, item.version) == ("pkg:pypi/jinja2", "3.1.6")
    assert item.update_id == update_id_of(ITEM)


def test_a_list_is_taken_in_its_order_and_may_say_a_thing_twice():
    newer = {**ITEM, "version": "3.1.7"}
    items = parse_items([newer, ITEM, ITEM])
    assert [item.version for item in items] == ["3.1.7", "3.1.6", "3.1.6"]


def test_an_empty_list_holds_nothing():
    assert parse_items("[]") == []


def test_a_retraction_needs_no_more_than_its_reason():
    (item,) = parse_items(
        [{"vendor": "v", "component": "pkg:pypi/a", "version": "1", "retracted": True, "reason": "broken"}]
    )
    assert isinstance(item, Retraction)


def test_a_taken_item_is_taken_again_as_it_was_dumped():
    item = parse_item(ITEM)
    assert parse_item(item.model_dump(mode="json")) == item
    assert parse_item(item.model_dump(mode="json", exclude_none=True)) == item


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (without("kind"), "kind: is missing"),
        (without("vendor"), "vendor: is missing"),
        ({**ITEM, "kind": "sec"}, "kind: must be 'security', 'bugfix', 'feature' or 'other', is \"sec\""),
        ({**ITEM, "version": 3}, "version: must be text, is a number"),
        ({**ITEM, "restart_required": "yes"}, "restart_required: must be true or false, is text"),
        ({**ITEM, "relased_at": "x"}, "relased_at: unknown key; did you mean 'released_at'?"),
        ({**ITEM, "vendor": " "}, "vendor: must not be blank"),
        ({**ITEM, "vendor": "a\x00"}, "vendor: must not be blank"),
        ({**ITEM, "notes_url": "javascript:alert(1)"}, "notes_url: must be a web address"),
        ({**ITEM, "released_at": "2025-03-05T20:05:00"}, "released_at: has no time zone"),
        ({**ITEM, "released_at": "9999-12-31T23:59:59-23:59"}, "outside the years 1 to 9999"),
        ({**ITEM, "released_at": 1741205100}, "released_at: must be a time like 2025-03-05T20:05:00Z"),
        ({**ITEM, "version": "banana"}, "version: 'banana' is no version by the rules of PEP 440"),
        (
            {**ITEM, "component": "pkg:pipy/jinja2"},
            "component: unknown ecosystem 'pipy'; did you mean 'pypi'?",
        ),
        ({**ITEM, "component": "pkg:pypi/jinja2@3"}, "component: 'pkg:pypi/jinja2@3' carries a version"),
        ({**ITEM, "component": "jinja2"}, "component: 'jinja2' is no package URL"),
        (advisory(severity="moderate"), "advisories[0].severity: must be 'low', 'medium', 'high'"),
        (
            advisory(affected=[{"fixd": "3"}]),
            "advisories[0].affected[0].fixd: unknown key; did you mean 'fixed'?",
        ),
        (advisory(affected=[{"fixed": "x y"}]), "advisories[0].affected[0].fixed: 'x y' is no version"),
        (advisory(affected=[{"fixed": "4.0"}]), "advisories[0].affected[0]: the update's own version 3.1.6"),
        (advisory(affected=[{}]), "advisories[0].affected[0]: the update's own version 3.1.6"),
        (
            advisory(affected=[{"introduced": "3", "fixed": "2"}]),
            "advisories[0].affected[0]: holds no version",
        ),
        (
            advisory(affected=[{"fixed": "2", "last_affected": "1"}]),
            "advisories[0].affected[0]: has 'fixed' and 'last_affected'",
        ),
        ({**ITEM, "advisories": {}}, "advisories: must be a list, is an object"),
        ({**ITEM, "retracted": True, "reason": "x"}, "kind: unknown key"),
        (7, "an item is a JSON object, this is a number"),
        ({**ITEM, "notes_url": "https://example.org/" + "x" * 100_000}, "KiB; an item may have at most"),
    ],
)
def test_a_bad_item_is_refused_with_item_and_field(item, problem):
    found = problems([ITEM, item])
    assert found[0].startswith("items[1]")
    assert any(problem in each for each in found)


def test_every_problem_of_a_list_is_named_at_once():
    found = problems([{**ITEM, "version": "?"}, ITEM, without("kind") | {"vendor": 1}])
    assert [each.partition(":")[0] for each in found] == [
        "items[0].version",
        "items[2].vendor",
        "items[2].kind",
    ]


def test_a_single_item_is_not_called_a_list():
    assert problems(without("kind")) == ["kind: is missing"]


@pytest.mark.parametrize(
    ("feed", "problem"),
    [
        ('{"vendor": ', "the feed: no JSON: Expecting value in line 1, column 12"),
        (b"\x80", "the feed: not UTF-8"),
        ('[{"vendor": "a", "vendor": "b"}]', "the feed: the key 'vendor' is there twice in one object"),
        ("[" * 100_000, "the feed: nested too deeply"),
        ("7", "the feed: a feed is one item (a JSON object) or a list of them"),
        (" " * (MAX_FEED_BYTES + 1), "the feed: 16 MiB; at most 16 MiB at a time"),
        ("[" + "{}," * MAX_ITEMS + "{}]", f"the feed: {MAX_ITEMS + 1} items; at most {MAX_ITEMS}"),
    ],
)
def test_what_is_no_feed_is_refused_as_a_whole(feed, problem):
    assert any(problem in each for each in problems(feed))


def test_a_text_with_a_thousand_problems_says_how_many_more_there_are():
    with pytest.raises(FeedItemsError) as refused:
        parse_items([{}] * 200)
    lines = str(refused.value).splitlines()
    assert len(lines) == 51
    assert lines[-1].startswith("and ")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*ITEM, "retracted", "reason"]), JSON))
def test_no_json_makes_it_crash(changes):
    try:
        parse_items([ITEM | changes])
    except FeedItemsError as refused:
        assert refused.problems


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_the_id_of_an_item_is_said_or_not_but_never_crashes(version):
    update_id_of({"component": "pkg:pypi/jinja2", "version": version})
    update_id_of({"component": version, "version": "1"})
