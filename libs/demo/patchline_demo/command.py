"""Runs the ``patchline`` command as a person would, from another terminal."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx

from patchline_demo.build import DemoError, fleet_file

COMMAND = str(Path(sys.executable).with_name("patchline"))


class Patchline:
    """A running Patchline and the commands given to it."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.environment = {**os.environ, "PATCHLINE_URL": url, "NO_COLOR": "1"}
        self.environment.setdefault("OTEL_TRACES_SAMPLER", "parentbased_always_on")  # five updates: show all
        headers = {}
        if token:
            self.environment["PATCHLINE_TOKEN"] = token
            headers["Authorization"] = f"Bearer {token}"
        self._http = httpx.Client(base_url=url, timeout=10, headers=headers)

    def alive(self) -> bool:
        """Whether it is worth waiting for."""
        return True

    def said(self) -> str:
        """What it printed, as far as that is known here."""
        return f"nothing is ready at {self.url}"

    def wait_until_ready(self, *, seconds: float = 60) -> None:
        """Return once Patchline answers. Raises :class:`DemoError` with what is known if it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.alive():
            try:
                if self._http.get("/ready").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise DemoError(f"Patchline did not get ready: {self.said()}")

    def run(self, *arguments: str, allowed: tuple[int, ...] = (0,)) -> str:
        """What the command printed.

        Raises :class:`DemoError` if it ends with another code than ``allowed``.
        """
        done = subprocess.run(
            [COMMAND, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
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

    def reports(self, update_id: str) -> Iterable[str]:
        """Where the reports of an update are, or how to get them."""
        return [f"patchline report {update_id} --format html --to {update_id}.html"]

    def ledger(self) -> str | None:
        """What ``patchline ledger verify`` says, where the ledger can be read."""
        return None

    def stop(self) -> None:
        """Let go of it."""
        self._http.close()


class OwnPatchline(Patchline):
    """A ``patchline up`` of the demo's own, started at once."""

    def __init__(self, folder: Path, port: int, *, kafka: str | None) -> None:
        super().__init__(f"http://127.0.0.1:{port}")
        self.log = folder / "patchline-up.log"
        self._state = folder / "state"
        paths = ["--dir", str(self._state), "--fleet", str(fleet_file(folder))]
        command = [COMMAND, "up", *paths, "--port", str(port)]
        if kafka:
            command += ["--kafka", kafka]
            # A demo begins with an empty store: it must not go on in the topics of the one before.
            self.environment.setdefault("PATCHLINE_TOPIC_PREFIX", f"demo-{secrets.token_hex(3)}.")
            self.environment.setdefault("PATCHLINE_KAFKA_PARTITIONS", "2")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment
            )

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def said(self) -> str:
        """The end of its log."""
        return f"`patchline up` said:\n{self.log.read_text(errors='replace')[-3000:]}"

    def reports(self, update_id: str) -> Iterable[str]:
        """The files of the reports."""
        return [str(path) for path in sorted((self._state / "reports" / update_id).glob("*.html"))]

    def ledger(self) -> str | None:
        """What ``patchline ledger verify`` says."""
        return self.run("ledger", "verify", "--dir", str(self._state))

    def stop(self) -> None:
        """Stop Patchline gracefully; kill it only if it does not."""
        super().stop()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
