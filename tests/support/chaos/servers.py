"""The broker and the database of one run: processes of its own, which may be killed."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

HOUSE = Path(__file__).parents[3]
NATIVE = HOUSE / "infra" / "native"


class Server:
    """One of the native servers (``kafka``, ``mongo``) below ``folder``."""

    def __init__(self, name: str, folder: Path, **environment: str) -> None:
        self.name = name
        self.folder = folder / name
        self.port = quiet_port()
        self._environment = {
            **os.environ,
            "NATIVE_DIR": str(folder),
            f"{name.upper()}_PORT": str(self.port),
            f"{name.upper()}_CONTROLLER_PORT": str(quiet_port()),
            **environment,
        }
        self._share_jars()

    def set(self, **environment: str) -> None:
        """Change its settings, from its next start on."""
        self._environment |= environment

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process, if one runs."""
        try:
            pid = int((self.folder / "pid").read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid

    def start(self) -> None:
        """Start it, on the data of its last life; returns when it answers."""
        done = subprocess.run(
            [NATIVE / self.name, "start"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        if done.returncode:
            raise AssertionError(f"{self.name} does not start: {done.stderr}")

    def kill(self) -> None:
        """``kill -9``."""
        pid = self.pid
        if pid is None:
            return
        os.kill(pid, signal.SIGKILL)
        _wait_for_end(pid, self.port)

    def _share_jars(self) -> None:
        """Use the jars that the house has, if it has them; fetching them again takes a while."""
        have = HOUSE / ".native" / self.name / "jars"
        self.folder.mkdir(parents=True, exist_ok=True)
        if (have / ".complete").exists() and not (self.folder / "jars").exists():
            (self.folder / "jars").symlink_to(have)


def quiet_port() -> int:
    """A free port that the system gives to no outgoing connection, so that it is free again later."""
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with socket.socket() as attempt, suppress(OSError):
            attempt.bind(("127.0.0.1", port))
            return port


def _wait_for_end(pid: int, port: int, seconds: float = 20) -> None:
    """Return when the process is gone and its port is free: its threads may die after the first of them."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if _is_gone(pid) and not _answers(port):
            return
        time.sleep(0.02)
    raise AssertionError(f"the process {pid} does not end, or its port {port} is not given back")


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _answers(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0
