"""Many updates on servers of their own, while everything is killed, frozen, cut off and put wrong.

``make chaos SEED=... UPDATES=...`` repeats a run or makes it longer; `docs/chaos.md` says what is proven.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.progress import Plan, Progress

SUPPORT = Path(__file__).parents[1] / "support"
SEED = os.environ.get("CHAOS_SEED", "1")


@pytest.mark.native
@pytest.mark.timeout(900)
def test_every_update_ends_as_it_would_have_whatever_is_done_to_the_stack_and_to_the_run(tmp_path: Path):
    folder = tmp_path / "run"
    short = ("--seed", SEED, "--updates", "8", "--pace", "2", "--decks", "1")
    code, lines = _chaos(*short, "--dir", str(folder), end_at="kill everything:")
    assert (code, lines[-1]) == (130, f"ended in its midst; it goes on with:  make chaos DIR={folder}")
    code, lines = _chaos("--dir", str(folder))
    assert code == 0
    _is_sound(lines, updates=8)
    assert not folder.exists()


@pytest.mark.native
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_same_with_more_updates_and_mischief_to_their_end():
    code, lines = _chaos("--seed", SEED, "--updates", "150", "--pace", "4")
    assert code == 0
    _is_sound(lines, updates=150)


def test_a_run_that_goes_on_has_its_seed_and_its_updates(tmp_path: Path):
    Progress(tmp_path, Plan(seed=1, updates=8)).save()
    code, lines = _chaos("--dir", str(tmp_path), "--updates", "9")
    assert code == 2
    assert "has its seed and its updates" in lines[-1]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("years of work")
    code, lines = _chaos("--dir", str(tmp_path))
    assert code == 2
    assert "holds no run of chaos" in lines[-1]


def _is_sound(lines: list[str], *, updates: int) -> None:
    counts = dict(count.rsplit(" ", 1) for count in lines[-1].split(", "))
    assert int(counts.pop("kills")) >= 20
    assert counts == {"updates": str(updates), "lost": "0", "twice": "0", "out of window": "0", "stale": "0"}


def _chaos(*arguments: str, end_at: str | None = None) -> tuple[int, list[str]]:
    """The exit code of a run and what it prints; it is told to end when ``end_at`` is in a line."""
    command = [sys.executable, "-m", "chaos", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(SUPPORT)}
    lines: list[str] = []
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as run:
        try:
            assert run.stdout
            for line in run.stdout:
                print(line, end="")
                lines.append(line.rstrip())
                if end_at is not None and end_at in line:
                    run.terminate()
        except BaseException:
            run.terminate()
            raise
    return run.returncode, lines
