"""Commands that change something, wait for something, or write something."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from patchline_schemas.feed_items import MAX_FEED_BYTES

ID = "jinja2-3.1.6-381efe"
ITEM = {
    "vendor": "palletsprojects",
    "component": "pkg:pypi/jinja2",
    "version": "3.1.6",
    "kind": "security",
    "released_at": "2025-03-05T20:05:00Z",
}
RESULT = {"event_id": "e1", "update_id": ID, "result": "accepted"}
LINE = {
    "id": ID,
    "component": "pkg:pypi/jinja2",
    "to_version": "3.1.6",
    "kind": "security",
    "state": "completed",
    "urgency": None,
    "due": None,
    "closed": None,
}
DECIDED = {
    "request_id": "r1",
    "action": "approve",
    "update_id": ID,
    "effect": "approved",
    "state": "scheduled",
    "pending": False,
}


def waiting(*, reached: bool, ended: bool, state: str) -> dict[str, Any]:
    update = {**LINE, "state": state}
    return {
        "reached": reached,
        "ended": ended,
        "sequence": 3,
        "update": update,
        "held": None,
        "error": "boom",
        "waves": [],
    }


@pytest.fixture
def item(tmp_path: Path) -> Path:
    path = tmp_path / "item.json"
    path.write_text(json.dumps(ITEM))
    return path


def test_publishing_prints_the_results_alone_as_json(patchline: Any, api: Any, item: Path) -> None:
    api.answer("/v1/feeds/updates", {"results": [RESULT], "pending": []}, method="POST")
    assert patchline("feed", "publish", str(item), "-o", "json").json == [RESULT]
    assert json.loads(api.asked[0].content) == ITEM
    assert api.asked[0].url.params["timeout"] == "PT30S"
    ended = patchline("feed", "publish", str(item), "--as", "ci")
    assert api.asked[1].url.params["who"] == "ci"
    assert ended.err == f"Next: patchline update wait {ID}\n"


def test_a_feed_without_an_item_is_said_to_be_empty(patchline: Any, api: Any, tmp_path: Path) -> None:
    api.answer("/v1/feeds/updates", {"results": [], "pending": []}, method="POST")
    (tmp_path / "feed.json").write_text("[]")
    ended = patchline("feed", "publish", str(tmp_path / "feed.json"))
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "The feed holds no item.\n"


def test_publishing_reads_standard_input(patchline: Any, api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api.answer("/v1/feeds/updates", {"results": [RESULT], "pending": []}, method="POST")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps([ITEM]).encode())))
    assert patchline("feed", "publish", "-").code == 0
    assert json.loads(api.asked[0].content) == [ITEM]


def test_publishing_that_does_not_show_in_time_ends_with_5(patchline: Any, api: Any, item: Path) -> None:
    api.answer("/v1/feeds/updates", {"results": [RESULT], "pending": [ID]}, method="POST", status=202)
    ended = patchline("feed", "publish", str(item), "--timeout", "PT1S", "-o", "json")
    assert (ended.code, ended.json) == (5, [RESULT])


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"{", "no JSON"),
        (b"\xc3(", "UTF-8"),
        (json.dumps([ITEM, {**ITEM, "version": "one two"}]).encode(), "items[1].version"),
        (json.dumps({**ITEM, "component": "pkg:foo/bar"}).encode(), "component: unknown ecosystem 'foo'"),
        (json.dumps({**ITEM, "component": "jinja2"}).encode(), "component: 'jinja2' is no package URL"),
        (
            json.dumps({key: value for key, value in ITEM.items() if key != "kind"}).encode(),
            "kind: is missing",
        ),
        (b"x" * (MAX_FEED_BYTES + 1), "larger than 16 MiB"),
    ],
)
def test_a_bad_feed_is_refused_before_anything_is_sent(
    patchline: Any, api: Any, tmp_path: Path, content: bytes, named: str
) -> None:
    feed = tmp_path / "feed.json"
    feed.write_bytes(content)
    ended = patchline("feed", "publish", str(feed))
    assert (ended.code, ended.out, api.asked) == (2, "", [])
    assert named in ended.err
    assert "feed.json" in ended.err


def test_a_feed_that_is_not_there_is_wrong_use(patchline: Any) -> None:
    assert patchline("feed", "publish", "/nowhere.json").code == 2


@pytest.mark.parametrize("action", ["approve", "reject", "cancel", "retry", "pause", "resume"])
def test_a_decision_says_who_and_why_and_prints_what_changed(patchline: Any, api: Any, action: str) -> None:
    api.answer(f"/v1/updates/{ID}/{action}", DECIDED, method="POST")
    ended = patchline("update", action, ID, "--as", "maria", "--reason", "fine")
    assert json.loads(api.asked[0].content) == {"who": "maria", "reason": "fine"}
    assert (ended.code, ended.out) == (0, f"{ID}: approved. It is scheduled.\n")
    assert ended.err == f"Next: patchline update wait {ID}\n"
    assert patchline("update", action, ID, "--as", "m", "--reason", "r", "-o", "json").json == DECIDED


def test_an_approval_may_name_its_plan(patchline: Any, api: Any) -> None:
    api.answer(f"/v1/updates/{ID}/approve", DECIDED, method="POST")
    patchline("update", "approve", ID, "--as", "maria", "--reason", "fine", "--plan-revision", "7")
    assert json.loads(api.asked[0].content)["plan_revision"] == 7


def test_a_decision_without_an_answer_in_time_ends_with_5(patchline: Any, api: Any) -> None:
    pending = {"request_id": "r1", "action": "pause", "update_id": ID, "pending": True}
    api.answer(f"/v1/updates/{ID}/pause", pending, method="POST", status=202)
    ended = patchline("update", "pause", ID, "--as", "maria", "--reason", "fine", "-o", "json")
    assert (ended.code, ended.json) == (5, pending)


def test_halting_everything_wants_a_yes_where_nobody_can_be_asked(patchline: Any, api: Any) -> None:
    api.answer("/v1/updates", {"items": [], "next": None})
    api.answer("/v1/halt", {**DECIDED, "update_id": None, "state": None, "effect": "halted"}, method="POST")
    assert patchline("halt", "--as", "maria", "--reason", "storm").code == 2
    ended = patchline("halt", "--as", "maria", "--reason", "storm", "--yes")
    assert (ended.code, ended.out) == (0, "Halted.\n")


@pytest.mark.parametrize(
    ("goal", "reached", "ended", "state", "code"),
    [
        (None, True, False, "completed", 0),
        (None, True, False, "not-applicable", 0),
        (None, True, False, "failed", 1),
        ("closed", True, False, "failed", 0),
        ("failed", True, False, "failed", 0),
        ("completed", False, True, "failed", 1),
        ("completed", False, False, "testing", 5),
        (None, False, False, "completed", 5),
    ],
)
def test_a_wait_ends_as_its_goal_does(
    patchline: Any, api: Any, goal: str | None, reached: bool, ended: bool, state: str, code: int
) -> None:
    api.answer(f"/v1/updates/{ID}/wait", waiting(reached=reached, ended=ended, state=state))
    options = ("--for", goal) if goal else ()
    result = patchline("update", "wait", ID, *options, "--timeout", "0", "-o", "json")
    assert result.code == code
    assert result.json["state"] == state
    if code == 1:
        assert "boom" in result.err


def test_a_wait_goes_on_from_where_it_began(patchline: Any, api: Any) -> None:
    import httpx

    answers = [
        waiting(reached=False, ended=False, state="testing"),
        waiting(reached=True, ended=False, state="completed"),
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=answers[len(api.asked) - 1])

    api.answer(f"/v1/updates/{ID}/wait", answer)
    assert patchline("update", "wait", ID).code == 0
    assert [request.url.params["since"] for request in api.asked] == ["0", "3"]


HELD = {"rule": "soak", "since": "2026-03-03T09:00:00Z", "until": "2026-03-03T10:00:00Z", "who": None}
SOAKING = {
    **waiting(reached=False, ended=False, state="rolling-out"),
    "held": HELD,
    "waves": [{"id": f"{ID}.r1.w1", "number": 1, "group": "intranet", "state": "soaking"}],
}


def wait_through(api: Any, *answers: dict[str, Any]) -> None:
    import httpx

    left = list(answers)
    api.answer(f"/v1/updates/{ID}/wait", lambda _: httpx.Response(200, json=left.pop(0)))


def test_a_wait_says_each_change_once_and_at_once_on_standard_error(patchline: Any, api: Any) -> None:
    later = {**SOAKING, "held": {**HELD, "since": "2026-03-03T09:30:00Z"}}
    wait_through(
        api,
        waiting(reached=False, ended=False, state="testing"),
        SOAKING,
        later,
        waiting(reached=True, ended=False, state="completed"),
    )
    ended = patchline("update", "wait", ID, "-o", "json")
    assert (ended.code, ended.json["state"]) == (0, "completed")
    testing, soaking = ended.err.splitlines()
    assert testing == f"{ID} is testing"
    assert soaking.startswith(f"{ID} is rolling-out: wave 1 (intranet) soaking, held by soak (began ")
    assert api.asked[0].url.params["timeout"] == "PT0S"


def test_a_wait_says_that_an_update_that_has_ended_is_not_closed_yet(patchline: Any, api: Any) -> None:
    closed = waiting(reached=True, ended=True, state="failed")
    closed["update"]["closed"] = "2026-03-03T10:00:00Z"
    wait_through(api, waiting(reached=False, ended=False, state="failed"), closed)
    ended = patchline("update", "wait", ID)
    assert ended.err.startswith(f"{ID} is failed: its report is being written\n")
    assert ended.out == f"{ID} is failed\n"


def test_a_wait_on_a_terminal_shows_where_the_update_is_in_one_line(
    patchline: Any, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    wait_through(
        api,
        waiting(reached=False, ended=False, state="testing"),
        SOAKING,
        waiting(reached=True, ended=False, state="completed"),
    )
    assert patchline("update", "wait", ID, "-o", "json").json["state"] == "completed"
    shown = terminal.getvalue()
    assert f"{ID} is testing" in shown and "wave 1 (intranet) soaking, held by soak" in shown
    assert shown.index("is testing") < shown.index("\x1b[2K", shown.index("is testing")) < len(shown)
    assert shown.rindex("\x1b[2K") > shown.rindex("soaking"), "nothing is left of it"


def test_dead_letters_are_decided_one_by_one_or_all(patchline: Any, api: Any) -> None:
    letter = {
        "id": "d1", "service": "backup", "topic": "waves.due", "event_id": None, "reason": "bad",
        "attempts": 1, "first_failed_at": None, "state": "replaying", "decided_by": "maria",
        "decided_at": None,
    }  # fmt: skip
    api.answer("/v1/dead-letters", {"items": [letter, {**letter, "id": "d2"}], "next": None})
    api.answer("/v1/dead-letters/d1/replay", letter, method="POST")
    api.refuse("/v1/dead-letters/d2/replay", 409, "It was already replayed.", method="POST")
    assert patchline("dead-letters", "replay", "d1", "--as", "maria", "-o", "json").json == [letter]
    ended = patchline("dead-letters", "replay", "--all", "--as", "maria", "-o", "json")
    assert (ended.code, ended.json) == (1, [letter])
    assert "already replayed" in ended.err
    assert patchline("dead-letters", "replay", "--as", "maria").code == 2
    assert patchline("dead-letters", "replay", "d1", "--all", "--as", "maria").code == 2


@pytest.mark.parametrize(
    ("ids", "statuses", "code", "said"),
    [
        (["x"], [404], 2, "Error: It is refused.\nFix: Do that.\n"),
        (["x"], [409], 1, "Error: It is refused.\nFix: Do that.\n"),
        (["x", "y"], [404, 404], 2, "Error: The replay of 2 of 2 dead letters was refused.\n"),
        (["x", "y"], [404, 409], 1, "Error: The replay of 2 of 2 dead letters was refused.\n"),
        (["x", "y"], [404, 200], 1, "Error: The replay of 1 of 2 dead letters was refused.\n"),
    ],
)
def test_dead_letters_that_cannot_be_replayed_are_told_once_with_a_true_code(
    patchline: Any, api: Any, ids: list[str], statuses: list[int], code: int, said: str
) -> None:
    for letter_id, status in zip(ids, statuses, strict=True):
        path = f"/v1/dead-letters/{letter_id}/replay"
        if status == 200:
            api.answer(path, {"id": letter_id}, method="POST")
        else:
            api.refuse(path, status, "It is refused.", method="POST")
    ended = patchline("dead-letters", "replay", *ids, "--as", "eva", "-o", "json")
    assert ended.code == code
    assert ended.err.startswith(said)
    assert "nothing to do" not in ended.err
    assert ended.out == "" if 200 not in statuses else [done["id"] for done in ended.json] == ["y"]


def test_a_report_is_printed_as_it_is_or_written(patchline: Any, api: Any, tmp_path: Path) -> None:
    import httpx

    api.answer(f"/v1/updates/{ID}/report", lambda _: httpx.Response(200, content="# Räport\n".encode()))
    assert patchline("report", ID).out == "# Räport\n"
    assert api.asked[0].url.params["format"] == "md"
    file = tmp_path / "report.html"
    assert patchline("report", ID, "--format", "html", "--to", str(file)).code == 0
    assert file.read_bytes() == "# Räport\n".encode()
    assert patchline("report", ID, "--to", str(tmp_path / "no" / "report.html")).code == 2


FLEET = """\
groups:
  - {name: intranet, criticality: low, window: always}
targets:
  - {id: wiki, group: intranet, driver: sim, path: .}
"""


def test_a_fleet_file_is_checked_without_a_patchline(patchline: Any, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET)
    assert patchline("fleet", "check", str(file), "-o", "json").json == {
        "file": str(file), "valid": True, "problems": [],
        "groups_total": 1, "targets_total": 1, "freezes_total": 0,
    }  # fmt: skip
    file.write_text(FLEET.replace("group: intranet", "group: intarnet"))
    ended = patchline("fleet", "check", str(file), "-o", "json")
    assert (ended.code, ended.json["valid"], ended.json["problems"][0]["line"]) == (2, False, 4)
    assert f"{file}:4: " in patchline("fleet", "check", str(file)).err
    assert patchline("fleet", "check", str(tmp_path / "none.yaml")).code == 2


def test_applying_a_fleet_file_shows_what_changes_and_waits(patchline: Any, api: Any, tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(FLEET)
    changes = [{"kind": "target", "name": "wiki", "change": "added"}]
    answer = {
        "file": "/srv/fleet.yaml",
        "digest": "d",
        "groups_total": 1,
        "targets_total": 1,
        "changes": changes,
    }
    api.answer("/v1/fleet", answer, method="PUT")
    api.answer("/v1/fleet/pending", [])
    assert patchline("fleet", "apply", str(file), "-o", "json").json == {
        "file": "/srv/fleet.yaml", "digest": "d", "changes": changes, "pending": [],
    }  # fmt: skip
    assert api.asked[0].content == FLEET.encode()
    api.answer("/v1/fleet/pending", changes)
    assert patchline("fleet", "apply", str(file), "--timeout", "0").code == 5
    problem = {"item": None, "field": "targets[0].group", "line": 4, "problem": "there is no group"}
    api.refuse("/v1/fleet", 422, "The fleet file has 1 problem.", method="PUT", problems=[problem])
    ended = patchline("fleet", "apply", str(file))
    assert ended.code == 2
    assert f"{file}:4, targets[0].group: there is no group" in ended.err


def test_events_are_printed_as_they_come(patchline: Any, api: Any) -> None:
    import httpx

    event = {
        "topic": "updates.progressed", "type": "t", "time": "2026-03-03T09:00:01Z", "source": "planning",
        "subject": ID, "event_id": "e1", "cause_id": None, "trace_id": "t1", "summary": "Now testing.",
        "data": {},
    }  # fmt: skip
    gap = 'event: gap\ndata: {"explanation": "some are missing"}'
    stream = "\n\n".join(
        ["retry: 2000\n: listening", gap, f"id: e1\ndata: {json.dumps(event)}", ": alive", ""]
    )
    api.answer("/v1/events", lambda _: httpx.Response(200, text=stream))
    ended = patchline("events", "tail", "--topic", "updates.*", "--count", "1", "-o", "jsonl")
    assert (ended.code, json.loads(ended.out)) == (0, event)
    assert "some are missing" in ended.err
    assert api.asked[0].url.params["topic"] == "updates.*"
    assert patchline("events", "tail", "--count", "1", "-o", "json").json == [event]
    assert (
        patchline("events", "tail", "--count", "1").out
        == f"09:00:01  updates.progressed  {ID}  Now testing.\n"
    )


def test_a_topic_that_does_not_exist_is_refused_with_those_near_to_it(patchline: Any) -> None:
    ended = patchline("events", "tail", "--topic", "updates.progresed")
    assert (ended.code, ended.out) == (2, "")
    assert "updates.progressed" in ended.err


def test_the_versions_are_told(patchline: Any) -> None:
    assert set(patchline("version", "-o", "json").json) == {"patchline", "python"}
    assert patchline("--version").out.startswith("patchline ")
