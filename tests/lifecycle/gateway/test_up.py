"""``patchline up`` as a process, seen from another one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

FLEET = """\
groups:
  - {name: intranet, criticality: low, window: always, policies: {soak: PT0S}}
targets:
  - {id: wiki, group: intranet, driver: sim, path: sim, settings: {packages: "pkg:pypi/jinja2@3.1.2"}}
"""
ITEM = {
    "vendor": "palletsprojects",
    "component": "pkg:pypi/jinja2",
    "version": "3.1.6",
    "kind": "security",
    "released_at": "2025-03-05T20:05:00Z",
    "advisories": [
        {"id": "CVE-2025-27516", "severity": "high", "affected": [{"introduced": "0", "fixed": "3.1.6"}]}
    ],
}
COMMAND = [sys.executable, "-c", "from patchline_cli.main import main; main()"]


class Up:
    """A running ``patchline up``."""

    def __init__(self, folder: Path, port: int, *options: str, **environ: str) -> None:
        self.port = port
        self.errors = folder / "up.err"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*COMMAND, "up", "--dir", str(folder / "state"), "--port", str(port), *options],
                cwd=folder,
                env={**clean_environment(), **environ},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def banner(self) -> list[str]:
        """The banner, once everything is ready."""
        assert self.process.stdout is not None
        lines = []
        while line := self.process.stdout.readline():
            lines.append(line.rstrip("\n"))
            if line.startswith("  Try"):
                return lines
        raise AssertionError(f"it ended with {self.process.wait()}: {self.errors.read_text()}")

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask it to stop; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("PATCHLINE_", "OTEL_"))}


def patchline(port: int, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--url", f"http://127.0.0.1:{port}", *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        **more,
    )


@pytest.fixture
def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number: int = listener.getsockname()[1]
        return number


@pytest.fixture
def start(tmp_path: Path, port: int) -> Iterator[Callable[..., Up]]:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    started: list[Up] = []

    def run(*options: str, **environ: str) -> Up:
        started.append(Up(tmp_path, port, *(options or ("--fleet", "fleet.yaml")), **environ))
        return started[-1]

    yield run
    for up in started:
        if up.process.poll() is None:
            up.process.kill()
        up.process.wait()
        if up.process.stdout:
            up.process.stdout.close()


def test_an_update_goes_its_whole_way_and_the_end_is_graceful(
    start: Callable[..., Up], tmp_path: Path, port: int
) -> None:
    up = start()
    banner = up.banner()
    assert len(banner) <= 8
    assert f"http://127.0.0.1:{port}" in banner[1]
    assert str(tmp_path / "state") in banner[2]
    published = patchline(port, "feed", "publish", "-", "-o", "json", input=json.dumps(ITEM))
    assert published.returncode == 0, published.stderr
    (result,) = json.loads(published.stdout)
    assert result["result"] == "accepted"
    waited = patchline(port, "update", "wait", result["update_id"], "--for", "completed", "--timeout", "60s")
    assert waited.returncode == 0, waited.stderr
    shown = json.loads(patchline(port, "update", "show", result["update_id"], "-o", "json").stdout)
    (wave,) = shown["waves"]
    assert (wave["state"], wave["targets"][0]["outcome"]) == ("verified", "succeeded")
    order = [event["event_id"] for event in shown["history"]]
    for event in shown["history"]:
        assert event["cause_id"] not in order[order.index(event["event_id"]) :]
    assert patchline(port, "doctor").returncode == 0
    verified = patchline(port, "ledger", "verify", "-o", "json")
    assert (verified.returncode, json.loads(verified.stdout)["valid"]) == (0, True), verified.stderr
    started = time.monotonic()
    assert up.stop() == 0
    assert time.monotonic() - started < 10
    assert "nothing was left running" in up.errors.read_text()
    verified = patchline(port, "ledger", "verify", "--dir", str(tmp_path / "state"), "-o", "json")
    assert (verified.returncode, json.loads(verified.stdout)["valid"]) == (0, True)


def test_a_second_one_on_the_folder_or_the_port_is_told_so(
    start: Callable[..., Up], tmp_path: Path, port: int
) -> None:
    up = start()
    up.banner()
    second = patchline(port, "up", "--dir", str(tmp_path / "state"), "--port", str(port))
    assert second.returncode == 1
    assert f"pid {up.process.pid}" in second.stderr
    other = patchline(port, "up", "--dir", str(tmp_path / "other"), "--port", str(port))
    assert other.returncode == 1
    assert f"Port {port}" in other.stderr and "another Patchline" in other.stderr and "--port" in other.stderr
    assert up.stop(signal.SIGTERM) == 0


def test_what_stands_in_the_way_is_told_before_anything_starts(tmp_path: Path, port: int) -> None:
    bad = tmp_path / "fleet.yaml"
    bad.write_text(FLEET.replace("criticality: low", "criticality: lwo"))
    state = ("--dir", str(tmp_path / "state"), "--port", str(port))
    for options, named in (
        (("--fleet", str(bad)), f"{bad}:2: "),
        (("--fleet", str(tmp_path / "none.yaml")), "cannot be read"),
        (("--host", "0.0.0.0"), "without an API token"),
        (("--kafka", "nowhere"), "host:port"),
    ):
        ended = patchline(port, "up", *state, *options)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert named in ended.stderr and "Traceback" not in ended.stderr


def test_with_a_token_only_those_who_have_it_get_in(start: Callable[..., Up], port: int) -> None:
    start(PATCHLINE_TOKEN="s3cret").banner()
    url = f"http://127.0.0.1:{port}"
    assert httpx.get(f"{url}/live").text == "live\n"
    assert httpx.get(f"{url}/ready").json()["ready"] is True
    assert httpx.get(f"{url}/v1/updates").status_code == 401
    assert patchline(port, "updates").returncode == 2
    assert patchline(port, "updates", "--token", "s3cret", "-o", "json").stdout.strip() == "[]"
    assert httpx.get(f"{url}/metrics", headers={"Authorization": "Bearer s3cret"}).status_code == 200


def test_a_new_fleet_file_is_in_effect_when_apply_returns(
    start: Callable[..., Up], tmp_path: Path, port: int
) -> None:
    start().banner()
    more = tmp_path / "more.yaml"
    more.write_text(FLEET + FLEET.splitlines()[-1].replace("wiki", "forum") + "\n")
    applied = patchline(port, "fleet", "apply", str(more), "-o", "json")
    assert applied.returncode == 0, applied.stderr
    changes = {(each["name"], each["change"]) for each in json.loads(applied.stdout)["changes"]}
    assert ("forum", "added") in changes
    listed = json.loads(patchline(port, "targets", "-o", "json").stdout)
    assert [target["id"] for target in listed] == ["forum", "wiki"]
