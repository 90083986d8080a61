"""Patchline's own state is copied while it works, put back somewhere else, and goes on there."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from whole import Whole, running

from patchline_fleet.sim.fleet import SimFleet
from patchline_kit.folder import FolderLock
from patchline_kit.state_archive import StateArchiveError, back_up, restore

TARGETS = 4
FLEET = """\
groups:
  - {name: web, criticality: low, window: always, contacts: ["file:notices.log"], policies: {soak: PT0S}}
targets:
""" + "".join(
    f"  - {{id: web-{number}, group: web, driver: sim, path: sim, settings: {{latency: PT0.3S,"
    f' packages: "pkg:pypi/jinja2@3.1.2 pkg:pypi/flask@3.0.0"}}}}\n'
    for number in range(TARGETS)
)


def publish(whole: Whole, component: str, version: str) -> str:
    item = {
        "vendor": "somebody",
        "component": component,
        "version": version,
        "kind": "security",
        "released_at": "2025-03-05T20:05:00Z",
    }
    (whole.folder / "item.json").write_text(json.dumps(item))
    done = whole.shell("patchline feed publish item.json -o json")
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    return str(result["update_id"])


def wait_closed(whole: Whole, update_id: str) -> None:
    done = whole.shell(f"patchline update wait {update_id} --for closed --timeout 60s")
    assert done.returncode == 0, done.stdout + done.stderr


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def applies(sim: Path) -> Counter[tuple[str, str, str]]:
    """How many applies began, by target, component and version."""
    with closing(SimFleet(sim)) as fleet:
        return Counter(
            (line.target, line.component, line.version)
            for line in fleet.log()
            if line.event == "begin" and line.operation == "apply"
        )


@pytest.mark.timeout(180)
def test_a_patchline_restored_from_a_copy_made_in_the_middle_of_a_rollout_applies_nothing_twice(tmp_path):
    sim = tmp_path / "sim"
    copies = []
    with running(tmp_path, FLEET) as first:
        wait_closed(first, publish(first, "pkg:pypi/jinja2", "3.1.6"))
        update_id = publish(first, "pkg:pypi/flask", "3.1.1")
        for begun in (1, TARGETS):
            until(lambda begun=begun: len(applies(sim)) >= TARGETS + begun, f"{begun} applies have begun")
            copies.append(f"copy-{begun}.tgz")
            done = first.shell(f"patchline state backup {copies[-1]} -o json")
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout)["with_log"] is True
        wait_closed(first, update_id)
    assert set(applies(sim).values()) == {1}

    for copy in copies:
        shutil.rmtree(first.state)
        done = first.shell(f"patchline state restore {copy} --dir {first.state}")
        assert done.returncode == 0, done.stderr
        first.start()
        try:
            wait_closed(first, update_id)
            shown = json.loads(first.shell(f"patchline update show {update_id} -o json").stdout)
            assert shown["state"] == "completed"
            outcomes = [target["outcome"] for wave in shown["waves"] for target in wave["targets"]]
            assert outcomes == ["succeeded"] * TARGETS
            assert json.loads(first.shell("patchline dead-letters list -o json").stdout) == []
        finally:
            first.stop()
        assert set(applies(sim).values()) == {1}
        verified = first.shell("patchline ledger verify -o json")
        assert (verified.returncode, json.loads(verified.stdout)["valid"]) == (0, True), verified.stdout


@pytest.mark.timeout(60)
def test_store_and_log_in_a_copy_are_of_one_instant(tmp_path):
    """A position never ahead of its effect, an event never lost between outbox and log."""
    state, copy = tmp_path / "state", tmp_path / "copy.tgz"
    state.mkdir()
    with (
        closing(sqlite3.connect(state / "store.db", isolation_level=None)) as store,
        closing(sqlite3.connect(state / "log.db", isolation_level=None)) as log,
    ):
        for database in (store, log):
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE step (number INTEGER)")
            database.execute("INSERT INTO step VALUES (1)")
        store.execute("CREATE TABLE fences (last INTEGER)")
        store.execute("INSERT INTO fences VALUES (7)")
        manifest = back_up(state, copy)
        store.execute("UPDATE step SET number = 2")
    restored = tmp_path / "restored"
    assert restore(copy, restored) == manifest
    for name in ("store.db", "log.db"):
        with closing(sqlite3.connect(restored / name)) as database:
            assert database.execute("SELECT number FROM step").fetchall() == [(1,)]
    with closing(sqlite3.connect(restored / "store.db")) as store:
        ((last,),) = store.execute("SELECT last FROM fences").fetchall()
        assert last > 1_000_000, "targets have seen fencing numbers that were handed out after the copy"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir()
    with closing(sqlite3.connect(state / "store.db")) as store:
        store.execute("CREATE TABLE fences (last INTEGER)")
        store.commit()
    (state / "archives").mkdir()
    (state / "archives" / "one.tar.zst").write_bytes(b"backup" * 10_000)
    (state / "patchline.log").write_text("not state")
    back_up(state, tmp_path / "copy.tgz")
    return tmp_path / "copy.tgz"


def test_a_copy_holds_what_is_state_and_is_only_for_its_owner(copy: Path) -> None:
    with tarfile.open(copy) as tar:
        assert sorted(tar.getnames()) == ["archives/one.tar.zst", "manifest.json", "store.db"]
    assert copy.stat().st_mode & 0o077 == 0


def test_a_copy_that_was_cut_off_is_refused_and_leaves_nothing(copy: Path, tmp_path: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-200])
    with pytest.raises(StateArchiveError, match=r"copy\.tgz is"):
        restore(copy, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_copy_that_was_changed_is_refused(copy: Path, tmp_path: Path) -> None:
    with tarfile.open(copy) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    members["archives/one.tar.zst"] = b"another"
    for name, content in members.items():
        (tmp_path / "parts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "parts" / name).write_bytes(content)
    with tarfile.open(copy, "w:gz") as tar:
        for name in members:
            tar.add(tmp_path / "parts" / name, name)
    with pytest.raises(StateArchiveError, match=r"archives/one\.tar\.zst is not what it was"):
        restore(copy, tmp_path / "new")


def test_nothing_is_restored_over_what_is_there_nor_copied_over_a_file(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(StateArchiveError, match="is not empty"):
        restore(copy, tmp_path / "state")
    with pytest.raises(StateArchiveError, match="exists already"):
        back_up(tmp_path / "state", copy)


def test_a_restored_folder_is_free_to_be_used(copy: Path, tmp_path: Path) -> None:
    restore(copy, tmp_path / "new")
    FolderLock(tmp_path / "new", alone=True).release()
