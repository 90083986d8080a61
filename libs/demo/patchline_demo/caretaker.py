"""Looks after the demo's applications in a container of their own: makes, starts, restarts and stops them.

Other containers share the folder; they ask for a restart through ``control.sock`` in it (``apps/ask.py``).
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import socketserver
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from patchline_demo.build import App, DemoError, build_fleet, fleet_file, open_fleet

SOCKET = "control.sock"
ACTIONS = frozenset({"restart", "start", "stop"})
FIRST_PORT = 8101


def answer(request: str, apps: Mapping[str, App]) -> str:
    """What to answer to ``ACTION APPLICATION``: ``ok``, or why it could not be done."""
    action, _, name = request.strip().partition(" ")
    if action not in ACTIONS or name not in apps:
        return (
            f"{request.strip()!r} is not understood: say restart, start or stop, and one of {', '.join(apps)}"
        )
    try:
        apps[name].control(action)
    except DemoError as error:
        return str(error)
    return "ok"


class Server(socketserver.ThreadingUnixStreamServer):
    """Answers at the socket, one thread a request; never two at a time for one application."""

    daemon_threads = True

    def __init__(self, path: Path, apps: Mapping[str, App]) -> None:
        path.unlink(missing_ok=True)  # of one that was killed
        super().__init__(str(path), _Handler)
        self.apps = apps
        self.turns = {name: threading.Lock() for name in apps}


class _Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        request = self.rfile.readline(200).decode(errors="replace")
        if not request:
            return  # somebody only looked whether we are here
        turn = self.server.turns.get(request.strip().partition(" ")[2], contextlib.nullcontext())
        with turn:
            self.wfile.write(f"{answer(request, self.server.apps)}\n".encode())


def main() -> int:
    """Run until SIGTERM; 1 if the applications cannot be made or started."""
    parser = argparse.ArgumentParser(prog="python -m patchline_demo.caretaker", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="folder of the fleet, made if it is empty")
    return _look_after(parser.parse_args().dir.resolve())


def _look_after(folder: Path) -> int:
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    try:
        apps = {app.blueprint.id: app for app in _fleet(folder)}
        for app in apps.values():
            app.control("restart")
            _say(f"{app.blueprint.id} runs on port {app.port}")
    except DemoError as error:
        _say(str(error))
        return 1
    with Server(folder / SOCKET, apps) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _say(f"looking after {len(apps)} applications at {folder / SOCKET}")
        end.wait()
        server.shutdown()
    (folder / SOCKET).unlink(missing_ok=True)
    for app in apps.values():
        app.control("stop")
    return 0


def _fleet(folder: Path) -> list[App]:
    """The applications below ``folder``; made anew unless all of them are there."""
    if fleet_file(folder).exists():
        return open_fleet(folder)
    shutil.rmtree(folder / "apps", ignore_errors=True)
    return build_fleet(folder, progress=_say, first_port=FIRST_PORT, caretaker=True)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
