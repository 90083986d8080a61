"""A run: start everything, publish, do mischief until every update is closed, then look at what is left."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from aiokafka.errors import KafkaError

from chaos.evidence import Evidence, Kept, Touch
from chaos.invariants import COUNTED, Violation, check
from chaos.mischief import Mischief
from chaos.progress import Progress
from chaos.proxy import Proxy
from chaos.replicas import Replicas
from chaos.scenario import Scenario
from chaos.servers import Server
from chaos.watch import PARTITIONS, PREFIX, Watch, poison, told

POISONED = ("waves.backed-up", "updates.planned", "feeds.update-published")
QUIET_SECONDS = 4.0
COMMAND = str(Path(sys.executable).with_name("patchline"))


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    progress: Progress
    violations: tuple[Violation, ...]

    def lines(self) -> list[str]:
        """What is printed of it; the last line holds the counts."""
        done, plan = self.progress, self.progress.plan
        found = Counter(violation.kind for violation in self.violations)
        others = [f"{kind}: {times}" for kind, times in found.items() if kind not in COUNTED]
        return [
            *(f"{violation.kind}: {violation.what}" for violation in self.violations[:50]),
            f"seed {plan.seed}, {done.seconds:.0f} s: "
            + ", ".join(f"{what} {times}" for what, times in sorted(done.acts.items())),
            *others,
            f"updates {plan.updates}, kills {done.kills}, "
            + ", ".join(f"{kind} {found[kind]}" for kind in COUNTED),
        ]


class Run:
    """A Patchline on servers of its own, and what becomes of it.

    It may be ended in its midst, by kill -9 too: a run over its folder's :class:`Progress` goes on there.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.folder = folder = progress.folder
        self.scenario = Scenario.of(progress.plan.updates)
        (folder / "fleet.yaml").write_text(self.scenario.fleet())
        broker_folder = folder / "native"
        self._kafka = Server("kafka", broker_folder)
        self._proxy = Proxy(self._kafka.port)
        self._servers = [self._kafka]
        self._environment = {
            "PATCHLINE_DIR": str(folder / "state"),
            "PATCHLINE_FLEET": str(folder / "fleet.yaml"),
            "PATCHLINE_KAFKA_PARTITIONS": str(PARTITIONS),
            "PATCHLINE_TOPIC_PREFIX": PREFIX,
            "PATCHLINE_LOG_FORMAT": "text",
            "OTEL_TRACES_EXPORTER": "none",
        }
        if not progress.plan.sqlite:
            database = Server("mongo", broker_folder)
            self._servers.append(database)
            self._environment["PATCHLINE_MONGO"] = f"mongodb://{database.address}/chaos"

    def __call__(self) -> Result:
        """Do it all. Raises :class:`AssertionError` if the run does not come to its end."""
        progress = self.progress
        progress.save()
        began = time.monotonic()
        dice = random.Random(progress.plan.seed + progress.decks)
        with (
            self._stack() as (replicas, watch),
            Mischief(replicas, self._servers, self._proxy, dice, progress) as mischief,
        ):
            self._wait(
                "every target's inventory",
                lambda: len(watch.keys["fleet.inventory-reported"]) >= len(self.scenario.packages),
                mischief,
                patience=120 + len(self.scenario.packages) / 5,
            )
            print(f"ready after {time.monotonic() - began:.0f} s", flush=True)
            self._trouble(mischief, dice, replicas, watch)
            mischief.calm()
            self._until_quiet(replicas, watch)
            evidence = self._evidence(replicas, watch)
            crashed = [Violation("lost", what) for what in replicas.crashed if not what.endswith(" 1")]
        return Result(progress, (*crashed, *check(evidence)))

    @contextmanager
    def _stack(self) -> Iterator[tuple[Replicas, Watch]]:
        self._proxy.start()
        self._kafka.set(KAFKA_ADVERTISED_PORT=str(self._proxy.port))
        self._environment["PATCHLINE_KAFKA"] = f"127.0.0.1:{self._proxy.port}"
        watch = Watch(f"127.0.0.1:{self._proxy.port}")
        (self.folder / "logs").mkdir(exist_ok=True)
        replicas = Replicas(self.folder / "logs", self._environment, crashed=self.progress.crashed)
        try:
            for server in self._servers:
                server.kill()  # it lives on when the run before was killed
                server.start()
            replicas.fill()
            watch.start()
            yield replicas, watch
        finally:
            replicas.kill(*replicas.all)
            for server in self._servers:
                server.kill()
            self._proxy.stop()
            self.progress.save()

    def _trouble(self, mischief: Mischief, dice: random.Random, replicas: Replicas, watch: Watch) -> None:
        """Publish everything, and do mischief until each update is reviewed and the deck was dealt once.

        With each deck the acts come half as often: on a slow machine, too, the updates get their time.
        """
        updates, progress = len(self.scenario.expected), self.progress
        publisher = threading.Thread(target=self._publish, args=(replicas, watch), daemon=True)
        publisher.start()
        told_at = next_act = time.monotonic()
        deadline = time.monotonic() + 600 + 6 * updates
        while len(watch.keys["updates.reviewed"]) < updates or not progress.decks or publisher.is_alive():
            mischief.tick()
            if time.monotonic() >= next_act and mischief.has_victims and self._goes_on:
                mischief.act()
                next_act = time.monotonic() + dice.uniform(0.5, 1.5) * progress.plan.pace * 2**progress.decks
            if time.monotonic() - told_at > 15:
                told_at = time.monotonic()
                done = len(watch.keys["updates.reviewed"])
                print(f"       {done} of {updates} updates are closed, {progress.kills} kills", flush=True)
            if time.monotonic() > deadline:
                raise AssertionError(self._stuck(replicas, watch))
            time.sleep(0.1)

    @property
    def _goes_on(self) -> bool:
        return self.progress.plan.decks is None or self.progress.decks < self.progress.plan.decks

    def _publish(self, replicas: Replicas, watch: Watch) -> None:
        """Publish each item until it is taken, and an unreadable record now and then."""
        dice = random.Random(self.progress.plan.seed)
        items = list(self.scenario.items())
        unreadable = {len(items) * (number + 1) // 4: topic for number, topic in enumerate(POISONED)}
        for number in range(self.progress.published, len(items)):
            while not self._published(items[number], replicas, dice):
                time.sleep(0.3)
            while number in unreadable:
                try:
                    watch.poison(unreadable[number], f"poison-{number}")
                    del unreadable[number]
                except (KafkaError, OSError, TimeoutError):
                    time.sleep(0.3)  # the broker is away just now
            self.progress.published = number + 1
            self.progress.save()

    def _published(self, item: list[dict[str, object]], replicas: Replicas, dice: random.Random) -> bool:
        gateways = replicas.gateways()
        if not gateways:
            return False
        try:
            answer = httpx.post(
                f"{dice.choice(gateways)}/v1/feeds/updates", json=item, params={"timeout": "PT2S"}, timeout=10
            )
        except httpx.HTTPError:
            return False
        return answer.status_code in (httpx.codes.OK, httpx.codes.ACCEPTED)  # accepted: it is stored

    def _wait(self, what: str, done, mischief: Mischief, *, patience: float) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + patience
        while not done():
            mischief.tick()
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} is not there after {patience:.0f} s\n{self._tails()}")
            time.sleep(0.1)

    def _until_quiet(self, replicas: Replicas, watch: Watch) -> None:
        """Return when every group has handled everything for some seconds, and nothing new came."""
        quiet_since = time.monotonic()
        open_ends: dict[str, int] = {}
        deadline = time.monotonic() + 180 + len(self.scenario.expected) / 5
        while time.monotonic() - quiet_since < QUIET_SECONDS:
            if time.monotonic() > deadline:
                raise AssertionError(f"it does not get quiet: {open_ends}\n{self._tails()}")
            try:
                open_ends = watch.open_ends(list(replicas.services))
            except Exception as error:
                open_ends = {repr(error): 1}
            if open_ends:
                quiet_since = time.monotonic()
            replicas.fill()
            time.sleep(0.5)

    def _evidence(self, replicas: Replicas, watch: Watch) -> Evidence:
        late = replicas.end(*replicas.all)
        if late:
            replicas.crashed.append(f"{', '.join(each.service for each in late)} had to be killed at the end")
        records = watch.everything()
        poisoned = poison(records)
        assert len(poisoned) >= len(POISONED), f"unreadable records are gone: {sorted(poisoned)} are there"
        unread = watch.positions("documentation")
        watch.stop()
        ledger = self._ledger()
        touches, packages = _sim(self.folder / "sim" / "sim.db")
        return Evidence(
            told=[event for event in map(told, records) if event is not None],
            touches=touches,
            kept=ledger,
            ledger_problems=self._ledger_problems(),
            packages=packages,
            expected=self.scenario.expected,
            windows=self.scenario.windows,
            poison=poisoned,
            unread=unread,
        )

    def _ledger(self) -> list[Kept]:
        export = self.folder / "ledger.jsonl"
        done = self._command("ledger", "export", "--to", str(export))
        assert done.returncode == 0, done.stderr
        lines = [json.loads(line) for line in export.read_text().splitlines()]
        return [
            Kept(
                event_id=line["event_id"],
                topic=line["topic"],
                raw=(tuple((name, text) for name, text in line["headers"]), line["body"]),
            )
            for line in lines
            if line["kind"] == "entry"
        ]

    def _ledger_problems(self) -> list[str]:
        done = self._command("ledger", "verify", str(self.folder / "ledger.jsonl"), "-o", "json")
        return [problem["explanation"] for problem in json.loads(done.stdout)["problems"]]

    def _command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
        )

    def _stuck(self, replicas: Replicas, watch: Watch) -> str:
        open_updates = sorted(watch.keys["updates.assessed"] - watch.keys["updates.reviewed"])
        explained = []
        for update in open_updates[:5]:
            for gateway in replicas.gateways():
                try:
                    explained.append(httpx.get(f"{gateway}/v1/updates/{update}/explain", timeout=10).text)
                except httpx.HTTPError as error:
                    explained.append(f"{update}: {error!r}")
        return (
            f"{len(open_updates)} updates do not end: {open_updates[:20]}\n"
            + "\n".join(explained)
            + f"\n{self._tails()}"
        )

    def _tails(self) -> str:
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}"
            for log in sorted((self.folder / "logs").glob("*.log"))
        )


def _sim(path: Path) -> tuple[list[Touch], dict[str, dict[str, str]]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
        touches = [
            Touch(number, target, datetime.fromisoformat(at), *rest)
            for number, target, at, *rest in database.execute(
                "SELECT number, target, at, event, run, operation, component, version, fence, outcome"
                " FROM applies ORDER BY number"
            )
        ]
        packages: dict[str, dict[str, str]] = {}
        for target, component, version in database.execute("SELECT target, component, version FROM packages"):
            packages.setdefault(target, {})[component] = version
    return touches, packages
