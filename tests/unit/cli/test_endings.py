"""However a command ends, its exit code is the promised one, and a person gets a sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from patchline_cli.faults import log_file
from patchline_kit.settings import SettingsError

ID = "jinja2-3.1.6-381efe"
APPROVE = ("update", "approve", ID, "--as", "maria", "--reason", "fine")


def test_no_patchline_ends_with_4_and_the_way_to_one(patchline: Any) -> None:
    ended = patchline("updates")
    assert (ended.code, ended.out) == (4, "")
    assert "No Patchline answers at http://127.0.0.1:8470" in ended.err
    assert "Fix: Start one with `patchline up`" in ended.err


@pytest.mark.parametrize(
    ("status", "code"), [(401, 2), (403, 3), (404, 2), (409, 1), (413, 2), (422, 2), (500, 1), (503, 4)]
)
def test_an_answer_of_the_api_has_its_exit_code(patchline: Any, api: Any, status: int, code: int) -> None:
    api.refuse(f"/v1/updates/{ID}/approve", status, "The plan has changed.", method="POST")
    ended = patchline(*APPROVE)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err == "Error: The plan has changed.\nFix: Do that.\n"


def test_something_else_on_the_port_is_no_patchline(patchline: Any, api: Any) -> None:
    api.answer("/v1/updates", "<html>", status=502)
    ended = patchline("updates")
    assert ended.code == 4
    assert "not as a Patchline does" in ended.err


@pytest.mark.parametrize(
    "command", [("nonsense",), ("updates", "--nonsense"), ("update", "approve", ID), ("update", "wait")]
)
def test_wrong_use_ends_with_2(patchline: Any, command: tuple[str, ...]) -> None:
    ended = patchline(*command)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "command",
    [
        ("updates", "--state", "bogus"),
        ("update", "wait", ID, "--for", "bogus"),
        ("update", "wait", ID, "--timeout", "soon"),
        ("update", "show", ""),
        ("update", "show", "../targets"),
        ("update", "approve", ID, "--as", " ", "--reason", "fine"),
        ("update", "cancel", ID, "--as", "maria", "--reason", ""),
    ],
)
def test_a_value_that_makes_no_sense_ends_with_2_and_says_what_would(
    patchline: Any, command: tuple[str, ...]
) -> None:
    ended = patchline(*command)
    assert ended.code == 2
    assert "Fix: " in ended.err


def test_a_service_setting_that_makes_no_sense_is_wrong_use(
    patchline: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def discovered(*_: object, **__: object) -> None:
        raise SettingsError("PATCHLINE_FLEET_EVERY=soon: input should be a valid timedelta")

    monkeypatch.setattr("patchline_cli.running.WholeHost", discovered)
    ended = patchline("up", "--dir", str(tmp_path / "state"), "--port", "0")
    assert (ended.code, ended.out) == (2, "")
    assert "PATCHLINE_FLEET_EVERY=soon" in ended.err


@pytest.mark.parametrize("url", ["foo", "ftp://x", "http://[::1", ""])
def test_a_url_that_is_none_ends_with_2_or_the_default(patchline: Any, url: str) -> None:
    assert patchline("--url", url, "updates").code == (4 if url == "" else 2)


def test_a_fault_of_the_command_itself_is_one_line_and_a_log(
    patchline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("patchline_cli.client.Client.pages", broken)
    ended = patchline("updates")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.count("\n") == 1
    assert "ZeroDivisionError" in ended.err and str(log_file()) in ended.err
    assert "secret detail" in Path(log_file()).read_text()


def test_ctrl_c_ends_with_130_and_no_words(patchline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("patchline_cli.client.Client.pages", interrupted)
    ended = patchline("updates")
    assert (ended.code, ended.out, ended.err) == (130, "", "")


@pytest.mark.parametrize("form", ["table", "json", "jsonl"])
@pytest.mark.parametrize("interrupted", ["events", "again"])
def test_ctrl_c_is_the_usual_end_of_a_tail(
    patchline: Any, api: Any, monkeypatch: pytest.MonkeyPatch, form: str, interrupted: str
) -> None:
    event = {
        "topic": "t",
        "time": "2026-03-03T09:00:01Z",
        "subject": "s",
        "event_id": "e1",
        "summary": "Now.",
    }

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def events(*_: object) -> Iterator[str]:
        yield from (f"data: {json.dumps(event)}", "")
        if interrupted == "events":
            interrupt()

    monkeypatch.setattr("patchline_cli.client.Client.stream", events)
    monkeypatch.setattr("patchline_cli.events.time.sleep", interrupt)
    ended = patchline("events", "tail", "-o", form)
    assert (ended.code, ended.err) == (0, "")
    if form == "table":
        assert ended.out == "09:00:01  t  s  Now.\n"
    else:
        assert ended.json == ([event] if form == "json" else event)


@pytest.mark.parametrize("command", ["version", "version -o json", "topics list", "service list -o jsonl"])
def test_a_reader_that_goes_away_ends_a_command_without_words(command: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", "from patchline_cli.main import main; main()", *command.split()],
            stdout=writer,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATCHLINE_DIR": str(tmp_path)},
            check=False,
        )
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("before", [True, False])
def test_url_and_token_may_stand_before_and_after_the_command(patchline: Any, api: Any, before: bool) -> None:
    api.answer("/v1/updates", {"items": [], "next": None})
    options = ("--url", "http://patch.example:1234", "--token", "s3cret")
    ended = patchline(*options, "updates") if before else patchline("updates", *options)
    assert ended.code == 0
    assert str(api.asked[0].url).startswith("http://patch.example:1234/v1/updates")
    assert api.asked[0].headers["Authorization"] == "Bearer s3cret"


def test_url_and_token_come_from_the_environment_too(
    patchline: Any, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATCHLINE_URL", "http://env.example")
    monkeypatch.setenv("PATCHLINE_TOKEN", "from-env")
    api.answer("/v1/updates", {"items": [], "next": None})
    patchline("updates")
    assert (api.asked[0].url.host, api.asked[0].headers["Authorization"]) == (
        "env.example",
        "Bearer from-env",
    )


COMMANDS = """
up
feed
feed publish
updates
update
update show
update wait
update approve
update reject
update cancel
update retry
update pause
update resume
groups
targets
inventory
waves
report
notices
ledger
ledger verify
ledger export
state
state backup
state restore
proposals
proposals list
proposals show
dead-letters
dead-letters list
dead-letters show
dead-letters replay
dead-letters discard
fleet
fleet check
fleet apply
explain
events
events tail
service
service list
service run
topics
topics check
topics create
topics list
topics describe
rebuild
doctor
halt
resume
version
"""


@pytest.mark.parametrize("command", ["", *COMMANDS.strip().splitlines()])
def test_every_command_has_help(patchline: Any, command: str) -> None:
    ended = patchline(*command.split(), "--help")
    assert ended.code == 0
    assert "Usage: patchline" in ended.out
    assert "Examples:" in ended.out
    assert f"patchline {command}".rstrip() in ended.out.partition("Examples:")[2]
