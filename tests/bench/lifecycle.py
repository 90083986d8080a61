"""(c) The cost of one update through its whole life, small fleet against large.

``patchline up`` on the embedded default carries updates over a *simulated* fleet; each update touches 5
targets in two waves. The cost is CPU seconds of Patchline's processes from the first publication to the last
review, by the number of updates. Collecting the inventory before is not counted: it belongs to the fleet.

A CPU second is worth more or less as the machine drifts and its cores share what they are made of. So a small
piece of fixed work is timed every second beside each run, and costs are compared in CPU seconds at the speed
at which that work takes :data:`USUAL_WORK_SECONDS`; the seconds as measured stand beside them.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx

from patchline_cli.preflight import free_port

PATCHLINE = str(Path(sys.executable).with_name("patchline"))
TARGETS_PER_UPDATE = 5
USUAL_WORK_SECONDS = 0.005
TICKS = os.sysconf("SC_CLK_TCK")
GROUPS = """\
groups:
  - {name: first, criticality: low, window: always}
  - {name: second, criticality: high, window: always}
policies: {approval: automatic, soak: PT1S}
targets:
"""


@dataclass(frozen=True)
class Cost:
    """What a run cost."""

    updates: int
    cpu_seconds: float
    seconds: float
    work_seconds: float
    """CPU seconds of the fixed work, the median over the run."""

    @property
    def measured(self) -> float:
        """CPU seconds by update, as measured."""
        return self.cpu_seconds / self.updates

    @property
    def each(self) -> float:
        """CPU seconds by update, at the machine's usual speed."""
        return self.measured * USUAL_WORK_SECONDS / self.work_seconds


class FixedWork:
    """Times a piece of work that never changes, once a second, in a thread of its own."""

    def __init__(self) -> None:
        self._timed: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._time_it, daemon=True)

    def __enter__(self) -> FixedWork:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        """CPU seconds that it takes, the median so far."""
        return median(self._timed)

    def _time_it(self) -> None:
        facts = {f"field-{number}": [number, str(number)] for number in range(300)}
        while True:
            start = time.thread_time()
            for _ in range(30):
                json.loads(json.dumps(facts))
            self._timed.append(time.thread_time() - start)
            if self._over.wait(1):
                return


def report(small: int = 100, large: int = 1_000, pairs: int = 3) -> None:
    """Print the ratio of the cost of one update among many to that among few."""
    ratios = []
    for number in range(1, pairs + 1):
        first, second = (small, large) if number % 2 else (large, small)
        few, many = sorted((run(first), run(second)), key=lambda cost: cost.updates)
        ratios.append(many.each / few.each)
        print(
            f"    pair {number}: {few.each:.3f} CPU s an update of {small} ({few.measured:.3f} as measured, "
            f"{few.seconds:.0f} s), {many.each:.3f} of {large} ({many.measured:.3f}, {many.seconds:.0f} s)",
            flush=True,
        )
    print(
        f"(c) one update among {large} on {large * TARGETS_PER_UPDATE} simulated targets costs "
        f"{median(ratios):.2f} times one among {small} on {small * TARGETS_PER_UPDATE} "
        f"(median of {pairs} pairs)"
    )


def run(updates: int) -> Cost:
    """Carry ``updates`` through their life on a simulated fleet of five times as many targets."""
    with TemporaryDirectory(prefix="patchline-bench-") as name:
        folder = Path(name)
        fleet = folder / "fleet.yaml"
        fleet.write_text(GROUPS + _targets(updates))
        (folder / "feed.json").write_text(json.dumps(_feed(updates)))
        port = free_port("127.0.0.1")
        url = f"http://127.0.0.1:{port}"
        with (folder / "up.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    PATCHLINE,
                    "up",
                    "--dir",
                    folder / "state",
                    "--fleet",
                    folder / "fleet.yaml",
                    "--port",
                    str(port),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            with httpx.Client(base_url=url, timeout=60) as http:
                _wait_for_inventory(http, updates * TARGETS_PER_UPDATE, process)
            with FixedWork() as work:
                before, start = _cpu_seconds(process.pid), time.monotonic()
                subprocess.run(
                    [PATCHLINE, "feed", "publish", folder / "feed.json", "--timeout", "PT10M", "-o", "json"],
                    env=os.environ | {"PATCHLINE_URL": url},
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
                _wait_until_closed(folder / "state" / "log.db", updates, process)
                spent = _cpu_seconds(process.pid) - before
                return Cost(updates, spent, time.monotonic() - start, work.seconds)
        finally:
            process.terminate()
            process.wait(30)


def _targets(updates: int) -> str:
    lines = []
    for number in range(updates * TARGETS_PER_UPDATE):
        update, place = divmod(number, TARGETS_PER_UPDATE)
        group = "first" if place < 3 else "second"
        lines.append(
            f"  - {{id: sim-{number:05}, group: {group}, driver: sim, path: sim, "
            f"settings: {{packages: 'pkg:generic/app-{update}@1.0.0'}}}}\n"
        )
    return "".join(lines)


def _feed(updates: int) -> list[dict[str, object]]:
    return [
        {
            "vendor": "bench",
            "component": f"pkg:generic/app-{number}",
            "version": "1.1.0",
            "kind": "security",
            "released_at": "2026-01-01T00:00:00Z",
            "advisories": [{"id": f"BENCH-{number}", "severity": "high", "affected": [{"fixed": "1.1.0"}]}],
        }
        for number in range(updates)
    ]


def _wait_for_inventory(http: httpx.Client, targets: int, process: subprocess.Popen[bytes]) -> None:
    while True:
        _still_runs(process)
        try:
            metrics = http.get("/v1/targets", params={"limit": 1, "after": f"sim-{targets - 2:05}"}).json()
        except (httpx.TransportError, ValueError):
            time.sleep(0.5)
            continue
        if _quiet(process.pid) and metrics:
            return
        time.sleep(0.5)


def _wait_until_closed(log: Path, updates: int, process: subprocess.Popen[bytes]) -> None:
    """Count the reviews in the log's file: asking Patchline itself would be measured too."""
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True, timeout=30)) as connection:
        count = "SELECT count(*) FROM records WHERE topic = 'updates.reviewed'"
        while connection.execute(count).fetchone()[0] < updates:
            _still_runs(process)
            time.sleep(1)


def _still_runs(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        raise SystemExit(f"patchline up ended with {process.returncode}")


def _quiet(pid: int) -> bool:
    """Whether the process uses next to no CPU for a second: it has collected what there is."""
    before = _cpu_seconds(pid)
    time.sleep(1)
    return _cpu_seconds(pid) - before < 0.15


def _cpu_seconds(pid: int) -> float:
    """CPU seconds of a process and the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS
