"""The table of commands names each command there is, and a command loads no more than its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from patchline_cli.commands import PARTS, Alone, Group


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.names[0])
def test_the_table_names_what_a_module_registers(part: Alone | Group) -> None:
    assert set(part.load()) == set(part.names)


def test_what_a_command_does_not_need_is_not_imported() -> None:
    looks = "import sys; from patchline_cli.main import app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", looks], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "patchline_cli.commands" in loaded
    assert not loaded & {"patchline_cli.updates", "patchline_kit", "patchline_fleet", "patchline_schemas"}


def test_a_command_that_is_not_there_is_told_with_one_that_is_like_it(patchline) -> None:
    ended = patchline("updats")
    assert (ended.code, "Did you mean 'updates'" in ended.err) == (2, True)
