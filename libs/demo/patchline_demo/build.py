"""Makes the demo's applications: folder, environment, configuration, rows, and the fleet file."""

from __future__ import annotations

import json
import secrets
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from uv import find_uv_bin

from patchline_demo.blueprint import FLEET, GROUPS, Blueprint


class DemoError(Exception):
    """The demo cannot go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class App:
    """A built application."""

    blueprint: Blueprint
    folder: Path
    port: int

    @property
    def python(self) -> Path:
        """The interpreter of its environment."""
        return self.folder / ".venv" / "bin" / "python"

    def control(self, action: str) -> None:
        """Start, stop or restart its program. Raises :class:`DemoError` with what the program said."""
        run([str(self.python), "control.py", action], cwd=self.folder)

    @staticmethod
    def stop_folder(folder: Path, python: Path) -> None:
        """Stop the program that an earlier demo left in ``folder``."""
        run([str(python), "control.py", "stop"], cwd=folder)

    def installed(self, package: str) -> str | None:
        """The version of ``package`` that the environment itself reports, or None."""
        question = (
            "import importlib.metadata as m, sys\n"
            "try: print(m.version(sys.argv[1]))\n"
            "except m.PackageNotFoundError: pass\n"
        )
        return run([str(self.python), "-c", question, package], cwd=self.folder).strip() or None


def run(command: list[str], *, cwd: Path) -> str:
    """The command's output. Raises :class:`DemoError` with it if the command fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=170)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise DemoError(f"`{' '.join(command)}` in {cwd} failed:\n{said}")
    return done.stdout


def build_fleet(
    folder: Path, *, progress: Callable[[str], None], first_port: int | None = None, caretaker: bool = False
) -> list[App]:
    """Make every application of the blueprint below ``folder/apps``, and at last ``folder/fleet.yaml``.

    They listen on free ports, or on those from ``first_port`` on. With ``caretaker`` they are restarted by
    :mod:`patchline_demo.caretaker`, not by whoever updates them.
    """
    chosen = free_ports(len(FLEET)) if first_port is None else range(first_port, first_port + len(FLEET))
    ports = dict(zip((blueprint.id for blueprint in FLEET), chosen, strict=True))
    apps = [App(blueprint, _folder(folder, blueprint), ports[blueprint.id]) for blueprint in FLEET]

    uv = find_uv_bin()  # here, for two threads that ask sysconfig at once may see it half made

    def build(app: App) -> None:
        _build_app(app, ports, uv)
        progress(f"built {app.blueprint.id} ({', '.join(app.blueprint.packages[:2])})")

    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(build, apps))
    text = GROUPS + _targets(apps, "ask.py" if caretaker else "control.py")
    fresh = fleet_file(folder).with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(fleet_file(folder))
    return apps


def open_fleet(folder: Path) -> list[App]:
    """The applications that :func:`build_fleet` made below ``folder``.

    Raises :class:`DemoError` if one is not there.
    """
    apps = []
    for blueprint in FLEET:
        place = _folder(folder, blueprint)
        try:
            config = tomllib.loads((place / "config" / "app.toml").read_text())
        except OSError as error:
            raise DemoError(f"{place} holds no application of the demo: {error.strerror}") from error
        apps.append(App(blueprint, place, config["port"]))
    return apps


def fleet_file(folder: Path) -> Path:
    """Where the fleet file of a demo in ``folder`` is."""
    return folder / "fleet.yaml"


def _folder(folder: Path, blueprint: Blueprint) -> Path:
    return folder / "apps" / blueprint.id


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _build_app(app: App, ports: dict[str, int], uv: str) -> None:
    blueprint = app.blueprint
    app.folder.mkdir(parents=True)
    with resources.as_file(resources.files("patchline_demo") / "apps") as sources:
        for name in ("serve.py", "control.py", "ask.py", f"{blueprint.program}.py"):
            shutil.copy(sources / name, app.folder / name)
    settings: dict[str, str | int] = {
        "name": blueprint.id,
        "program": f"{blueprint.program}.py",
        "port": app.port,
        "secret": secrets.token_hex(32),
        "first_look_after_seconds": 7,
        **blueprint.config,
    }
    if blueprint.peer:
        settings["peer"] = f"http://127.0.0.1:{ports[blueprint.peer]}/"
    (app.folder / "config").mkdir()
    (app.folder / "data").mkdir()
    # A JSON string or number is a TOML string or number too.
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    (app.folder / "config" / "app.toml").write_text("\n".join(lines) + "\n")
    run([uv, "venv", "--quiet", "--python", sys.executable, ".venv"], cwd=app.folder)
    run([uv, "pip", "install", "--quiet", "--python", ".venv", *blueprint.packages], cwd=app.folder)


def _targets(apps: Iterable[App], restarter: str) -> str:
    text = "targets:\n"
    for app in apps:
        text += f"""\
  - id: {app.blueprint.id}
    group: {app.blueprint.group}
    driver: venv
    path: apps/{app.blueprint.id}
    checks:
      - {{command: [".venv/bin/python", "{app.blueprint.program}.py", "--selfcheck"], timeout: PT20S}}
      - {{http: "http://127.0.0.1:{app.port}/health"}}
    restart: {{command: [".venv/bin/python", "{restarter}", "restart"]}}
    backup: {{paths: [config, data], restore: [config]}}
"""
    return text
