"""No room under the state folder: no work is taken, ``/ready`` says so, the log stays short, it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from whole import running

FLEET = """\
groups:
  - {name: web, criticality: low, window: always, policies: {soak: PT0S}}
targets:
  - id: web-1
    group: web
    driver: sim
    path: sim
    settings: {latency: PT1S, packages: "pkg:pypi/jinja2@3.1.2"}
"""
ITEM = {
    "vendor": "somebody",
    "component": "pkg:pypi/jinja2",
    "version": "3.1.6",
    "kind": "security",
    "released_at": "2025-03-05T20:05:00Z",
}
SERVICES = 11


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A state folder on a disk of 100 MiB."""
    state = tmp_path / "state"
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", str(state)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root may mount a small disk, and not in every container")
    yield state
    subprocess.run(["umount", "--lazy", str(state)], check=True)


def until(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.1)


@pytest.mark.timeout(300)
def test_a_full_disk_stops_the_work_in_a_few_words_and_room_lets_it_go_on(
    tmp_path: Path, small_disk: Path
) -> None:
    with running(tmp_path, FLEET) as whole:

        def ready() -> httpx.Response:
            return httpx.get(f"{whole.url}/ready", timeout=20)

        (tmp_path / "item.json").write_text(json.dumps(ITEM))
        published = whole.shell("patchline feed publish item.json -o json")
        (update,) = json.loads(published.stdout)
        fill = small_disk / "fill"
        with fill.open("wb") as file:
            try:
                while file.write(b"\0" * (1 << 20)):
                    pass
            except OSError:
                pass
        before = whole.log.read_text()
        until(
            lambda: sum(not said["ready"] for said in ready().json()["services"].values()) > SERVICES / 2,
            "the services say that they cannot store",
        )
        said = ready()
        assert said.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert any("MiB are left on the disk" in reason for reason in said.json()["reasons"])
        assert any("no room left" in reason for reason in said.json()["reasons"])
        refused = whole.shell("patchline halt --as maria --reason full --yes --timeout 5s")
        assert refused.returncode not in (0, 130)
        assert "Traceback" not in refused.stderr
        time.sleep(12)
        lines = whole.log.read_text()[len(before) :].splitlines()
        about_room = [line for line in lines if "no room left" in line or "is full" in line]
        assert len(about_room) <= 3 * SERVICES, Counter(line[9:60] for line in about_room)

        fill.unlink()
        until(lambda: ready().status_code == httpx.codes.OK, "ready again")
        done = whole.shell(f"patchline update wait {update['update_id']} --for closed --timeout 90s")
        assert done.returncode == 0, done.stdout + done.stderr
        shown = json.loads(whole.shell(f"patchline update show {update['update_id']} -o json").stdout)
        assert shown["state"] == "completed"
        verified = whole.shell("patchline ledger verify -o json")
        assert (verified.returncode, json.loads(verified.stdout)["valid"]) == (0, True), verified.stdout
