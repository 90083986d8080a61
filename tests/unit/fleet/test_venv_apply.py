"""Updates of real environments: what is broken, what was cut off, who holds the lock, what is restarted."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from driver_worlds import IDNA, LIMIT, NEW, OLD, VenvWorld, broken_rules, uv

from patchline_fleet.driver import Applied, Busy, DriverError, NotEnoughSpace, Unreachable
from patchline_fleet.venv_app import install
from patchline_fleet.venv_app.lock import exclusive, shared_in_loop
from patchline_schemas.fleet import CommandCheck, HttpCheck, Restart, Target


def site(target: Target) -> Path:
    (found,) = Path(target.path or "").glob(".venv/lib/python*/site-packages")
    return found


async def apply(apps: VenvWorld, target: Target, version: str = NEW[IDNA], **more: object) -> Applied:
    options = {"restart": False, "fence": 1, "timeout": LIMIT, **more}
    return await apps.driver.apply(target, IDNA, version, **options)  # type: ignore[arg-type]


async def versions(apps: VenvWorld, target: Target) -> dict[str, str]:
    found = await apps.driver.inventory(target, timeout=LIMIT)
    return {each.component: each.version for each in found.packages}


def with_restart(target: Target, script: str, **more: object) -> Target:
    command = Restart(command=("sh", "-c", script), **more)  # type: ignore[arg-type]
    return target.model_copy(update={"restart": command})


def is_running(pid: int) -> bool:
    try:
        return "zombie" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - other processes meet it
            await asyncio.sleep(0.02)


def without_environment(target: Target) -> None:
    shutil.rmtree(Path(target.path or "") / ".venv")


def without_interpreter(target: Target) -> None:
    python = Path(target.path or "") / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")


def with_interpreter_that_fails(target: Target) -> None:
    python = Path(target.path or "") / ".venv" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\necho my libraries are gone >&2; exit 127\n")
    python.chmod(0o755)


def with_two_versions(target: Target) -> None:
    shutil.copytree(site(target) / "idna-3.6.dist-info", site(target) / "idna-3.5.dist-info")
    metadata = site(target) / "idna-3.5.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 3.6", "Version: 3.5"))


def with_nameless_metadata(target: Target) -> None:
    (site(target) / "half-1.0.dist-info").mkdir()


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (without_environment, Unreachable, "is not there"),
        (without_interpreter, Unreachable, "interpreter .* is not there .it leads to /nowhere/python3"),
        (with_interpreter_that_fails, DriverError, "ended with 127: my libraries are gone"),
        (with_two_versions, DriverError, "two versions of idna"),
        (with_nameless_metadata, DriverError, "half-1.0.dist-info says no name"),
    ],
)
async def test_a_missing_or_broken_environment_is_told_in_clear_words(
    apps: VenvWorld, damage: Callable[[Target], None], kind: type[DriverError], words: str
) -> None:
    target = apps.target()
    damage(target)
    with pytest.raises(kind, match=words):
        await apps.driver.inventory(target, timeout=LIMIT)


async def test_a_component_of_another_ecosystem_is_refused(apps: VenvWorld) -> None:
    with pytest.raises(DriverError, match=r"pkg:pypi/\.\.\. packages only, not pkg:npm/left-pad"):
        await apps.driver.precheck(apps.target(), "pkg:npm/left-pad", "1.0", timeout=LIMIT)


async def test_a_restart_that_fails_fails_the_update_and_is_done_again(apps: VenvWorld) -> None:
    target = with_restart(apps.target(), "test -e ready || { echo not ready; exit 3; }")
    with pytest.raises(DriverError, match="ended with 3: not ready"):
        await apply(apps, target, restart=True)
    (Path(target.path or "") / "ready").touch()
    again = await apply(apps, target, restart=True)
    assert (again.already, again.restarted) == (False, True)
    assert broken_rules(apps.log(target)) == []


async def test_a_restart_that_hangs_is_stopped_within_its_own_limit(apps: VenvWorld) -> None:
    target = with_restart(apps.target(), "sleep 60", timeout=timedelta(seconds=1))
    with pytest.raises(DriverError, match="did not end within 1 s"):
        await apply(apps, target, restart=True)


async def test_a_program_that_the_restart_leaves_running_stays_and_holds_nothing_up(apps: VenvWorld) -> None:
    target = with_restart(apps.target(), "sleep 300 & echo $! > pid")
    await apply(apps, target, restart=True)
    pid = int((Path(target.path or "") / "pid").read_text())
    try:
        assert is_running(pid)
        assert (await apply(apps, target, restart=True)).already, "the lock is free although it runs"
    finally:
        os.kill(pid, signal.SIGKILL)


async def test_a_check_that_hangs_is_a_failing_result_and_takes_its_children_along(apps: VenvWorld) -> None:
    target = apps.target()
    check = CommandCheck(
        command=("sh", "-c", "sleep 300 & echo $! > pid; wait"), timeout=timedelta(seconds=1)
    )
    result = await apps.driver.check(target, check, timeout=LIMIT)
    assert not result.passed
    assert "did not end within 1 s" in result.output
    pid = int((Path(target.path or "") / "pid").read_text())
    await until(lambda: not is_running(pid))


async def test_a_check_that_cannot_be_run_is_a_failing_result(apps: VenvWorld) -> None:
    result = await apps.driver.check(apps.target(), CommandCheck(command=("./nothing",)), timeout=LIMIT)
    assert not result.passed
    assert "cannot be run: No such file" in result.output


async def test_a_check_does_not_see_our_secrets(apps: VenvWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHLINE_TOKEN", "hunter2")
    monkeypatch.setenv("PYTHONPATH", "/astray")
    result = await apps.driver.check(apps.target(), CommandCheck(command=("env",)), timeout=LIMIT)
    assert result.passed
    assert "hunter2" not in result.output
    assert "astray" not in result.output


async def serve_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = await reader.readuntil(b"\r\n\r\n")
    status = b"200 OK" if b" /health " in request else b"503 Service Unavailable"
    writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 4\r\nConnection: close\r\n\r\nsaid")
    await writer.drain()
    writer.close()


async def test_an_http_check_passes_with_a_2xx_answer_only(apps: VenvWorld) -> None:
    target = apps.target()
    async with await asyncio.start_server(serve_once, "127.0.0.1", 0) as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        well = await apps.driver.check(target, HttpCheck(http=f"{address}/health"), timeout=LIMIT)
        ill = await apps.driver.check(target, HttpCheck(http=f"{address}/other"), timeout=LIMIT)
    assert (well.passed, ill.passed) == (True, False)
    assert "503" in ill.output
    gone = await apps.driver.check(target, HttpCheck(http=f"{address}/health"), timeout=LIMIT)
    assert "no answer" in gone.output


async def cut_off(apps: VenvWorld, target: Target) -> None:
    """An update whose worker was killed after uv had done its work."""
    hanging = with_restart(target, "touch installed; sleep 60")
    task = asyncio.create_task(apply(apps, hanging, restart=True))
    await until((Path(target.path or "") / "installed").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_target_whose_update_was_cut_off_is_busy_until_that_is_put_right(
    apps: VenvWorld, tmp_path: Path
) -> None:
    target = apps.target()
    await apps.driver.backup(target, tmp_path / "backup", timeout=LIMIT)
    await cut_off(apps, target)
    for asked in (
        apps.driver.inventory(target, timeout=LIMIT),
        apps.driver.check(target, apps.check(passing=True), timeout=LIMIT),
        apps.driver.backup(target, tmp_path / "other", timeout=LIMIT),
    ):
        with pytest.raises(Busy, match=r"the apply of pkg:pypi/idna 3.7 on .* was cut off"):
            await asked
    rolled_back = await apps.driver.rollback(
        target, tmp_path / "backup", IDNA, NEW[IDNA], restart=False, fence=1, timeout=LIMIT
    )
    assert rolled_back.after == OLD[IDNA]
    assert await versions(apps, target) == OLD


def lose_record(target: Target) -> None:
    (site(target) / "idna-3.7.dist-info" / "RECORD").unlink()


def lose_half_the_files(target: Target) -> None:
    (site(target) / "idna" / "core.py").unlink()


def truncate_a_file(target: Target) -> None:
    path = site(target) / "idna" / "core.py"
    content = path.read_bytes()[:100]
    path.unlink()
    path.write_bytes(content)


def lose_the_metadata(target: Target) -> None:
    shutil.rmtree(site(target) / "idna-3.7.dist-info")


def lose_the_package(target: Target) -> None:
    shutil.rmtree(site(target) / "idna-3.7.dist-info")
    shutil.rmtree(site(target) / "idna")


def keep_the_old_metadata(target: Target) -> None:
    shutil.copytree(site(target) / "idna-3.7.dist-info", site(target) / "idna-3.6.dist-info")
    metadata = site(target) / "idna-3.6.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 3.7", "Version: 3.6"))


def lose_another_package(target: Target) -> None:
    shutil.rmtree(site(target) / "six-1.15.0.dist-info")
    (site(target) / "six.py").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        lose_record,
        lose_half_the_files,
        truncate_a_file,
        lose_the_metadata,
        lose_the_package,
        keep_the_old_metadata,
        lose_another_package,
    ],
)
async def test_an_update_cut_off_half_way_is_made_whole_by_applying_it_again(
    apps: VenvWorld, damage: Callable[[Target], None]
) -> None:
    target = apps.target()
    await cut_off(apps, target)
    damage(target)
    applied = await apply(apps, target, fence=2)
    assert (applied.before, applied.after, applied.already) == (OLD[IDNA], NEW[IDNA], False)
    assert await versions(apps, target) == {**OLD, IDNA: NEW[IDNA]}
    uv("pip", "check", "--python", ".venv", cwd=Path(target.path or ""))
    check = CommandCheck(command=(".venv/bin/python", "-c", "import idna, idna.core, six"))
    assert (await apps.driver.check(target, check, timeout=LIMIT)).passed
    assert broken_rules(apps.log(target)) == []


@pytest.mark.parametrize("was_cut_off", [False, True])
async def test_what_somebody_changed_in_another_package_stays(apps: VenvWorld, was_cut_off: bool) -> None:
    target = apps.target()
    with (site(target) / "six.py").open("a") as file:
        file.write("HOTFIX = True\n")
    if was_cut_off:
        await cut_off(apps, target)
        lose_half_the_files(target)
    await apply(apps, target, fence=2)
    assert await versions(apps, target) == {**OLD, IDNA: NEW[IDNA]}
    assert (site(target) / "six.py").read_text().endswith("HOTFIX = True\n")


APPLY_AND_HANG = """
import asyncio, sys
from datetime import timedelta
from patchline_fleet.venv_app.driver import VenvDriver
from patchline_schemas.fleet import Restart, Target

target = Target(id="app", group="g", driver="venv", path=sys.argv[1],
                restart=Restart(command=("sh", "-c", "echo $PPID $$ > pids; sleep 300")))
asyncio.run(VenvDriver().apply(target, "pkg:pypi/idna", "3.7", restart=True, fence=1,
                               timeout=timedelta(seconds=200), scope="run"))
"""


async def test_all_that_works_on_a_target_dies_with_a_killed_patchline(apps: VenvWorld) -> None:
    target = apps.target()
    folder = Path(target.path or "")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", APPLY_AND_HANG, str(folder))
    await until(lambda: (folder / "pids").exists() and len((folder / "pids").read_text().split()) == 2)
    worker, tool = (int(pid) for pid in (folder / "pids").read_text().split())
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: not is_running(worker) and not is_running(tool))
    assert (await apply(apps, target, fence=2, scope="run")).after == NEW[IDNA]
    assert broken_rules(apps.log(target)) == []


async def test_a_killed_worker_takes_its_tool_along(apps: VenvWorld) -> None:
    target = with_restart(apps.target(), "echo $PPID $$ > pids; sleep 300")
    folder = Path(target.path or "")
    task = asyncio.create_task(apply(apps, target, restart=True))
    await until(lambda: (folder / "pids").exists() and len((folder / "pids").read_text().split()) == 2)
    worker, tool = (int(pid) for pid in (folder / "pids").read_text().split())
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(DriverError, match="ended unexpectedly"):
        await task
    await until(lambda: not is_running(tool))


async def test_looking_waits_for_a_change_and_gives_up_after_its_limit(tmp_path: Path) -> None:
    with exclusive(tmp_path, wait=1):
        with pytest.raises(Busy, match="another change holds"):
            async with shared_in_loop(tmp_path, wait=0.2):
                pass
        with pytest.raises(Busy, match="another change holds"), exclusive(tmp_path, wait=0.2):
            pass
    async with shared_in_loop(tmp_path, wait=0.2):
        pass


def test_a_full_disk_is_told_apart_by_the_tools_words() -> None:
    words = "error: failed to write: No space left on device (os error 28)"
    assert isinstance(install.tool_failure("uv", words), NotEnoughSpace)
    assert not isinstance(install.tool_failure("uv", "error: other"), NotEnoughSpace)
