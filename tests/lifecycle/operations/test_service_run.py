"""`patchline service run`: replicas as child processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from patchline_cli.preflight import free_port

COMMAND = str(Path(sys.executable).with_name("patchline"))
PATIENCE = 60.0


class Run:
    """A running `patchline service run`, what it has said, and its replicas."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.log = folder / "run.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [COMMAND, "service", "run", *arguments, "--dir", str(folder / "state")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "NO_COLOR": "1", "PATCHLINE_GRACE": "PT5S"},
            )

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"^\w+ \d+: pid (\d+)", self.said(), re.MULTILINE)]

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}\n{self.said()}"
            time.sleep(0.05)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(*arguments: str) -> Run:
        runs.append(Run(tmp_path, *arguments))
        return runs[-1]

    yield begin
    for each in runs:
        if each.process.poll() is None:
            each.process.terminate()
            each.process.wait(PATIENCE)


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_each_replica_is_ready_on_a_port_of_its_own_and_a_crashed_one_comes_back(run: Callable[..., Run]):
    port = free_port("127.0.0.1")
    begun = run("feeds", "review", "--health-port", str(port))
    begun.until(lambda: is_ready(port) and is_ready(port + 1), "both are ready")
    os.kill(begun.pids()[0], signal.SIGKILL)
    begun.until(lambda: len(begun.pids()) == 3, "the killed one is started again")
    assert re.search(r"(feeds|review) 1 was ended by SIGKILL; it is started again in 0.5 s", begun.said())
    begun.until(lambda: is_ready(port) and is_ready(port + 1), "both are ready again")
    begun.process.terminate()
    assert begun.process.wait(PATIENCE) == 0
    assert begun.said().endswith("Stopped.\n")
    assert not any(map(lives, begun.pids()))


def test_replicas_die_with_a_parent_that_is_killed(run: Callable[..., Run]):
    begun = run("feeds", "review")
    begun.until(lambda: len(begun.pids()) == 2, "both are started")
    begun.process.kill()
    begun.process.wait()
    begun.until(lambda: not any(map(lives, begun.pids())), "the replicas are gone")


def test_a_service_that_is_not_installed_is_named_with_those_that_are(run: Callable[..., Run]):
    begun = run("plumbing")
    assert begun.process.wait(PATIENCE) == 2
    assert "No service 'plumbing' is installed; there are assessment, backup" in begun.said()


def test_replicas_that_would_only_stand_by_are_refused(run: Callable[..., Run]):
    begun = run("review", "--replicas", "2")
    assert begun.process.wait(PATIENCE) == 2
    assert "Replicas share work only over Kafka" in begun.said()


def test_the_list_names_each_services_topics():
    answer = subprocess.run(
        [COMMAND, "service", "list", "-o", "json"], capture_output=True, text=True, check=True
    )
    listed = {each["name"]: each for each in json.loads(answer.stdout)}
    assert "waves.backed-up" in listed["deployment"]["takes"]
    assert "waves.deployed" in listed["deployment"]["publishes"]
