"""Updates tried in a copy: what only an import shows, and that the original is not touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from driver_worlds import IDNA, LIMIT, NEW, VenvWorld, build_environment, uv

from patchline_fleet.driver import StageOutput
from patchline_fleet.venv_app.driver import VenvDriver
from patchline_fleet.venv_app.imports import modules_of_application
from patchline_schemas.fleet import CommandCheck, HttpCheck, Target

PYTHON = ".venv/bin/python"


def by_name(stages: tuple[StageOutput, ...]) -> dict[str, StageOutput]:
    return {stage.name: stage for stage in stages}


def with_checks(target: Target, *checks: CommandCheck | HttpCheck) -> Target:
    return target.model_copy(update={"checks": checks})


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {"__pycache__", ".patchline"} & set(path.parts)
    }


async def test_a_break_that_only_importing_shows_is_found(tmp_path: Path) -> None:
    base = build_environment(tmp_path / "base" / ".venv", ["jinja2==2.11.3", "markupsafe==2.0.1"])
    apps = VenvWorld(tmp_path / "apps", base, VenvDriver())
    target = with_checks(apps.target(), CommandCheck(command=(PYTHON, "page.py")))
    folder = Path(target.path or "")
    (folder / "page.py").write_text("import jinja2\nTEMPLATE = jinja2.Template('x')\n")
    before = content(folder)
    rehearsal = await apps.driver.rehearse(
        target, "pkg:pypi/markupsafe", "2.1.5", tmp_path / "copy", timeout=LIMIT
    )
    assert all(stage.passed for stage in (*rehearsal.before, rehearsal.apply))
    after = by_name(rehearsal.after)
    assert after["dependency consistency"].passed
    assert not after["imports"].passed
    assert "jinja2: ImportError: cannot import name 'soft_unicode'" in after["imports"].output
    assert "page: ImportError" in after["imports"].output
    assert f"{folder}/.venv/lib/" in after["imports"].output
    assert str(tmp_path / "copy") not in after["imports"].output
    assert not after[f"{PYTHON} page.py"].passed
    assert content(folder) == before


async def test_what_did_not_work_before_is_not_blamed_on_the_update(apps: VenvWorld, tmp_path: Path) -> None:
    target = apps.target()
    (Path(target.path or "") / "stale.py").write_text("import no_such_module\n")
    rehearsal = await apps.driver.rehearse(target, IDNA, NEW[IDNA], tmp_path / "copy", timeout=LIMIT)
    before, after = by_name(rehearsal.before), by_name(rehearsal.after)
    assert (before["imports"].passed, after["imports"].passed) == (True, True)
    assert "stale: ModuleNotFoundError" in before["imports"].output


async def test_nothing_is_installed_anew_for_being_in_a_copy(apps: VenvWorld, tmp_path: Path) -> None:
    target = apps.target()
    with_a_script = "charset-normalizer==3.3.2"
    uv("pip", "install", "--python", ".venv", with_a_script, cwd=Path(target.path or ""))
    rehearsal = await apps.driver.rehearse(target, IDNA, NEW[IDNA], tmp_path / "copy", timeout=LIMIT)
    assert "idna==3.7" in rehearsal.apply.output
    assert "charset-normalizer" not in rehearsal.apply.output


async def test_a_module_that_takes_the_interpreter_down_is_named(apps: VenvWorld, tmp_path: Path) -> None:
    target = apps.target()
    folder = Path(target.path or "")
    (folder / "crash.py").write_text(
        "import os\nfrom importlib.metadata import version\nif version('idna') != '3.6':\n    os._exit(9)\n"
    )
    rehearsal = await apps.driver.rehearse(target, IDNA, NEW[IDNA], tmp_path / "copy", timeout=LIMIT)
    imports = by_name(rehearsal.after)["imports"]
    assert not imports.passed
    assert "crash: the interpreter ended with 9" in imports.output


async def test_checks_run_in_the_copy_and_can_tell(apps: VenvWorld, tmp_path: Path) -> None:
    target = apps.target()
    folder = Path(target.path or "")
    script = "import os, pathlib; pathlib.Path('data/mark').touch(); print(os.getcwd(), os.environ['{}'])"
    here = CommandCheck(command=(PYTHON, "-c", script.format("PATCHLINE_REHEARSAL")))
    absolute = CommandCheck(command=(f"{folder}/{PYTHON}", "-c", "import sys; print(sys.prefix)"))
    live = HttpCheck(http="http://127.0.0.1:1/health")
    rehearsal = await apps.driver.rehearse(
        with_checks(target, here, absolute, live), IDNA, NEW[IDNA], tmp_path / "copy", timeout=LIMIT
    )
    _, _, in_copy, by_path, over_http = rehearsal.after
    assert in_copy.output == f"{tmp_path / 'copy' / 'app'} 1"
    assert by_path.output == str(tmp_path / "copy" / "app" / ".venv")
    assert over_http.not_run
    assert not (folder / "data" / "mark").exists()


async def test_an_environment_beside_the_application_is_copied_too(apps: VenvWorld, tmp_path: Path) -> None:
    target = apps.target()
    folder = Path(target.path or "")
    (folder / ".venv").rename(tmp_path / "elsewhere")
    target = with_checks(
        target.model_copy(update={"venv": str(tmp_path / "elsewhere")}),
        CommandCheck(command=(str(tmp_path / "elsewhere/bin/python"), "-c", "import sys; print(sys.prefix)")),
    )
    rehearsal = await apps.driver.rehearse(target, IDNA, NEW[IDNA], tmp_path / "copy", timeout=LIMIT)
    assert rehearsal.after[-1].output == str(tmp_path / "copy" / "environment")


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("'''Says something.'''\nimport os\nX = os.sep\ndef f(): ...\n", True),
        ("def f(): ...\nif __name__ == '__main__':\n    f()\n", True),
        ("import http.server\nhttp.server.main()\n", False),
        ("while True:\n    pass\n", False),
        ("this is no Python\n", False),
    ],
)
def test_an_application_module_is_imported_only_if_that_runs_nothing(
    tmp_path: Path, source: str, imported: bool
) -> None:
    (tmp_path / "page.py").write_text(source)
    assert modules_of_application(tmp_path, without=[]) == (["page"] if imported else [])
