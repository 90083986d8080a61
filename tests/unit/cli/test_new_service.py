"""A new service is written whole, and only where nothing is; what is wrong is refused by name."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchline_cli.new_service_blueprint import blueprint
from patchline_cli.new_service_files import files, write
from patchline_schemas import event_types

CLASSES = [kind.__name__ for kind in event_types().values()]
LONG = "AnotherVeryLongEventNameOfSomebodysOwn"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def passes(*line: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *line], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def test_it_says_what_it_wrote_and_what_to_do_next(patchline: Any, tmp_path: Path) -> None:
    ended = patchline("new-service", "patch-diary", "--on", "WaveVerified")
    assert ended.code == 0
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert set(ended.out.split()) == written
    assert "Next: cd patch-diary" in ended.err
    assert "-m patch_diary" in ended.err


def test_a_folder_of_ones_own_may_be_there_already_if_it_is_empty(patchline: Any, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert patchline("new-service", "diary", "--on", "WaveVerified", "--dir", "here").code == 0
    assert (tmp_path / "here" / "diary" / "service.py").exists()


def test_nothing_that_is_there_is_overwritten(patchline: Any, tmp_path: Path) -> None:
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "README.md").write_text("mine")
    ended = patchline("new-service", "diary", "--on", "WaveVerified")
    assert (ended.code, ended.out) == (2, "")
    assert "diary is not an empty folder" in ended.err
    assert [path.name for path in (tmp_path / "diary").iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("Diary", "--on", "WaveDue"), "'Diary' cannot be a service's name"),
        (("patch_diary", "--on", "WaveDue"), "'patch_diary' cannot be a service's name"),
        (("x" * 41, "--on", "WaveDue"), "at most 40 characters"),
        (("review", "--on", "WaveDue"), "A service 'review' is installed already"),
        (("json", "--on", "WaveDue"), "'json' is taken"),
        (("class", "--on", "WaveDue"), "'class' is taken"),
        (("jinja2", "--on", "WaveDue"), "'jinja2' is taken"),
        (("diary", "--on", "WaveVerifed"), "Near to it: WaveVerified"),
        (("diary", "--on", "waves.verifed"), "Near to it: waves.verified"),
        (("diary", "--on", "Zzz"), "docs/events.md lists all events"),
        (("diary", "--on", "WaveDue", "--emits", "WaveVerifed"), "Did you mean WaveVerified?"),
        (("diary", "--on", "WaveDue", "--emits", "updates.faild"), "Near to it: updates.failed"),
        (("diary", "--on", "WaveDue", "--emits", "Event"), "the written code uses it"),
        (("diary", "--on", "WaveDue", "--emits", "X" * 41), "is too long"),
        (("diary",), "Missing option '--on'"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    patchline: Any, tmp_path: Path, line: tuple[str, ...], said: str
) -> None:
    ended = patchline("new-service", *line)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert list(tmp_path.iterdir()) == []


def test_an_event_is_named_by_class_topic_or_type() -> None:
    spellings = ["WaveVerified", "waves.verified", "dev.patchline.waves.verified.v1"]
    assert [kind.__name__ for kind in blueprint("diary", spellings, []).handled] == ["WaveVerified"]


def test_a_new_event_has_a_topic_under_the_services_name() -> None:
    [own] = blueprint("patch-diary", ["WaveVerified"], ["PageWritten"]).own
    assert (own.class_name, own.topic) == ("PageWritten", "patch-diary.page-written")


def test_an_event_of_patchline_is_not_published_until_its_author_says_what(
    patchline: Any, tmp_path: Path
) -> None:
    ended = patchline("new-service", "diary", "--on", "UpdateTested", "--emits", "RequestSubmitted")
    assert "Nothing is published until you write in diary/diary/rules.py what, and when." in ended.err
    rules = (tmp_path / "diary" / "diary" / "rules.py").read_text()
    assert "-> RequestSubmitted | None:" in rules
    assert "return None" in rules


def test_it_needs_the_kit_and_the_schemas_only(tmp_path: Path) -> None:
    write(files(blueprint("diary", CLASSES, [*CLASSES, LONG])), tmp_path)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == ["patchline-kit", "patchline-schemas"]
    imported = {
        node.module.partition(".")[0]
        for file in (tmp_path / "diary").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert imported - {"__future__", "datetime"} == {"diary", "patchline_kit", "patchline_schemas"}


def test_its_container_runs_it_on_the_kafka_and_the_network_of_patchlines(tmp_path: Path) -> None:
    write(files(blueprint("diary", ["WaveDue"], [])), tmp_path)
    compose = yaml.safe_load((tmp_path / "compose.yaml").read_text())
    assert compose["services"]["diary"]["environment"]["PATCHLINE_KAFKA"] == "${PATCHLINE_KAFKA:-kafka:9092}"
    assert compose["networks"]["patchline"]["external"] is True
    assert 'CMD ["python", "-m", "diary"]' in (tmp_path / "Dockerfile").read_text()


@pytest.mark.parametrize(
    ("on", "emits"),
    [
        pytest.param(["WaveVerified"], [], id="one event"),
        pytest.param(["WaveVerified"], ["RequestSubmitted", "PageWritten"], id="events of both sorts"),
        pytest.param(CLASSES, [*CLASSES, LONG, "PageWritten"], id="everything"),
    ],
)
def test_what_is_written_is_formatted_and_has_no_findings(
    tmp_path: Path, on: list[str], emits: list[str]
) -> None:
    write(files(blueprint("an-unusually-long-name-of-a-new-service", on, emits)), tmp_path)
    passes("ruff", "check", "--no-cache", ".", folder=tmp_path)
    passes("ruff", "format", "--no-cache", "--check", ".", folder=tmp_path)


def test_what_is_written_is_typed_and_passes_its_own_tests(tmp_path: Path) -> None:
    on = ["WaveVerificationFailed", "WaveRollbackRequested"]
    write(files(blueprint("diary", on, ["RequestSubmitted", LONG, "PageWritten"])), tmp_path)
    passes("mypy", "--no-incremental", ".", folder=tmp_path)
    passes("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", folder=tmp_path)
