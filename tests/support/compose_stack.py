"""docker-compose.yml as it is run: brought up, looked at and taken down, with settings of a test's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).parents[2]
COMPOSE_FILE = HOUSE / "docker-compose.yml"
ENV_FILE = HOUSE / ".env"
OVERRIDES = {
    "COMPOSE_PROJECT_NAME": "patchline-test",
    "PATCHLINE_VERSION": "test",
    "COMPOSE_PROFILES": "zipkin",
    "OTEL_TRACES_EXPORTER": "zipkin",
    "GATEWAY_PUBLISH": "127.0.0.1:0",
    "ZIPKIN_PUBLISH": "127.0.0.1:0",
    "PATCHLINE_KAFKA_PARTITIONS": "2",
}
"""What a test sets otherwise: names and ports that meet nobody else's, Zipkin for Jaeger, few partitions."""


def read_env(path: Path = ENV_FILE) -> dict[str, str]:
    """The settings in an environment file."""
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, equals, value in lines if equals and not name.startswith("#")}


@dataclass(frozen=True)
class Container:
    """What Docker says of one container."""

    id: str
    name: str
    """Of its service."""
    state: dict[str, Any]

    @property
    def health(self) -> str:
        """``healthy``, ``starting``, ``unhealthy``, or ``none`` where nothing checks it."""
        return str(self.state.get("Health", {}).get("Status", "none"))

    @property
    def works(self) -> bool:
        """Whether it runs, and is healthy as far as that is checked; or is one that had to end, and has."""
        if not self.state["Running"]:
            return self.name == "topics" and self.state["ExitCode"] == 0
        return self.health in ("healthy", "none")

    def __str__(self) -> str:
        checks = self.state.get("Health", {}).get("Log") or [{"Output": ""}]
        said = checks[-1]["Output"].strip()
        return f"{self.name}: {self.state['Status']}, {self.health} {said}".strip()


class Stack:
    """One run of docker-compose.yml. ``folder`` is for its settings."""

    def __init__(self, folder: Path) -> None:
        self.env_file = folder / "env"
        self.env_file.write_text(
            "".join(f"{name}={value}\n" for name, value in {**read_env(), **OVERRIDES}.items())
        )

    def compose(self, *arguments: str, timeout: float = 900) -> str:
        """What compose printed. Raises :class:`AssertionError` with it if it fails."""
        files = ("--file", str(COMPOSE_FILE), "--file", str(HOUSE / "infra" / "docker" / "offline.yml"))
        command = [*_compose(), "--env-file", str(self.env_file), *files, *arguments]
        return _output(command, env=_environment(self.env_file), timeout=timeout)

    def in_container(self, service: str, *command: str, timeout: float = 900) -> str:
        """What a command printed that is run in a service's container; as :meth:`compose` if it fails."""
        (container,) = (each for each in self.containers() if each.name == service)
        return _output(["docker", "exec", container.id, *command], timeout=timeout)

    def up(self) -> None:
        """Start everything and wait until it works."""
        self.compose("up", "--detach")
        self.wait(lambda containers: all(each.works for each in containers))

    def containers(self) -> list[Container]:
        """All of them, running or not."""
        mine = f"label=com.docker.compose.project={OVERRIDES['COMPOSE_PROJECT_NAME']}"
        ids = _output(["docker", "ps", "--all", "--quiet", "--filter", mine]).split()
        inspected = json.loads(_output(["docker", "inspect", *ids])) if ids else []
        label = "com.docker.compose.service"
        return [Container(each["Id"], each["Config"]["Labels"][label], each["State"]) for each in inspected]

    def wait(self, until: Callable[[Sequence[Container]], bool], *, seconds: float = 300) -> None:
        """Return once ``until`` is true of the containers; an assertion with their states if it never is."""
        deadline = time.monotonic() + seconds
        while not until(containers := self.containers()):
            assert time.monotonic() < deadline, "\n".join(["not in time:", *map(str, containers)])
            time.sleep(1)

    def address(self, service: str, port: int) -> str:
        """Where a container's port is published here."""
        return self.compose("port", service, str(port)).strip()

    def down(self) -> None:
        """Stop everything and remove what it kept."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "30")


def _compose() -> list[str]:
    version_2 = ["docker", "compose"]
    there = subprocess.run([*version_2, "version"], capture_output=True, check=False).returncode == 0
    return version_2 if there else ["docker-compose"]


def _environment(env_file: Path) -> dict[str, str]:
    ours = re.compile(r"(PATCHLINE|COMPOSE|OTEL|GATEWAY|ZIPKIN|JAEGER)_")
    return {name: value for name, value in os.environ.items() if not ours.match(name)} | {
        "PATCHLINE_ENV_FILE": str(env_file)
    }


def _output(command: Sequence[str], *, env: dict[str, str] | None = None, timeout: float = 60) -> str:
    done = subprocess.run(
        command, cwd=HOUSE, env=env, capture_output=True, text=True, check=False, timeout=timeout
    )
    assert done.returncode == 0, (
        f"`{' '.join(command)}` ended with {done.returncode}:\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
    )
    return done.stdout
