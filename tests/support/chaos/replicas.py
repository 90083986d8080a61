"""Starts, stops, kills and replaces the replicas of all services."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from chaos import replica
from patchline_cli.preflight import free_port

_context = multiprocessing.get_context("forkserver")
_services = {entry.name: entry.module for entry in entry_points(group="patchline.services")}
_context.set_forkserver_preload([*_services.values(), "patchline_kit.host", "patchline_fleet.sim.driver"])


@dataclass(eq=False)
class Replica:
    """A process that runs one service."""

    service: str
    process: ForkServerProcess
    port: int
    stopped: bool = field(default=False)
    """By SIGSTOP."""

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.process.pid is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self.process.is_alive()

    def signal(self, number: int) -> None:
        """Send it a signal, unless it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Replicas:
    """All replicas of a run; ``environment`` is what they share.

    To ``crashed`` are added those that ended by themselves, with their exit code.
    """

    def __init__(
        self, folder: Path, environment: Mapping[str, str], *, crashed: list[str], each: int = 2
    ) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._each = each
        self.all: list[Replica] = []
        self.services = tuple(sorted(_services))
        self.crashed = crashed
        _start_fork_server()

    def of(self, service: str) -> list[Replica]:
        """Its replicas that live, stopped ones too."""
        return [each for each in self.all if each.service == service and each.alive]

    def add(self, service: str) -> Replica:
        """Start one more."""
        port = free_port("127.0.0.1")
        log = self._folder / f"{service}.log"
        process = _context.Process(
            target=replica.run,
            args=(service, {**self._environment, "PATCHLINE_PORT": str(port)}, log),
            name=service,
            daemon=True,
        )
        process.start()
        started = Replica(service, process, port)
        self.all.append(started)
        return started

    def fill(self) -> None:
        """See to it that each service has its replicas; those that ended by themselves are noted."""
        for each in [each for each in self.all if not each.alive]:
            self.all.remove(each)
            code = each.process.exitcode
            if code not in (0, -signal.SIGKILL):
                self.crashed.append(f"{each.service} ended with {code}")
        for service in self.services:
            for _ in range(self._each - len(self.of(service))):
                self.add(service)

    def kill(self, *victims: Replica) -> None:
        """``kill -9``, and wait for their end."""
        for victim in victims:
            victim.signal(signal.SIGKILL)
        for victim in victims:
            victim.process.join(20)
            if victim in self.all:
                self.all.remove(victim)

    def end(self, *leavers: Replica, patience: float = 40) -> list[Replica]:
        """SIGTERM, and wait for their end; those that had to be killed."""
        for leaver in leavers:
            leaver.signal(signal.SIGTERM)
        deadline = time.monotonic() + patience
        for leaver in leavers:
            leaver.process.join(max(0.1, deadline - time.monotonic()))
        late = [leaver for leaver in leavers if leaver.alive]
        self.kill(*late)
        self.all = [each for each in self.all if each not in leavers]
        return late

    def gateways(self) -> list[str]:
        """Addresses of the gateways that may answer."""
        return [f"http://127.0.0.1:{each.port}" for each in self.of("gateway") if not each.stopped]


def _start_fork_server() -> None:
    """What it forks inherits which signals wait: one about a clock may come before the clock is there."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, replica.CLOCK_SIGNALS)
    forkserver.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
