"""Runs the ``patchline`` command as a person would, from another terminal."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from patchline_demo.build import DemoError

COMMAND = str(Path(sys.executable).with_name("patchline"))


class Patchline:
    """A running ``patchline up`` and the commands given to it."""

    def __init__(self, folder: Path, port: int, *, kafka: str | None) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "patchline-up.log"
        self._http = httpx.Client(base_url=self.url, timeout=10)
        self._environment = {**os.environ, "PATCHLINE_URL": self.url, "NO_COLOR": "1"}
        paths = ["--dir", str(folder / "state"), "--fleet", str(folder / "fleet.yaml")]
        command = [COMMAND, "up", *paths, "--port", str(port)]
        if kafka:
            command += ["--kafka", kafka]
            # A demo begins with an empty store: it must not go on in the topics of the one before.
            self._environment.setdefault("PATCHLINE_TOPIC_PREFIX", f"demo-{secrets.token_hex(3)}.")
            self._environment.setdefault("PATCHLINE_KAFKA_PARTITIONS", "2")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
            )

    def wait_until_ready(self, *, seconds: float = 60) -> None:
        """Return once Patchline answers. Raises :class:`DemoError` with what it printed if it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if self._http.get("/ready").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise DemoError(f"`patchline up` did not get ready:\n{self.log.read_text(errors='replace')[-3000:]}")

    def run(self, *arguments: str, allowed: tuple[int, ...] = (0,)) -> str:
        """What the command printed.

        Raises :class:`DemoError` if it ends with another code than ``allowed``.
        """
        done = subprocess.run(
            [COMMAND, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self._environment,
            timeout=200,
        )
        if done.returncode not in allowed:
            words = " ".join(arguments)
            said = done.stderr or done.stdout
            raise DemoError(f"`patchline {words}` ended with {done.returncode}:\n{said}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The JSON that the command printed."""
        return json.loads(self.run(*arguments, "-o", "json"))

    def update(self, update_id: str) -> Mapping[str, Any] | None:
        """The update as ``patchline update show`` has it, or None while it is unknown."""
        answer = self._http.get(f"/v1/updates/{update_id}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        found: Mapping[str, Any] = answer.json()
        return found

    def stop(self) -> None:
        """Stop Patchline gracefully; kill it only if it does not."""
        self._http.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
