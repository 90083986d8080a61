"""The gateway's read models are built anew from the ledger, and answer as before."""

from __future__ import annotations

import difflib
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from whole import Whole, running

FLEET = """\
groups:
  - {name: web, criticality: low, window: always, contacts: ["file:notices.log"], policies: {soak: PT0S}}
  - {name: shop, criticality: high, window: always,
     policies: {soak: PT0S, approval: {minimum_approvers: 1, not_the_requester: true}}}
targets:
  - {id: web-1, group: web, driver: sim, path: sim, settings: {packages: "pkg:pypi/jinja2@3.1.2"}}
  - {id: web-2, group: web, driver: sim, path: sim,
     settings: {packages: "pkg:pypi/jinja2@3.1.2 pkg:pypi/flask@3.0.0", bad: "pkg:pypi/flask@3.1.1"}}
  - {id: shop-1, group: shop, driver: sim, path: sim, settings: {packages: "pkg:pypi/urllib3@2.0.0"}}
  - {id: shop-2, group: shop, driver: sim, path: sim, settings: {unreachable: "yes"}}
"""
HTTP = httpx.Client(timeout=30, verify=False, limits=httpx.Limits(max_keepalive_connections=0))
LISTINGS = ("updates", "targets", "groups", "notices", "fleet", "dead-letters?state=all")
OF_AN_UPDATE = ("updates/{}", "updates/{}/explain", "waves/{}", "updates/{}/report?format=json")


def publish(whole: Whole, component: str, version: str, goal: str) -> None:
    item = {
        "vendor": "somebody",
        "component": component,
        "version": version,
        "kind": "security",
        "released_at": "2025-03-05T20:05:00Z",
    }
    (whole.folder / "item.json").write_text(json.dumps(item))
    done = whole.shell("patchline feed publish item.json -o json --as ada")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    done = whole.shell(f"patchline update wait {result['update_id']} --for {goal} --timeout 60s")
    assert done.returncode == 0, done.stdout + done.stderr


def get(whole: Whole, path: str) -> Any:
    answer = HTTP.get(f"{whole.url}/v1/{path}")
    assert answer.status_code == httpx.codes.OK, (path, answer.text)
    return answer.json()


def answers(whole: Whole) -> dict[str, Any]:
    """Everything that the API answers about what was and is."""
    paths = list(LISTINGS)
    updates = [update["id"] for update in get(whole, "updates")["items"]]
    for update_id in updates:
        paths += [path.format(update_id) for path in OF_AN_UPDATE[:3]]
        if get(whole, f"updates/{update_id}")["closed"]:
            paths.append(OF_AN_UPDATE[3].format(update_id))
    paths += [f"targets/{target['id']}" for target in get(whole, "targets")["items"]]
    paths += ["targets/web-1/inventory", "targets/shop-1/inventory"]
    paths += [f"dead-letters/{letter['id']}" for letter in get(whole, "dead-letters?state=all")["items"]]
    return {path: get(whole, path) for path in paths}


def fill(whole: Whole) -> None:
    publish(whole, "pkg:pypi/jinja2", "3.1.6", "closed")
    publish(whole, "pkg:pypi/flask", "3.1.1", "closed")
    publish(whole, "pkg:pypi/urllib3", "2.5.0", "awaiting-approval")


def assessed_again(update: dict[str, Any]) -> bool:
    """Whether the update's targets have been looked at since it was completed, which takes its time."""
    last = {event["type"].split(".")[-2]: event["time"] for event in update["history"]}
    return "completed" not in last or last["assessed"] > last["completed"]


def settled(whole: Whole) -> dict[str, Any]:
    """The answers once they do not change any more."""
    before: dict[str, Any] = {}
    for _ in range(100):
        now = answers(whole)
        updates = [now[f"updates/{update['id']}"] for update in now["updates"]["items"]]
        if now == before and all(map(assessed_again, updates)):
            return now
        before = now
        time.sleep(0.3)
    raise AssertionError("the answers never come to rest")


def differences(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """What is answered otherwise than before, as lines of a diff."""
    found = []
    for path in sorted(now.keys() | before.keys()):
        texts = [json.dumps(each.get(path), indent=1, sort_keys=True).splitlines() for each in (before, now)]
        found += [f"{path}: {line}" for line in difflib.unified_diff(*texts, n=0, lineterm="")]
    return found[:60]


def rebuild(whole: Whole) -> dict[str, Any]:
    done = whole.shell("patchline rebuild gateway --as maria -o json --timeout 90s")
    assert done.returncode == 0, done.stdout + done.stderr
    status: dict[str, Any] = json.loads(done.stdout)
    return status


@pytest.mark.timeout(400)
def test_a_rebuilt_gateway_answers_as_before_although_only_the_ledger_has_it_all(tmp_path: Path) -> None:
    with running(tmp_path, FLEET) as whole:
        fill(whole)
        discard_a_dead_letter(whole)
        before = settled(whole)
        assert len(before["updates"]["items"]) == 3
        assert before["dead-letters?state=all"]["items"][0]["decided_by"] == "maria"
        whole.stop()
        with closing(sqlite3.connect(whole.state / "log.db")) as log:
            log.execute("DELETE FROM records")  # as if all had passed its retention
            log.commit()
        with closing(sqlite3.connect(whole.state / "store.db")) as store:
            for table in ("documents", "tags", "counts", "inbox", "outbox", "parked"):
                store.execute(f"DELETE FROM {table} WHERE service = 'gateway'")
            store.commit()
        whole.start()
        assert get(whole, "updates")["items"] == []

        status = rebuild(whole)
        assert status["state"] == "rebuilt"
        assert status["requested_by"] == "maria"
        assert differences(settled(whole), before) == []

        publish(whole, "pkg:pypi/jinja2", "3.1.7", "closed")
        assert len(get(whole, "updates")["items"]) == 4
        after = settled(whole)
        whole.stop()
        whole.start()
        assert differences(settled(whole), after) == [], (
            "the new generation is the one that answers after a restart"
        )


@pytest.mark.timeout(400)
def test_a_rebuild_goes_on_after_kill_nine_and_the_old_read_model_answers_meanwhile(tmp_path: Path) -> None:
    with running(tmp_path, FLEET) as whole:
        fill(whole)
        before = settled(whole)
        started = HTTP.post(f"{whole.url}/v1/rebuilds/gateway", json={"who": "maria"}).json()
        assert started["state"] == "rebuilding"
        for seconds in (0.0, 0.7, 1.5):
            time.sleep(seconds)
            whole.process.kill()
            whole.process.wait()
            whole.start()
            assert differences(answers(whole), before) == []
        status = rebuild(whole)
        assert status["state"] == "rebuilt"
        assert differences(settled(whole), before) == []
        verified = whole.shell("patchline ledger verify -o json")
        assert (verified.returncode, json.loads(verified.stdout)["valid"]) == (0, True), verified.stdout


@pytest.mark.long
@pytest.mark.native
@pytest.mark.timeout(500)
def test_a_rebuilt_gateway_answers_as_before_on_kafka_and_mongodb(tmp_path: Path, servers: None) -> None:
    with running(tmp_path, FLEET) as whole:
        fill(whole)
        before = settled(whole)
        HTTP.post(f"{whole.url}/v1/rebuilds/gateway", json={"who": "maria"})
        time.sleep(2.0)
        whole.process.kill()
        whole.process.wait()
        whole.start()
        assert rebuild(whole)["state"] == "rebuilt"
        assert differences(settled(whole), before) == []


def test_what_is_no_read_model_is_refused_with_words(tmp_path: Path) -> None:
    with running(tmp_path, FLEET) as whole:
        done = whole.shell("patchline rebuild planning --as maria")
        assert done.returncode == 2
        assert "planning cannot be rebuilt" in done.stderr
        assert "gateway" in done.stderr


def discard_a_dead_letter(whole: Whole) -> None:
    """A record that nobody can read, laid aside by maria."""
    with closing(sqlite3.connect(whole.state / "log.db", timeout=30)) as log:
        log.execute("BEGIN IMMEDIATE")
        ((last,),) = log.execute("SELECT max(last) FROM topics").fetchall()
        log.execute(
            "INSERT INTO records VALUES (?, 'policies.proposed', x'6b', '[]', x'7b', ?)",
            (last + 1, time.time_ns() // 1_000),
        )
        log.execute(
            "INSERT INTO topics VALUES ('policies.proposed', ?1) ON CONFLICT DO UPDATE SET last = ?1",
            (last + 1,),
        )
        log.commit()
    deadline = time.monotonic() + 30
    while not get(whole, "dead-letters")["items"]:
        assert time.monotonic() < deadline, "nobody gave the record up"
        time.sleep(0.1)
    time.sleep(1)
    done = whole.shell("patchline dead-letters discard --all --as maria")
    assert done.returncode == 0, done.stderr
