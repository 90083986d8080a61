"""The demo's applications are restarted through a socket by whoever looks after them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from patchline_demo.build import DemoError
from patchline_demo.caretaker import SOCKET, Server
from patchline_demo.packages import rounds


class Application:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def control(self, action: str) -> None:
        self.told.append(action)
        if action == "stop":
            raise DemoError("it does not want to")


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet's folder with one application in it; its name is short, because a socket's path must be."""
    folder = tmp_path_factory.mktemp("f")
    (folder / "apps" / "wiki").mkdir(parents=True)
    with resources.as_file(resources.files("patchline_demo") / "apps" / "ask.py") as source:
        shutil.copy(source, folder / "apps" / "wiki")
    return folder


@pytest.fixture
def wiki(folder: Path) -> Iterator[Application]:
    """The application, looked after."""
    app = Application()
    with Server(folder / SOCKET, {"wiki": app}) as server:  # type: ignore[dict-item]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield app
        server.shutdown()
        thread.join()


def ask(folder: Path, action: str) -> tuple[int, str]:
    """What asking ends with, and what it says."""
    command = [sys.executable, "ask.py", action]
    done = subprocess.run(command, cwd=folder / "apps" / "wiki", capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.strip()


def test_an_application_is_restarted_by_its_caretaker(folder: Path, wiki: Application) -> None:
    assert ask(folder, "restart") == (0, "")
    assert wiki.told == ["restart"]


def test_what_could_not_be_done_is_said_where_it_was_asked(folder: Path, wiki: Application) -> None:
    assert ask(folder, "stop") == (1, "it does not want to")


def test_an_unknown_action_is_refused_with_those_there_are(folder: Path, wiki: Application) -> None:
    code, said = ask(folder, "delete")
    assert code == 1
    assert "restart, start or stop" in said
    assert wiki.told == []


def test_without_a_caretaker_a_restart_fails_and_says_so(folder: Path) -> None:
    code, said = ask(folder, "restart")
    assert code == 1
    assert said.startswith("nobody looks after the applications at")


def test_a_caretaker_takes_the_place_of_one_that_was_killed(folder: Path) -> None:
    Server(folder / SOCKET, {}).server_close()
    assert (folder / SOCKET).exists()
    Server(folder / SOCKET, {}).server_close()


def test_packages_old_and_new_are_fetched_one_version_of_each_at_a_time() -> None:
    names = [[each.partition("==")[0] for each in packages] for packages in rounds()]
    assert all(len(set(each)) == len(each) for each in names)
    every = {each for packages in rounds() for each in packages}
    assert {"requests==2.31.0", "requests==2.32.4", "markupsafe==2.0.1", "idna==3.7"} <= every
