"""Servers beside a command: what was started for it is stopped, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

WITH_NATIVE = Path(__file__).parents[3] / "infra" / "with-native"
SERVER = """#!/usr/bin/env bash
here="$(dirname "$0")" name="$(basename "$0")"
case "$1" in
    status) [[ -e "$here/$name.runs" ]] ;;
    start) touch "$here/$name.runs"; [[ ! -p "$here/$name.hangs" ]] || read -r _ <"$here/$name.hangs" ;;
    stop) rm "$here/$name.runs" ;;
    address) echo "$name:1" ;;
esac
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script, beside servers that only say whether they run."""
    native = tmp_path / "native"
    native.mkdir()
    for name, text in [(each, SERVER) for each in ("kafka", "mongo", "zipkin")] + [("java", ""), ("mvn", "")]:
        (native / name).write_text(text)
        (native / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{native}:{os.environ['PATH']}")
    for name in ("KAFKA", "MONGO", "ZIPKIN"):
        monkeypatch.delenv(f"PATCHLINE_TEST_{name}", raising=False)
    return Path(shutil.copy(WITH_NATIVE, tmp_path))


def test_the_command_knows_the_servers_and_they_are_stopped_after_it(script: Path) -> None:
    ended = subprocess.run(
        [script, "bash", "-c", "echo $PATCHLINE_TEST_KAFKA $PATCHLINE_TEST_MONGO; exit 3"],
        capture_output=True,
        text=True,
    )
    assert (ended.stdout, ended.returncode) == ("kafka:1 mongodb://mongo:1\n", 3)
    assert not list(script.parent.glob("native/*.runs"))


def test_a_server_that_is_just_starting_is_stopped_too(script: Path) -> None:
    hangs = script.parent / "native" / "mongo.hangs"
    os.mkfifo(hangs)
    running = subprocess.Popen([script, "true"], start_new_session=True)
    with hangs.open("w"):  # opens once the start has come to where it hangs
        os.killpg(running.pid, signal.SIGTERM)
        assert running.wait(30) != 0
    assert not list(script.parent.glob("native/*.runs"))
