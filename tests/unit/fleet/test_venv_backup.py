"""Backups of real environments, and the way back: exact, and no further than the update went."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from driver_worlds import IDNA, LIMIT, NEW, OLD, VenvWorld, build_environment

from patchline_fleet.driver import Applied, DriverError
from patchline_fleet.venv_app.driver import VenvDriver
from patchline_schemas.fleet import BackupRules, Restart, Target

TABULATE = "pkg:pypi/tabulate"


def folder_of(target: Target) -> Path:
    return Path(target.path or "")


def content(folder: Path) -> dict[str, bytes]:
    """Every file of an environment's packages and scripts."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


async def back_up(apps: VenvWorld, target: Target, tmp_path: Path) -> Path:
    await apps.driver.backup(target, tmp_path / "backup", timeout=LIMIT)
    return tmp_path / "backup"


async def apply(apps: VenvWorld, target: Target, component: str = IDNA, version: str = NEW[IDNA]) -> Applied:
    return await apps.driver.apply(target, component, version, restart=False, fence=1, timeout=LIMIT)


async def roll_back(
    apps: VenvWorld, target: Target, backup: Path, component: str = IDNA, version: str = NEW[IDNA]
) -> Applied:
    return await apps.driver.rollback(
        target, backup, component, version, restart=False, fence=1, timeout=LIMIT
    )


async def restore(apps: VenvWorld, target: Target, backup: Path, scratch: Path) -> list[str]:
    return list(await apps.driver.restore_to_scratch(target, backup, scratch, timeout=LIMIT))


def with_rules(target: Target, *paths: str, restore: tuple[str, ...] = ()) -> Target:
    return target.model_copy(update={"backup": BackupRules(paths=paths, restore=restore)})


async def test_the_way_back_is_exact_to_the_byte_with_scripts_and_metadata(tmp_path: Path) -> None:
    base = build_environment(tmp_path / "base" / ".venv", ["tabulate==0.8.9"])
    apps = VenvWorld(tmp_path / "apps", base, VenvDriver())
    target = apps.target()
    before = content(folder_of(target) / ".venv")
    assert ".venv/bin/tabulate".removeprefix(".venv/") in before, "this package brings a script"
    backup = await back_up(apps, target, tmp_path)
    assert await restore(apps, target, backup, tmp_path / "scratch") == []
    applied = await apply(apps, target, TABULATE, "0.9.0")
    assert applied.after == "0.9.0"
    assert content(folder_of(target) / ".venv") != before
    await roll_back(apps, target, backup, TABULATE, "0.9.0")
    assert content(folder_of(target) / ".venv") == before


async def test_configuration_comes_back_and_what_it_replaces_is_kept_aside(
    apps: VenvWorld, tmp_path: Path
) -> None:
    target = apps.target()
    folder = folder_of(target)
    backup = await back_up(apps, target, tmp_path)
    await apply(apps, target)
    (folder / "config" / "app.toml").write_text("a = 2\n")
    (folder / "config" / "new.toml").write_text("b = 1\n")
    (folder / "data" / "rows.txt").write_text("first\nsecond\n")
    rolled_back = await roll_back(apps, target, backup)
    assert (folder / "config" / "app.toml").read_text() == "a = 1\n"
    assert not (folder / "config" / "new.toml").exists()
    assert (folder / "data" / "rows.txt").read_text() == "first\nsecond\n", "data stays by default"
    (note,) = rolled_back.notes
    aside = Path(note.rpartition(" in ")[2])
    assert (aside / "config" / "app.toml").read_text() == "a = 2\n"
    assert (aside / "config" / "new.toml").read_text() == "b = 1\n"


async def test_data_comes_back_only_where_the_target_says_so(apps: VenvWorld, tmp_path: Path) -> None:
    target = with_rules(apps.target(), "config", "data", restore=("config", "data"))
    rows = folder_of(target) / "data" / "rows.txt"
    backup = await back_up(apps, target, tmp_path)
    await apply(apps, target)
    rows.write_text("first\nsecond\n")
    rolled_back = await roll_back(apps, target, backup)
    assert rows.read_text() == "first\n"
    (note,) = rolled_back.notes
    assert note.startswith("what the rollback replaced (data) was kept aside in ")
    assert (Path(note.rpartition(" in ")[2]) / "data" / "rows.txt").read_text() == "first\nsecond\n"


async def test_configuration_that_somebody_changed_after_a_later_update_is_left(
    apps: VenvWorld, tmp_path: Path
) -> None:
    target = apps.target()
    config = folder_of(target) / "config" / "app.toml"
    backup = await back_up(apps, target, tmp_path)
    await apply(apps, target)
    await apply(apps, target, "pkg:pypi/six", "1.16.0")
    config.write_text("a = 2\n")
    rolled_back = await roll_back(apps, target, backup)
    assert config.read_text() == "a = 2\n"
    assert "config was changed since and was left as it is" in rolled_back.notes


async def test_a_package_that_was_changed_again_is_left_and_told(apps: VenvWorld, tmp_path: Path) -> None:
    target = apps.target()
    backup = await back_up(apps, target, tmp_path)
    await apply(apps, target, IDNA, "3.7")
    await apply(apps, target, IDNA, "3.10")
    rolled_back = await roll_back(apps, target, backup, IDNA, "3.7")
    assert rolled_back.after == "3.10"
    assert "idna was changed since (now 3.10) and was left as it is" in rolled_back.notes


async def test_an_update_that_failed_is_taken_back_wholly(apps: VenvWorld, tmp_path: Path) -> None:
    target = apps.target().model_copy(update={"restart": Restart(command=("false",))})
    backup = await back_up(apps, target, tmp_path)
    with pytest.raises(DriverError, match="the restart command `false` ended with 1"):
        await apps.driver.apply(target, IDNA, NEW[IDNA], restart=True, fence=1, timeout=LIMIT)
    rolled_back = await roll_back(apps, target, backup)
    assert (rolled_back.before, rolled_back.after) == (NEW[IDNA], OLD[IDNA])


async def test_a_rollback_cut_off_is_finished_by_the_next(apps: VenvWorld, tmp_path: Path) -> None:
    target = apps.target()
    folder = folder_of(target)
    before = content(folder / ".venv")
    backup = await back_up(apps, target, tmp_path)
    await apply(apps, target)
    (folder / "config" / "app.toml").write_text("a = 2\n")
    hanging = target.model_copy(update={"restart": Restart(command=("sh", "-c", "touch begun; sleep 60"))})
    task = asyncio.create_task(
        apps.driver.rollback(hanging, backup, IDNA, NEW[IDNA], restart=True, fence=1, timeout=LIMIT)
    )
    async with asyncio.timeout(30):
        while not (folder / "begun").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (site,) = folder.glob(".venv/lib/python*/site-packages")
    (site / "idna" / "core.py").unlink()
    (site / "idna-3.6.dist-info" / "RECORD").unlink()
    rolled_back = await roll_back(apps, target, backup)
    assert (rolled_back.before, rolled_back.after, rolled_back.already) == (NEW[IDNA], OLD[IDNA], False)
    assert content(folder / ".venv") == before
    assert any("kept aside" in note for note in rolled_back.notes), "also what the first try kept aside"


async def test_a_backup_that_lost_or_changed_something_is_not_whole(apps: VenvWorld, tmp_path: Path) -> None:
    target = apps.target()
    backup = await back_up(apps, target, tmp_path)
    (backup / "site-packages" / "idna" / "core.py").write_text("changed")
    shutil.rmtree(backup / "site-packages" / "six-1.15.0.dist-info")
    (backup / "files" / "config" / "app.toml").write_text("changed")
    assert await restore(apps, target, backup, tmp_path / "scratch") == [
        "the files of idna 3.6 are not as they were backed up",
        "six 1.15.0 is missing",
        "config does not come back as it was backed up",
    ]


async def test_a_backup_path_that_is_not_there_is_refused_by_name(apps: VenvWorld, tmp_path: Path) -> None:
    target = with_rules(apps.target(), "confg")
    with pytest.raises(DriverError, match="the backup path 'confg' is not in"):
        await back_up(apps, target, tmp_path)


@pytest.mark.parametrize("path", ["../other", "."])
async def test_a_backup_path_that_leads_out_is_refused(apps: VenvWorld, tmp_path: Path, path: str) -> None:
    with pytest.raises(DriverError, match="leads out of"):
        await back_up(apps, with_rules(apps.target(), path), tmp_path)


@pytest.fixture
def live_database(apps: VenvWorld) -> Iterator[tuple[Target, sqlite3.Connection]]:
    target = with_rules(apps.target(), "config", "data", restore=("config", "data"))
    path = folder_of(target) / "data" / "rows.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE rows (n INTEGER)")
        live.execute("INSERT INTO rows VALUES (1)")
        yield target, live


def rows(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT n FROM rows ORDER BY n")]


async def test_a_database_is_copied_as_one_consistent_state_while_it_is_written(
    apps: VenvWorld, live_database: tuple[Target, sqlite3.Connection], tmp_path: Path
) -> None:
    target, live = live_database
    live.execute("BEGIN")
    live.execute("INSERT INTO rows VALUES (2)")
    backup = await back_up(apps, target, tmp_path)
    live.execute("COMMIT")
    kept = backup / "files" / "data"
    assert sorted(path.name for path in kept.iterdir()) == ["rows.db", "rows.txt"], "no half a journal"
    assert await restore(apps, target, backup, tmp_path / "scratch") == []
    assert rows(kept / "rows.db") == [1]
    assert rows(folder_of(target) / "data" / "rows.db") == [1, 2]


async def test_a_database_that_comes_back_is_not_mixed_with_the_newer_journal(
    apps: VenvWorld, live_database: tuple[Target, sqlite3.Connection], tmp_path: Path
) -> None:
    target, live = live_database
    backup = await back_up(apps, target, tmp_path)
    await apply(apps, target)
    live.execute("INSERT INTO rows VALUES (2)")
    rolled_back = await roll_back(apps, target, backup)
    assert rows(folder_of(target) / "data" / "rows.db") == [1]
    (note,) = rolled_back.notes
    assert rows(Path(note.rpartition(" in ")[2]) / "data" / "rows.db") == [1, 2]
