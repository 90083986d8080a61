"""The tutorial works as it is written: its files are saved, its commands typed, its words heard."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from patchline_cli.preflight import free_port

PAGE = (Path(__file__).parents[3] / "docs" / "tutorial-new-service.md").read_text()
BLOCK = re.compile(r"(?P<before>[^\n]*(?:\n[^\n`]+)*)\n\n```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL)
STAYS = re.compile(r"patchline up|python -m patch_diary")
WAIT_SECONDS = 100


class Terminals:
    """A person's terminals: one to type in, and one for each command that stays."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.said = folder / "said.log"
        self._environment = environment
        self._staying: dict[str, subprocess.Popen[bytes]] = {}

    def type(self, line: str) -> None:
        if line.startswith("cd "):
            self.folder /= line.removeprefix("cd ")
        elif STAYS.search(line):
            self._start(line)
        else:
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=self.folder,
                env=self._environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"

    def hear(self, words: str) -> None:
        """Wait until a command that stays says ``words``."""
        wait(lambda: words in self.words, lambda: f"{words!r} unsaid:\n{self.words}")

    @property
    def words(self) -> str:
        """All that was said so far."""
        return self.said.read_text(errors="replace")

    def close(self) -> None:
        for line in reversed(list(self._staying)):
            self._stop(line)

    def _start(self, line: str) -> None:
        self._stop(line)
        with self.said.open("ab") as said:
            self._staying[line] = subprocess.Popen(
                ["bash", "-c", f"exec env {line}"],
                cwd=self.folder,
                env=self._environment,
                stdout=said,
                stderr=said,
            )

    def _stop(self, line: str) -> None:
        """Ctrl-C, where the command runs."""
        if process := self._staying.pop(line, None):
            process.send_signal(signal.SIGINT)
            process.wait(30)


def wait(condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.mark.timeout(300)
def test_the_tutorial_works_as_written(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PATCHLINE_PORT": str(port),
        "PATCHLINE_URL": f"http://127.0.0.1:{port}",
        "PATCHLINE_LOG_FORMAT": "text",
        "NO_COLOR": "1",
    }
    terminals = Terminals(tmp_path, environment)
    try:
        for block in BLOCK.finditer(PAGE):
            name = re.findall(r"[Ss]ave as `([^`]+)`", block["before"])
            if block["kind"] == "text":
                for words in block["text"].splitlines():
                    terminals.hear(words)
            elif name:
                (terminals.folder / name[-1]).write_text(block["text"])
            else:
                assert block["kind"] == "sh", block[0]
                for line in block["text"].splitlines():
                    terminals.type(line)
                if "patchline up" in block["text"]:
                    wait(lambda: answers(environment["PATCHLINE_URL"]), lambda: terminals.words)
    finally:
        terminals.close()
    assert len(list(BLOCK.finditer(PAGE))) >= 14
