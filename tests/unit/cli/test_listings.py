"""What the listings print, as JSON (a contract, see docs/cli.md) and for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from patchline_cli.output import Column, Output, clean, count
from patchline_cli.times import duration, relative
from patchline_cli.updates import held_in_words

ID = "jinja2-3.1.6-381efe"
UPDATE = {
    "id": ID,
    "component": "pkg:pypi/jinja2",
    "to_version": "3.1.6",
    "kind": "security",
    "state": "rolling-out",
    "urgency": None,
    "due": "2026-03-17T09:00:00Z",
    "closed": None,
}
TARGET = {
    "id": "wiki",
    "group": "intranet",
    "driver": "venv",
    "path": "/srv/wiki",
    "packages_total": None,
    "runtime": None,
    "collected_at": None,
    "inventory_error": "the environment is missing",
}
GROUP = {
    "name": "intranet",
    "criticality": "low",
    "exposure": "controlled",
    "window": "always",
    "approval": "automatic",
    "contacts": ["file:notices/intranet.log"],
}
NOTICE = {
    "id": "n1",
    "update_id": ID,
    "wave_id": None,
    "group": "intranet",
    "contact": "file:notices/intranet.log",
    "occasion": "planned",
    "state": "sent",
    "subject": "jinja2 3.1.6 on intranet",
    "error": None,
    "next_attempt_at": None,
    "time": "2026-03-03T09:00:00Z",
}
RETRYING = {**NOTICE, "state": "retrying", "subject": None, "error": "refused"}
LETTER = {
    "id": "d1",
    "service": "backup",
    "topic": "waves.due",
    "event_id": None,
    "reason": "The body does not fit.",
    "attempts": 1,
    "first_failed_at": "2026-03-03T09:00:00Z",
    "state": "open",
    "decided_by": None,
    "decided_at": None,
}
WAVE = {
    "id": f"{ID}.r1.w1",
    "round": 1,
    "group": "intranet",
    "state": "deploying",
    "starts_at": "2026-03-03T09:00:00Z",
    "targets_total": 1,
    "targets": [
        {
            "target": "wiki",
            "outcome": "running",
            "from_version": "3.1.2",
            "to_version": "3.1.6",
            "error": None,
        }
    ],
}
LISTINGS = [
    (("updates",), "/v1/updates", UPDATE),
    (("groups",), "/v1/groups", GROUP),
    (("targets",), "/v1/targets", TARGET),
    (("waves", ID), f"/v1/waves/{ID}", WAVE),
    (("notices",), "/v1/notices", NOTICE),
    (("dead-letters", "list"), "/v1/dead-letters", LETTER),
]


def page(*items: Any) -> dict[str, Any]:
    return {"items": list(items), "next": None}


@pytest.mark.parametrize(("command", "path", "item"), LISTINGS)
def test_json_is_what_the_api_says_and_alone_on_standard_output(
    patchline: Any, api: Any, command: tuple[str, ...], path: str, item: dict[str, Any]
) -> None:
    api.answer(path, page(item))
    assert patchline(*command, "-o", "json").json == [item]
    lines = patchline(*command, "-o", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == [item]


@pytest.mark.parametrize(("command", "path", "item"), LISTINGS)
def test_an_empty_listing_is_an_empty_list_and_a_sentence_for_people(
    patchline: Any, api: Any, command: tuple[str, ...], path: str, item: dict[str, Any]
) -> None:
    api.answer(path, page())
    assert patchline(*command, "-o", "json").json == []
    assert patchline(*command, "-o", "jsonl").out == ""
    ended = patchline(*command)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.strip().endswith((".", "FILE"))


@pytest.mark.parametrize(("command", "path", "item"), LISTINGS)
def test_a_table_in_a_pipe_has_a_title_and_a_line_for_each_item_uncut(
    patchline: Any, api: Any, command: tuple[str, ...], path: str, item: dict[str, Any]
) -> None:
    api.answer(path, page(item, item))
    lines = patchline(*command).out.splitlines()
    assert len(lines) == 3
    assert item.get("id", item.get("name")) in lines[1] or command == ("notices",)
    assert lines[0].isupper()
    assert "\x1b" not in "".join(lines)


def test_a_notice_that_is_tried_again_says_why_and_when(patchline: Any, api: Any) -> None:
    again = (datetime.now(UTC) + timedelta(minutes=5, seconds=30)).isoformat()
    api.answer("/v1/notices", {"items": [{**RETRYING, "next_attempt_at": again}], "next": None})
    assert "refused; tried again in 5 min" in patchline("notices").out


def test_a_listing_of_several_parts_is_read_whole_and_no_further_than_asked(patchline: Any, api: Any) -> None:
    import httpx

    def answer(request: httpx.Request) -> httpx.Response:
        after = request.url.params["after"]
        number = int(after or 0)
        items = [{**UPDATE, "id": str(number + step)} for step in (1, 2)]
        return httpx.Response(200, json={"items": items, "next": str(number + 2) if number < 4 else None})

    api.answer("/v1/updates", answer)
    assert [item["id"] for item in patchline("updates", "-o", "json").json] == ["1", "2", "3", "4", "5", "6"]
    api.asked.clear()
    assert [item["id"] for item in patchline("updates", "-o", "json", "--limit", "3").json] == ["1", "2", "3"]
    assert len(api.asked) == 2


@pytest.mark.parametrize("form", ["table", "json", "jsonl"])
@pytest.mark.parametrize(("limit", "there_are_more"), [(1, True), (2, False), (3, False)])
def test_a_listing_that_is_cut_says_so_on_standard_error(
    patchline: Any, api: Any, form: str, limit: int, there_are_more: bool
) -> None:
    api.answer("/v1/updates", page(UPDATE, UPDATE))
    ended = patchline("updates", "--limit", str(limit), "-o", form)
    assert ended.out.count(ID) == min(limit, 2)
    assert ended.err == (
        "There are more than 1 update; without --limit all are listed.\n" if there_are_more else ""
    )


@pytest.mark.parametrize(
    ("command", "path", "said"),
    [
        (("targets", "--group", "shop"), "/v1/targets", "The group shop has no target"),
        (("notices", "--update", ID), "/v1/notices", f"No notice about {ID} was sent yet."),
        (("notices", "--failed"), "/v1/notices", "No notice has failed."),
    ],
)
def test_an_empty_listing_of_a_part_names_the_part(
    patchline: Any, api: Any, command: tuple[str, ...], path: str, said: str
) -> None:
    api.answer(path, page())
    ended = patchline(*command)
    assert ended.code == 0
    assert said in ended.err


def test_show_prints_the_whole_contract_as_json(patchline: Any, api: Any) -> None:
    detail = {
        **UPDATE,
        "held": None,
        "error": None,
        "superseded_by": None,
        "waves": [WAVE],
        "history": [],
        "traces": ["a1", "b2"],
        "trace_links": ["http://jaeger/trace/b2"],
    }
    api.answer(f"/v1/updates/{ID}", detail)
    assert patchline("update", "show", ID, "-o", "json").json == detail
    text = patchline("update", "show", ID).out
    assert "pkg:pypi/jinja2 3.1.6 (security)" in text and "wiki" in text and "running" in text
    assert "a1, http://jaeger/trace/b2" in text


def test_a_history_is_not_drowned_by_attempts_to_tell_somebody(patchline: Any, api: Any) -> None:
    def line(type_: str, summary: str) -> dict[str, Any]:
        ids = {"event_id": "e", "cause_id": None, "trace_id": "t"}
        return {"type": type_, "time": "2026-03-03T09:00:00Z", "source": "s", "summary": summary, **ids}

    tried = line("dev.patchline.notices.delayed.v1", "hook is not told yet")
    history = [line("dev.patchline.updates.approved.v1", "Approved by bea: ok"), tried, tried]
    rest = {"held": None, "error": None, "superseded_by": None, "traces": [], "trace_links": [], "waves": []}
    api.answer(f"/v1/updates/{ID}", {**UPDATE, **rest, "history": history})
    assert patchline("update", "show", ID, "-o", "json").json["history"] == history
    shown = patchline("update", "show", ID)
    assert "Approved by bea" in shown.out and "not told yet" not in shown.out
    assert f"2 failed attempts to tell a contact not shown; patchline notices --update {ID}" in shown.err


def test_an_inventory_is_one_object_or_a_line_for_each_package(patchline: Any, api: Any) -> None:
    packages = [{"component": "pkg:pypi/jinja2", "version": "3.1.2"}]
    inventory = {
        "target": "wiki",
        "group": "intranet",
        "collected_at": "2026-03-03T09:00:00Z",
        "runtime": "cpython 3.11.7",
        "environment": "sha256:1",
        "packages": packages,
    }
    api.answer("/v1/targets/wiki/inventory", inventory)
    assert patchline("inventory", "wiki", "-o", "json").json == inventory
    assert json.loads(patchline("inventory", "wiki", "-o", "jsonl").out) == packages[0]
    assert "pkg:pypi/jinja2" in patchline("inventory", "wiki").out


def test_waves_are_in_their_own_order(patchline: Any, api: Any) -> None:
    waves = [
        {**WAVE, "id": f"{ID}.r{round}.w{number}", "round": round}
        for round, number in [(1, 10), (1, 2), (2, 1)]
    ]
    api.answer(f"/v1/waves/{ID}", page(*waves))
    found = patchline("waves", ID, "-o", "json").json
    assert [wave["id"].removeprefix(ID) for wave in found] == [".r1.w2", ".r1.w10", ".r2.w1"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT30S", 30),
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("P1D", 86400),
        ("7", 7),
        ("250ms", 0.25),
    ],
)
def test_durations_are_iso_8601_or_short(text: str, seconds: float) -> None:
    assert duration(text).total_seconds() == seconds


@pytest.mark.parametrize(
    ("away", "words"),
    [
        (timedelta(0), "now"),
        (timedelta(seconds=-40), "40 s ago"),
        (timedelta(minutes=5), "in 5 min"),
        (timedelta(hours=-30), "30 h ago"),
        (timedelta(days=14), "in 14 d"),
        (timedelta(days=-800), "2 y ago"),
    ],
)
def test_times_are_told_relative_to_now(away: timedelta, words: str) -> None:
    now = datetime(2026, 3, 3, 9, tzinfo=UTC)
    assert relative((now + away).isoformat(), now) == words
    assert relative(None, now) == "-"


def test_what_holds_an_update_is_told_in_one_line() -> None:
    now = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
    held = {
        "rule": "window",
        "since": (now - timedelta(minutes=3)).isoformat(),
        "until": (now + timedelta(days=190)).isoformat(),
        "who": None,
    }
    assert held_in_words(held, now) == "window (began 3 min ago, ends in 6 mo)"
    open_end = {**held, "until": None, "who": "bea"}
    assert held_in_words(open_end, now) == "window (began 3 min ago); can be released by: bea"


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, "target", "1 target"),
        (0, "target", "0 targets"),
        (1, "entry", "1 entry"),
        (2, "entry", "2 entries"),
        (2, "day", "2 days"),
    ],
)
def test_what_is_counted_is_named_in_the_right_number(number: int, noun: str, words: str) -> None:
    assert count(number, noun) == words


def test_a_record_given_up_at_once_was_tried_once(patchline: Any, api: Any) -> None:
    more = {"error": "e", "partition": 0, "offset": 1, "headers": {}, "body": None}
    api.answer("/v1/dead-letters/d1", {**LETTER, **more})
    shown = patchline("dead-letters", "show", "d1").out
    assert "gave it up: " in shown
    assert "Attempts: 1\n" in shown


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_table_fits_the_terminal_and_drops_the_least_important_first(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    output = Output()
    output.out._force_terminal = True  # type: ignore[attr-defined]
    columns = (
        Column("ID", lambda _: ID),
        Column("STATE", lambda _: "rolling-out"),
        Column("MINOR", lambda _: "x" * 30, rank=1),
        Column("LEAST", lambda _: "y" * 30, rank=2),
    )
    output.table([{}], columns)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert (ID in "".join(lines), "MINOR" in lines[0], "LEAST" in lines[0]) == (True, width > 40, width > 80)


def test_what_a_tool_printed_does_not_steer_the_terminal() -> None:
    assert clean("\x1b[31mred\x1b[0m\x07 text\x9b2J\nnext") == "red text2J\nnext"
