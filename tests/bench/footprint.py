"""(h) What each service takes in a process of its own, idle and under load, on Kafka."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from tests.bench.lifecycle import GROUPS, PATCHLINE, _cpu_seconds, _feed, _targets

from patchline_cli.preflight import free_port

SERVICES = (
    "assessment",
    "backup",
    "communication",
    "deployment",
    "documentation",
    "feeds",
    "gateway",
    "planning",
    "review",
    "testing",
    "verification",
)
UPDATES = 200
READY_SECONDS = 180
SETTLED_SECONDS, IDLE_SECONDS = 20, 60


def report() -> None:
    """Print megabytes and processor time without work, and the most memory that carrying updates took."""
    with TemporaryDirectory(prefix="patchline-bench-") as name:
        folder = Path(name)
        (folder / "fleet.yaml").write_text(GROUPS + _targets(UPDATES))
        (folder / "feed.json").write_text(json.dumps(_feed(UPDATES)))
        port = free_port("127.0.0.1")
        log = folder / "run.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [PATCHLINE, "service", "run", *SERVICES, "--kafka", os.environ["PATCHLINE_TEST_KAFKA"]],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={
                    **os.environ,
                    "NO_COLOR": "1",
                    "PATCHLINE_DIR": str(folder / "state"),
                    "PATCHLINE_FLEET": str(folder / "fleet.yaml"),
                    "PATCHLINE_PORT": str(port),
                },
            )
        try:
            _measure(log, f"http://127.0.0.1:{port}", folder / "feed.json")
        finally:
            process.terminate()
            process.wait(60)


def _measure(log: Path, url: str, feed: Path) -> None:
    with httpx.Client(base_url=url, timeout=60) as http:
        _until(lambda: _targets_known(http) >= UPDATES, "the fleet is known", log)
        pids = {name: int(pid) for name, pid in re.findall(r"^(\w+) \d+: pid (\d+)", log.read_text(), re.M)}
        time.sleep(SETTLED_SECONDS)
        idle = {name: _megabytes(pid, "VmRSS") for name, pid in pids.items()}
        share = _shares(pids)
        subprocess.run(
            [PATCHLINE, "--url", url, "feed", "publish", feed, "--timeout", "PT10M"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        _until(lambda: _closed(http) >= UPDATES, "every update has ended", log, seconds=1_800)
    print(
        f"(h) each service: MB without work, the most MB while {UPDATES} updates were carried,"
        " and % of a core without work"
    )
    for name in sorted(idle):
        most = _megabytes(pids[name], "VmHWM")
        print(f"    {name:<16}{idle[name]:>6.0f}{most:>6.0f}{100 * share[name]:>6.1f}")
    print(f"    all together, % of a core without work: {100 * sum(share.values()):.0f}")


def _targets_known(http: httpx.Client) -> int:
    return len(http.get("/v1/targets", params={"limit": UPDATES}).json().get("items", ()))


def _closed(http: httpx.Client) -> int:
    answer = http.get("/v1/updates", params={"limit": UPDATES, "state": "completed"}).json()
    return len(answer.get("items", ()))


def _until(condition: object, what: str, log: Path, *, seconds: float = READY_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():  # type: ignore[operator]
                return
        except (httpx.TransportError, ValueError):
            pass
        time.sleep(1)
    raise SystemExit(f"not within {seconds} s: {what}\n{log.read_text(errors='replace')[-2000:]}")


def _shares(pids: Mapping[str, int]) -> dict[str, float]:
    """Which part of a core each process takes while there is nothing to do."""
    before = {name: _cpu_seconds(pid) for name, pid in pids.items()}
    began = time.monotonic()
    time.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - began
    return {name: (_cpu_seconds(pid) - before[name]) / seconds for name, pid in pids.items()}


def _megabytes(pid: int, field: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.M)
    return int(found.group(1)) / 1024 if found else 0.0
