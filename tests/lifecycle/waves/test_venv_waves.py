"""One wave over real virtual environments: what is said is held against what the environments say."""

import asyncio
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from uv import find_uv_bin
from wave_doubles import order

from patchline_schemas.fleet import BackupRules, CommandCheck, Restart, Target
from patchline_schemas.updates import UpdateTested, UpdateTestFailed
from patchline_schemas.waves import (
    WaveBackedUp,
    WaveDeployed,
    WaveRollbackVerified,
    WaveRolledBack,
    WaveVerificationFailed,
    WaveVerified,
)

IDNA, OLD, NEW = "pkg:pypi/idna", "3.6", "3.7"
SOAK = timedelta(seconds=30)
PROGRAM = """\
import pathlib, sys
import idna

name = pathlib.Path("config/name.txt").read_text().strip()
assert idna.encode(name).isascii()
if "forbidden" in pathlib.Path("data/rows.txt").read_text() and idna.__version__ != "3.6":
    sys.exit("RuntimeError: the row 'forbidden' cannot be shown with this version")
"""


@pytest.fixture
def app(tmp_path: Path) -> Target:
    """A small application with an old idna, its configuration and its data."""
    folder = tmp_path / "apps" / "names"
    for name, text in {
        "app.py": PROGRAM,
        "config/name.txt": "straße.example",
        "data/rows.txt": "first\n",
        "restart.sh": "#!/bin/sh\ndate >> restarted\n",
    }.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "restart.sh").chmod(0o755)
    uv = find_uv_bin()
    subprocess.run([uv, "venv", "-q", str(folder / ".venv")], check=True)
    python = str(folder / ".venv/bin/python")
    subprocess.run([uv, "pip", "install", "-q", "--python", python, f"idna=={OLD}"], check=True)
    return Target(
        id="names",
        group="intranet",
        driver="venv",
        path=str(folder),
        checks=(CommandCheck(command=(".venv/bin/python", "app.py")),),
        restart=Restart(command=("./restart.sh",)),
        backup=BackupRules(paths=("config", "data"), restore=("config",)),
    )


async def installed(app: Target) -> str:
    process = await asyncio.create_subprocess_exec(
        f"{app.path}/.venv/bin/python",
        "-c",
        "from importlib.metadata import version; print(version('idna'))",
        stdout=subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return out.decode().strip()


def content(app: Target, name: str) -> str:
    return Path(app.path, name).read_text()


def write(app: Target, name: str, text: str) -> None:
    Path(app.path, name).write_text(text)


def wave(**changes):
    return order(component=IDNA, version=NEW, restart_required=True, **changes)


async def test_an_update_is_tested_backed_up_deployed_and_verified(waves, app):
    await waves.register(app)
    await waves.plan("names", component=IDNA, version=NEW, old=OLD)
    (tested,) = waves.harness.published(UpdateTested)
    assert {stage.name for stage in tested.environments[0].stages} >= {
        "apply",
        "dependency consistency",
        "imports",
        ".venv/bin/python app.py",
    }
    assert await installed(app) == OLD, "a test touches no real target"
    await waves.due(wave(), "names", old=OLD)
    (backup,) = waves.said(WaveBackedUp).backups
    assert backup.packages_total >= 1
    (result,) = waves.said(WaveDeployed).results
    assert (result.outcome, result.from_version, result.to_version, result.restarted) == (
        "succeeded",
        OLD,
        NEW,
        True,
    )
    assert await installed(app) == NEW
    assert content(app, "restarted")
    await waves.harness.advance(SOAK)
    (verified,) = waves.said(WaveVerified).results
    assert verified.to_version == NEW
    assert verified.checks[0].passed
    assert not list(Path(app.path).parents[1].glob("state/work/*"))


async def test_a_wave_that_fails_in_its_soak_goes_back_and_keeps_rows_written_meanwhile(waves, app):
    await waves.register(app)
    await waves.due(wave(), "names", old=OLD)
    assert await installed(app) == NEW
    write(app, "data/rows.txt", "first\nforbidden\n")
    write(app, "config/name.txt", "changed.example")
    await waves.harness.advance(SOAK)
    failed = waves.said(WaveVerificationFailed)
    assert failed.during_soak
    assert "the row 'forbidden' cannot be shown" in failed.error
    await waves.go_back(failed.error)
    (result,) = waves.said(WaveRolledBack).results
    assert (result.outcome, result.to_version) == ("rolled-back", OLD)
    assert any("kept" in note for note in result.notes)
    assert await installed(app) == OLD
    assert content(app, "config/name.txt") == "straße.example"
    assert content(app, "data/rows.txt") == "first\nforbidden\n"
    assert waves.said(WaveRollbackVerified).results[0].checks[0].passed


async def test_a_version_that_does_not_exist_fails_the_test_in_the_tools_own_words(waves, app):
    await waves.register(app)
    await waves.plan("names", component=IDNA, version="3.999", old=OLD)
    (failed,) = waves.harness.published(UpdateTestFailed)
    assert "idna==3.999" in failed.error
    assert await installed(app) == OLD


async def test_a_target_whose_environment_is_missing_cannot_be_tested(waves, app):
    await waves.register(app.model_copy(update={"venv": f"{app.path}/.gone"}))
    await waves.plan("names", component=IDNA, version=NEW, old=OLD)
    (failed,) = waves.harness.published(UpdateTestFailed)
    assert ".gone" in failed.error
