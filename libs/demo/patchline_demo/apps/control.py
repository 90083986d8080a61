"""Starts, stops and restarts the application in this folder: ``control.py start|stop|restart``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
PID_FILE = HERE / "run" / "pid"


def running() -> int | None:
    """The process id of the running application, or None."""
    try:
        pid = int(PID_FILE.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(HERE).encode() in command else None


def stop() -> None:
    """End the application and wait until it is gone."""
    pid = running()
    if pid is None:
        return
    os.kill(pid, signal.SIGTERM)
    for _ in range(100):
        if running() is None:
            return
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)


def start() -> None:
    """Start the application and wait until it answers."""
    config = tomllib.loads((HERE / "config" / "app.toml").read_text())
    PID_FILE.parent.mkdir(exist_ok=True)
    with (HERE / "run" / "log").open("ab") as log:
        process = subprocess.Popen(
            [HERE / ".venv" / "bin" / "python", HERE / config["program"]],
            cwd=HERE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    PID_FILE.write_text(str(process.pid))
    for _ in range(200):
        if process.poll() is not None:
            sys.exit(f"{config['name']} ended at once: see {HERE / 'run' / 'log'}")
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{config['port']}/", timeout=2).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    sys.exit(f"{config['name']} does not answer on port {config['port']}")


if __name__ == "__main__":
    action = sys.argv[1]
    if action in ("stop", "restart"):
        stop()
    if action in ("start", "restart"):
        start()
