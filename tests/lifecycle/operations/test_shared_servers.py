"""On a real Kafka and a MongoDB-compatible server: whole, with a replica beside it, and in replicas only."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from whole import COMMAND, Whole, running

from patchline_cli.preflight import free_port
from patchline_fleet.sim.fleet import SimFleet
from patchline_kit.host import discover_services

pytestmark = [pytest.mark.native, pytest.mark.timeout(400)]

TARGETS = 4
FLEET = """\
groups:
  - {name: web, criticality: low, window: always, policies: {soak: PT0S}}
targets:
""" + "".join(
    f"  - {{id: web-{number}, group: web, driver: sim, path: sim, settings: {{latency: PT0.2S,"
    f' packages: "pkg:pypi/jinja2@3.1.2"}}}}\n'
    for number in range(TARGETS)
)
ITEM = {
    "vendor": "somebody",
    "component": "pkg:pypi/jinja2",
    "version": "3.1.6",
    "kind": "security",
    "released_at": "2025-03-05T20:05:00Z",
}

BANNER = re.compile(r"Kafka at \S+ \(topics patchline-\w{8}\.\*\); store: MongoDB at \S+ \(patchline_\w{8}\)")


def until(condition: Callable[[], object], what: Callable[[], str], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.1)


def carried_to_its_end(whole: Whole) -> None:
    (whole.folder / "item.json").write_text(json.dumps(ITEM))
    published = whole.shell("patchline feed publish item.json -o json")
    assert published.returncode == 0, published.stderr
    update_id = json.loads(published.stdout)[0]["update_id"]
    waited = whole.shell(f"patchline update wait {update_id} --for completed --timeout 110s")
    assert waited.returncode == 0, f"{waited.stdout}{waited.stderr}\n{whole.log.read_text()}"
    with closing(SimFleet(whole.folder / "sim")) as fleet:
        begun = [line for line in fleet.log() if line.event == "begin" and line.operation == "apply"]
    tried = [line.target for line in begun if line.target.startswith("web-")]
    assert sorted(set(tried)) == sorted(tried) == [f"web-{number}" for number in range(TARGETS)]


def test_a_whole_patchline_carries_an_update_to_its_end_with_a_replica_beside_it(
    tmp_path: Path, servers: None
):
    with running(tmp_path, FLEET) as whole:
        until(lambda: BANNER.search(whole.log.read_text()), lambda: whole.log.read_text())
        port = free_port("127.0.0.1")
        beside = subprocess.Popen(
            [COMMAND, "service", "run", "deployment", "--health-port", str(port)],
            env=whole.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: is_ready(port), lambda: f"no replica is ready beside it\n{whole.log.read_text()}")
            carried_to_its_end(whole)
        finally:
            beside.terminate()
            beside.wait(60)
    assert beside.returncode == 0


@pytest.mark.long
def test_two_replicas_of_each_service_carry_an_update_to_its_end(tmp_path: Path, servers: None):
    names = [service.name for service in discover_services()]
    whole = Whole(tmp_path, FLEET)
    log = whole.log.open("wb")
    with closing(log):
        replicas = subprocess.Popen(
            [
                COMMAND,
                "service",
                "run",
                *names,
                "--replicas",
                "2",
                "--fleet",
                str(whole.fleet),
                "--health-port",
                "0",
            ],
            env={**whole.environment, "PATCHLINE_PORT": str(whole.port)},
            stdout=log,
            stderr=log,
        )
    try:
        until(
            lambda: len(health_ports(whole)) == 2 * len(names),
            lambda: f"not all are started\n{whole.log.read_text()}",
        )
        ports = health_ports(whole)
        until(lambda: all(map(is_ready, ports)), lambda: f"not all are ready\n{whole.log.read_text()}")
        carried_to_its_end(whole)
    finally:
        replicas.terminate()
        replicas.wait(60)
    assert replicas.returncode == 0
    assert "started again" not in whole.log.read_text()


def health_ports(whole: Whole) -> list[int]:
    return [int(port) for port in re.findall(r"/ready and /metrics on port (\d+)", whole.log.read_text())]


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
