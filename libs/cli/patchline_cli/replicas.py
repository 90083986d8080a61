"""Replicas of services as child processes: started, started again when they crash, stopped together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from patchline_fleet.supervised import killed_with

RESTART_FIRST = 0.5
"""Seconds until a replica that crashed is started again, the first time."""
RESTART_AT_MOST = 30.0
"""The wait doubles with every crash, up to this."""
STEADY_SECONDS = 60.0
"""A replica that ran for so long counts as steady: the waits begin anew."""
AFTER_GRACE = 5.0
"""Seconds that a replica has beyond its grace time before it is killed."""
WRONG_SETTINGS = 2
"""How a replica ends that can never run as it is set up."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One process to keep running."""

    service: str
    number: int
    environment: Mapping[str, str]
    """What it is told beside this process's own environment."""

    @property
    def name(self) -> str:
        """For people: ``planning 2``."""
        return f"{self.service} {self.number}"


def replicas_of(
    services: Sequence[str],
    each: int,
    *,
    port: int,
    health_port: int | None,
    free_port: Callable[[], int],
) -> list[Replica]:
    """``each`` replicas of every service.

    The gateway's replicas listen on ``port`` and those after it. With ``health_port`` every replica has one
    of its own, from that on; 0 takes free ones.
    """
    found: list[Replica] = []
    for service in services:
        for number in range(1, each + 1):
            environment = {"OTEL_RESOURCE_ATTRIBUTES": _resource(f"{service}-{number}")}
            if health_port is not None:
                environment["PATCHLINE_HEALTH_PORT"] = str(
                    health_port + len(found) if health_port else free_port()
                )
            if service == "gateway":
                environment["PATCHLINE_PORT"] = str(port + number - 1 if port else free_port())
            found.append(Replica(service, number, environment))
    return found


class Supervisor:
    """Keeps replicas running until :meth:`stop`; they are killed if this process ends without stopping them.

    ``say`` is told what happens to them, in a sentence each.
    """

    def __init__(self, replicas: Sequence[Replica], *, grace: timedelta, say: Callable[[str], None]) -> None:
        self._replicas = replicas
        self._grace = grace.total_seconds()
        self._say = say
        self._stopping = asyncio.Event()
        self._wrong = False

    async def run(self) -> bool:
        """Run all until :meth:`stop`; False if one cannot run as it is set up, which stops the others."""
        async with asyncio.TaskGroup() as group:
            for replica in self._replicas:
                group.create_task(self._keep(replica))
        return not self._wrong

    def stop(self) -> None:
        """Ask all to stop; who has not after the grace time, and a little more, is killed."""
        self._stopping.set()

    async def _keep(self, replica: Replica) -> None:
        wait = RESTART_FIRST
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            process = await _started(replica)
            self._say(f"{replica.name}: pid {process.pid}{_ports(replica)}")
            code = await self._until_ended(replica, process)
            if self._stopping.is_set():
                return
            if code == WRONG_SETTINGS:
                self._wrong = True
                self._say(f"{replica.name} cannot run as it is set up (see above); stopping")
                self.stop()
                return
            if loop.time() - started >= STEADY_SECONDS:
                wait = RESTART_FIRST
            self._say(f"{replica.name} {_ended(code)}; it is started again in {wait:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
            wait = min(2 * wait, RESTART_AT_MOST)

    async def _until_ended(self, replica: Replica, process: asyncio.subprocess.Process) -> int:
        ended = asyncio.ensure_future(process.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((ended, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                process.terminate()
                await asyncio.wait((ended,), timeout=self._grace + AFTER_GRACE)
            if not ended.done():
                self._say(f"{replica.name} did not stop within {self._grace + AFTER_GRACE:g} s and is killed")
                process.kill()
            return await ended
        finally:
            stopping.cancel()


async def _started(replica: Replica) -> asyncio.subprocess.Process:
    """A process in a session of its own: Ctrl-C reaches this process, which tells the replicas."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "patchline_kit.replica",
        replica.service,
        stdin=asyncio.subprocess.DEVNULL,
        env={**os.environ, **replica.environment},
        start_new_session=True,
        preexec_fn=killed_with(os.getpid()),
    )


def _resource(instance: str) -> str:
    given = os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return f"{given},service.instance.id={instance}".lstrip(",")


def _ports(replica: Replica) -> str:
    ports = {"PATCHLINE_PORT": "API", "PATCHLINE_HEALTH_PORT": "/ready and /metrics"}
    shown = [
        f"{title} on port {replica.environment[key]}"
        for key, title in ports.items()
        if key in replica.environment
    ]
    return f", {', '.join(shown)}" if shown else ""


def _ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
