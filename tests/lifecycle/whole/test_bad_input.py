"""Bad input gets a clear answer from a running Patchline, which goes on with everything else."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from whole import Whole, running

from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_schemas import WireRecord
from patchline_schemas.ids import update_id

FLEET = """\
groups:
  - {name: intranet, criticality: low, window: always, policies: {soak: PT0S}}
  - {name: hasty, criticality: low, window: always, policies: {soak: PT0S, target_timeout: PT2S}}
  - name: guarded
    criticality: low
    window: always
    policies: {soak: PT0S, approval: {minimum_approvers: 1, not_the_requester: true}}
targets:
  - id: wiki
    group: intranet
    driver: sim
    path: sim
    settings: {packages: "pkg:pypi/jinja2@3.1.2 pkg:pypi/click@8.0.0", missing: "pkg:pypi/click@8.9.9"}
  - {id: stuck, group: hasty, driver: sim, path: sim,
     settings: {packages: "pkg:pypi/six@1.15.0", hang: "apply"}}
  - {id: shop, group: guarded, driver: sim, path: sim, settings: {packages: "pkg:pypi/flask@2.0.0"}}
  - {id: silent, group: intranet, driver: sim, path: sim, settings: {unreachable: "yes"}}
"""
GIVEN_UP = "dead-letters list -o json"
R = TypeVar("R")


def item(name: str, version: str, **changes: Any) -> dict[str, Any]:
    return {
        "vendor": "acme",
        "component": f"pkg:pypi/{name}",
        "version": version,
        "kind": "bugfix",
        "released_at": "2026-03-05T20:05:00Z",
        **changes,
    }


class Told:
    """What a person types against a running Patchline, and what comes of it."""

    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.http = httpx.Client(base_url=whole.url, timeout=60)

    def run(self, arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the command, which has to end with ``code``."""
        done = self.whole.shell(f"patchline {arguments}")
        assert done.returncode == code, f"patchline {arguments}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def data(self, arguments: str, code: int = 0) -> Any:
        """The JSON that the command prints, alone on standard output."""
        return json.loads(self.run(arguments, code).stdout)

    def publish(self, *items: dict[str, Any]) -> None:
        answer = self.http.post("/v1/feeds/updates", json=list(items), params={"who": "dana"})
        assert answer.status_code == 200, answer.text

    def update(self, name: str, version: str) -> Any:
        return self.http.get(f"/v1/updates/{update_id(f'pkg:pypi/{name}', version)}").json()

    def reached(self, name: str, version: str, state: str) -> Any:
        """The update, once it is in ``state``."""
        return until(
            lambda: self.update(name, version), lambda shown: shown.get("state") == state, self.whole.log
        )


def until(look: Callable[[], R], holds: Callable[[R], bool], log: Path) -> R:
    """What ``look`` gives, once it holds."""
    deadline = time.monotonic() + 60
    while not holds(found := look()):
        assert time.monotonic() < deadline, f"{found}\n{log.read_text(errors='replace')}"
        time.sleep(0.2)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with running(tmp_path_factory.mktemp("whole"), FLEET) as started:
        yield started


@pytest.fixture
def told(whole: Whole) -> Iterator[Told]:
    """The running Patchline; whatever a test does to it, no traceback may come of it."""
    told = Told(whole)
    with told.http:
        yield told
    assert whole.process.poll() is None
    assert "Traceback" not in whole.log.read_text(errors="replace")


def test_updates_that_cannot_be_carried_out_say_why_while_another_goes_its_way(told: Told) -> None:
    told.publish(item("click", "8.9.9"), item("ghost", "2.0"), item("six", "1.16.0"), item("jinja2", "3.1.6"))
    assert told.reached("jinja2", "3.1.6", "completed")["error"] is None
    missing = told.reached("click", "8.9.9", "failed")
    assert "there is no version of pkg:pypi/click==8.9.9" in missing["error"]
    assert [each["outcome"] for wave in missing["waves"] for each in wave["targets"]] == ["not-started"]
    hanging = told.reached("six", "1.16.0", "failed")
    assert "stuck" in hanging["error"]
    unknown = told.reached("ghost", "2.0", "assessed")
    assert unknown["held"]["rule"] == "inventory-unknown"
    told.run(f"update wait {unknown['id']} --timeout 1s", code=5)
    assert "silent is set to be unreachable" in told.run(f"explain {unknown['id']}").stdout


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("no JSON {", "no JSON"),
        (json.dumps(item("refused", "1.0") | {"released_at": None}), "released_at"),
        (json.dumps(item("refused", "1.0", component="pkg:frobnicate/refused")), "frobnicate"),
        (json.dumps(item("refused", "1.0", component="refused")), "package URL"),
        (json.dumps([item("refused", "1.0"), item("refused", "one point oh")]), "one point oh"),
    ],
)
def test_a_feed_with_one_bad_item_is_refused_wholly(told: Told, body: str, named: str) -> None:
    answer = told.http.post("/v1/feeds/updates", content=body)
    assert answer.status_code == 422
    assert named in answer.text
    (told.whole.folder / "feed.json").write_text(body)
    ended = told.run("feed publish feed.json -o json", code=2)
    assert ended.stdout == "" and named in ended.stderr
    assert told.http.get(f"/v1/updates/{update_id('pkg:pypi/refused', '1.0')}").status_code == 404


def test_a_feed_of_50_mb_is_refused_with_the_limit(told: Told) -> None:
    feed = told.whole.folder / "large.json"
    feed.write_bytes(b" " * 50_000_000)
    assert "larger than 16 MiB" in told.run("feed publish large.json", code=2).stderr
    assert told.http.post("/v1/feeds/updates", content=feed.read_bytes()).status_code == 413


def test_a_fleet_file_that_turns_bad_leaves_the_last_good_one_in_force(told: Told) -> None:
    def fleet() -> str:
        return told.whole.shell("patchline doctor").stdout

    fleet_file, log = told.whole.fleet, told.whole.log
    before = told.data("targets -o json")
    try:
        for spoiled, named in (
            (FLEET.replace("criticality: low, window", "criticality: low, windw"), "did you mean 'window'?"),
            (FLEET.replace("group: guarded", "group: gone"), "there is no group 'gone'"),
            (FLEET.replace("sim, path: sim", "venv, path: nowhere", 1), "nowhere does not exist"),
        ):
            fleet_file.write_text(spoiled)
            until(fleet, lambda said, named=named: named in said, log)  # type: ignore[misc]
            told.run("doctor", code=1)
            assert [each["id"] for each in told.data("targets -o json")] == [each["id"] for each in before]
    finally:
        fleet_file.write_text(FLEET)
    until(fleet, lambda said: f"pass  fleet         {fleet_file}" in said, log)


def test_records_that_are_no_events_are_given_up_one_by_one_and_a_person_decides(told: Told) -> None:
    topic, type_ = "feeds.update-published", "dev.patchline.feeds.update-published.v1"
    headers = {"ce_specversion": "1.0", "ce_id": "bad-body", "ce_source": "somebody", "ce_type": type_}
    headers |= {"ce_time": "2026-01-01T00:00:00Z", "content-type": "application/json"}
    named = tuple((name, value.encode()) for name, value in headers.items())
    asyncio.run(
        _append(
            told.whole.state / "log.db",
            WireRecord(topic=topic, key=b"no-event", headers=(), value=b"hello"),
            WireRecord(topic=topic, key=b"bad-body", headers=named, value=b'{"vendor": "acme"}'),
        )
    )

    def given_up() -> dict[str, str]:
        answer = told.http.get("/v1/dead-letters", params={"state": "open", "service": "assessment"})
        return {letter["reason"]: letter["id"] for letter in answer.json()["items"]}

    letters = until(given_up, lambda found: len(found) == 2, told.whole.log)
    (no_event,) = (each for reason, each in letters.items() if "no CloudEvent" in reason)
    (bad_body,) = (each for reason, each in letters.items() if "bad-body" in reason)
    assert told.data(f"dead-letters show {no_event} -o json")["body"] == "hello"
    told.run(f"dead-letters replay {no_event} --as dana")
    until(given_up, lambda found: no_event not in found.values() and len(found) == 2, told.whole.log)
    assert told.data(f"dead-letters show {no_event} -o json")["state"] == "replayed"
    told.run(f"dead-letters discard {bad_body} --as dana")
    told.run(f"dead-letters replay {bad_body} --as dana", code=1)
    told.run("dead-letters discard --all --as dana")
    assert told.data(GIVEN_UP) == []
    told.publish(item("afterwards", "1.0"))
    assert told.reached("afterwards", "1.0", "assessed")["held"]["rule"] == "inventory-unknown"


async def _append(log: Path, *records: WireRecord) -> None:
    transport = EmbeddedTransport(log)
    await transport.start()
    try:
        await transport.publish(records)
    finally:
        await transport.stop()


def test_a_decision_that_may_not_be_is_refused_with_its_own_exit_code(told: Told) -> None:
    told.publish(item("flask", "2.1.0"))
    waiting = told.reached("flask", "2.1.0", "awaiting-approval")["id"]
    decide = "--as {} --reason because"
    told.run(f"update approve {waiting} {decide.format('dana')}", code=3)
    told.run(f"update retry {waiting} {decide.format('maria')}", code=1)
    told.run(f"update approve nothing-1.0-abcdef {decide.format('maria')}", code=2)
    told.run(f"update approve {waiting} --as '' --reason because", code=2)
    told.run(f"--url http://127.0.0.1:1 update show {waiting}", code=4)
    assert told.update("flask", "2.1.0")["state"] == "awaiting-approval"
    assert told.data(f"update pause {waiting} {decide.format('maria')} -o json")["state"] == "paused"
    told.run(f"update resume {waiting} {decide.format('maria')}")
    told.run(f"update reject {waiting} {decide.format('maria')}")
    assert told.update("flask", "2.1.0")["state"] == "rejected"
    told.run(f"update wait {waiting} --timeout 60s", code=1)


def test_a_withdrawn_version_is_not_tried_again(told: Told) -> None:
    told.publish(item("flask", "2.2.0"))
    waiting = told.reached("flask", "2.2.0", "awaiting-approval")["id"]
    told.publish(
        {
            "vendor": "acme",
            "component": "pkg:pypi/flask",
            "version": "2.2.0",
            "retracted": True,
            "reason": "it loses sessions",
        }
    )
    told.reached("flask", "2.2.0", "cancelled")
    refused = told.run(f"update retry {waiting} --as maria --reason because", code=3)
    assert "it loses sessions" in refused.stderr
