"""A real ``patchline up`` in a process of its own, on a simulated fleet, for tests of the whole product."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from patchline_cli.preflight import free_port

COMMAND = str(Path(sys.executable).with_name("patchline"))
READY_SECONDS = 60


class Whole:
    """A running Patchline. ``folder`` holds its fleet file and its state."""

    def __init__(self, folder: Path, fleet: str, **settings: str) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.fleet = folder / "fleet.yaml"
        self.fleet.write_text(fleet)
        self.port = free_port("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PATCHLINE_URL": self.url,
            "PATCHLINE_DIR": str(self.state),
            "NO_COLOR": "1",
            **settings,
        }
        self.log = folder / "up.log"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [COMMAND, "up", "--dir", self.state, "--fleet", self.fleet, "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/ready", timeout=2).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"`patchline up` did not get ready:\n{self.log.read_text(errors='replace')}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line as a person would type it in the folder of the fleet file."""
        return subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


@contextmanager
def running(folder: Path, fleet: str, **settings: str) -> Iterator[Whole]:
    """A Patchline that runs in ``folder`` with ``settings`` (PATCHLINE_*) until the block ends."""
    whole = Whole(folder, fleet, **settings)
    whole.start()
    try:
        yield whole
    finally:
        whole.stop()
