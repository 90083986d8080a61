"""The demo's fleet under a Patchline that is killed again and again, and what must hold at the end."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from patchline_demo.build import App, build_fleet, free_ports
from patchline_demo.command import COMMAND
from patchline_demo.scenario import WAYS, Fleet

# The record after which Patchline dies, and the step that it dies in.
STEPS = {
    "requests.submitted": "publishing",
    "feeds.update-published": "assessing",
    "updates.assessed": "planning",
    "updates.planned": "testing",
    "updates.tested": "approving",
    "waves.due": "backing up",
    "waves.backed-up": "deploying",
    "waves.deployed": "verifying",
    "waves.checks-passed": "soaking",
    "waves.rollback-requested": "rolling back",
    "waves.rolled-back": "verifying the rollback",
    "updates.completed": "documenting",
    "updates.documented": "reviewing",
    "waves.planned": "telling people",
}


@dataclass
class Victim:
    """A ``patchline up`` that is killed and started again on the same folder."""

    folder: Path
    port: int
    environment: dict[str, str] = field(init=False)
    process: subprocess.Popen[bytes] | None = None
    kills: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {**os.environ, "PATCHLINE_URL": self.url, "NO_COLOR": "1"}

    def start(self) -> None:
        """Start it in a process group of its own."""
        paths = ["--dir", str(self.folder / "state"), "--fleet", str(self.folder / "fleet.yaml")]
        with (self.folder / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [COMMAND, "up", *paths, "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                start_new_session=True,
            )

    def kill(self, step: str, *, whole_group: bool) -> None:
        """Kill it with -9, alone or with all that it started, and start it again."""
        assert self.process is not None
        assert self.process.poll() is None, f"Patchline ended by itself:\n{self.log()}"
        if whole_group:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.kills.append(f"{step} ({'group' if whole_group else 'process'})")
        self.start()

    def stop(self) -> None:
        """End it for good."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def log(self) -> str:
        """The end of what it printed over all its lives."""
        return (self.folder / "up.log").read_text(errors="replace")[-4000:]

    def records(self) -> Counter[str]:
        """How many records each topic has, read from the log's own file."""
        path = self.folder / "state" / "log.db"
        if not path.exists():
            return Counter()
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
            try:
                rows = connection.execute("SELECT topic, count(*) FROM records GROUP BY topic").fetchall()
            except sqlite3.OperationalError:
                return Counter()
        return Counter(dict(rows))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of a person, whatever becomes of it."""
        return subprocess.run(
            [COMMAND, *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            check=False,
            timeout=120,
        )

    def ready(self) -> bool:
        """Whether it answers now."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=2).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def updates(self) -> dict[str, dict]:
        """The updates by component, as the command shows them; empty while it cannot be reached."""
        done = self.run("updates", "-o", "json")
        return {item["component"]: item for item in json.loads(done.stdout)} if done.returncode == 0 else {}


def run_until_closed(victim: Victim, feed: Path, rng: random.Random, *, patience: float) -> None:
    """Publish the feed, kill Patchline inside each step, and wait until every update is closed."""
    victim.start()
    left = dict(STEPS)
    deadline = time.monotonic() + patience
    published = False
    while time.monotonic() < deadline:
        for topic in [topic for topic, count in victim.records().items() if topic in left and count]:
            time.sleep(rng.uniform(0, 0.4))  # where in the step it dies is chance, by the seed
            victim.kill(left.pop(topic), whole_group=rng.random() < 0.5)
        if not victim.ready():
            continue
        if not published:
            # The one who publishes tries again until told that it is done; repeating is harmless.
            published = victim.run("feed", "publish", str(feed)).returncode == 0
        updates = victim.updates()
        if updates.get("pkg:pypi/idna", {}).get("state") == "awaiting-approval":
            victim.run(
                "update", "approve", updates["pkg:pypi/idna"]["id"], "--as", "dana", "--reason", "read"
            )
        if len(updates) == len(WAYS) and all(update["closed"] for update in updates.values()) and not left:
            return
    raise AssertionError(
        f"after {patience} s: steps left {sorted(left.values())}, kills {victim.kills},\n"
        f"{victim.run('updates').stdout}\n{victim.log()}"
    )


def built(folder: Path) -> tuple[list[App], Fleet, Victim]:
    """The demo's fleet, running, and a Patchline for it that is not started yet."""
    apps = build_fleet(folder, progress=lambda _: None)
    fleet = Fleet.before_updates(apps)
    for app in apps:
        app.control("start")
    return apps, fleet, Victim(folder, free_ports(1)[0])


def apply_faults(app: App) -> list[str]:
    """What the application's own apply log shows that must not be: repeated or overlapping applies."""
    log = app.folder / ".patchline" / "applies.jsonl"
    faults: list[str] = []
    running: str | None = None
    in_effect: set[tuple[str, str]] = set()
    for line in log.read_text().splitlines() if log.exists() else []:
        entry = json.loads(line)
        change = (entry["component"], entry["version"])
        if entry["event"] == "begin":
            if running is not None:
                faults.append(f"{app.blueprint.id}: {change} began while {running} ran")
            if entry["operation"] == "apply" and change in in_effect:
                faults.append(f"{app.blueprint.id}: {change} was applied again after it had ended well")
            running = entry["run"]
        else:
            running = None
            if entry["outcome"] == "succeeded":
                (in_effect.add if entry["operation"] == "apply" else in_effect.discard)(change)
    if running is not None:
        faults.append(f"{app.blueprint.id}: a change was left half-way")
    return faults
