from __future__ import annotations

import asyncio
import errno
import gc
import hashlib
import io
import json
import os
import tarfile
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard

from patchline_fleet import archives as archives_module
from patchline_fleet.archives import Archive, ArchiveError, FolderArchives, KeptArchive, expired
from patchline_fleet.errors import NotEnoughSpace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "config" / "empty").mkdir(parents=True)
    (made / "config" / "app.toml").write_text("a = 1\n")
    (made / "run.sh").write_text("#!/bin/sh\n")
    (made / "run.sh").chmod(0o750)
    (made / "current").symlink_to("config")
    (made / "manifest.json").write_text("one of the application's own")
    return made


@pytest.fixture
def archives(tmp_path: Path) -> FolderArchives:
    return FolderArchives(tmp_path / "archives")


def path_of(archives_root: Path, archive: Archive) -> Path:
    return archives_root / archive.address.removeprefix("folder:")


async def test_what_was_put_comes_back_as_it_was(
    archives: FolderArchives, folder: Path, tmp_path: Path
) -> None:
    archive = await archives.put(folder, "jinja2-3.1.6.r1.w1/wiki")
    await archives.fetch(archive.address, archive.sha256, tmp_path / "back")
    back = tmp_path / "back"
    assert (back / "config" / "app.toml").read_text() == "a = 1\n"
    assert (back / "config" / "empty").is_dir()
    assert (back / "run.sh").stat().st_mode & 0o777 == 0o750
    assert (back / "current").readlink() == Path("config")
    assert (back / "manifest.json").read_text() == "one of the application's own"


async def test_what_a_backup_took_of_memory_is_given_back_at_once(
    archives: FolderArchives, folder: Path, tmp_path: Path
) -> None:
    gc.collect()
    gc.disable()
    try:
        archive = await archives.put(folder, "web-1/one")
        await archives.fetch(archive.address, archive.sha256, tmp_path / "fetched")
        held = [each for each in gc.get_objects() if isinstance(each, tarfile.TarFile)]
    finally:
        gc.enable()
    assert held == []


async def test_an_archive_is_named_with_its_true_digest_and_size(
    archives: FolderArchives, folder: Path, tmp_path: Path
) -> None:
    archive = await archives.put(folder, "w/a")
    content = path_of(tmp_path / "archives", archive).read_bytes()
    assert (archive.sha256, archive.size) == (hashlib.sha256(content).hexdigest(), len(content))


async def test_two_backups_under_one_name_do_not_touch_each_other(
    archives: FolderArchives, folder: Path, tmp_path: Path
) -> None:
    first = await archives.put(folder, "w/a")
    (folder / "config" / "app.toml").write_text("a = 2\n")
    second = await archives.put(folder, "w/a")
    assert first.address != second.address
    await archives.fetch(first.address, first.sha256, tmp_path / "back")
    assert (tmp_path / "back" / "config" / "app.toml").read_text() == "a = 1\n"


async def test_one_of_two_backups_with_the_same_content_is_deleted_and_the_other_stays(
    archives: FolderArchives, folder: Path
) -> None:
    """As a worker does that stood still, and finds that its successor has made the backup meanwhile."""
    first, second = [await archives.put(folder, "w/a") for _ in range(2)]
    await archives.delete(first.address)
    await archives.verify(second.address, second.sha256)


async def test_archives_are_listed_and_deleted(archives: FolderArchives, folder: Path) -> None:
    assert await archives.list() == []
    archive = await archives.put(folder, "w/a")
    (listed,) = await archives.list()
    assert (listed.address, listed.size) == (archive.address, archive.size)
    assert await archives.exists(archive.address)
    await archives.delete(archive.address)
    await archives.delete(archive.address)
    assert not await archives.exists(archive.address)
    with pytest.raises(ArchiveError, match="is not there"):
        await archives.fetch(archive.address, archive.sha256, folder / "x")


async def test_a_draft_that_a_crash_left_is_removed_once_it_is_old(
    archives: FolderArchives, folder: Path, tmp_path: Path
) -> None:
    drafts = tmp_path / "archives" / ".drafts"
    drafts.mkdir(parents=True)
    for name in ("old", "fresh"):
        (drafts / name).write_bytes(b"half an archive")
    os.utime(drafts / "old", (0, 0))
    await archives.put(folder, "wiki/1")
    assert [draft.name for draft in drafts.iterdir()] == ["fresh"]


async def test_a_changed_archive_is_refused_and_nothing_unpacked(
    archives: FolderArchives, folder: Path, tmp_path: Path
) -> None:
    archive = await archives.put(folder, "w/a")
    path = path_of(tmp_path / "archives", archive)
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="was changed"):
        await archives.fetch(archive.address, archive.sha256, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def forged(members: dict[str, bytes], files: dict[str, bytes] | None = None) -> bytes:
    manifest = {
        "format": 1,
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "mode": 0o644}
            for name, content in (files or {}).items()
        },
        "links": {},
        "folders": {},
    }
    plain = io.BytesIO()
    with tarfile.open(mode="w", fileobj=plain) as tar:
        for name, content in {"manifest.json": json.dumps(manifest).encode(), **members}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return zstandard.compress(plain.getvalue())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (forged({"content/../evil": b"x"}, {"../evil": b"x"}), "leads out"),
        (forged({"/etc/evil": b"x"}), "leads out"),
        (forged({"content/a": b"x"}), "not in its manifest"),
        (forged({"content/a": b"y"}, {"a": b"x"}), "not as its manifest says"),
        (forged({}, {"a": b"x"}), "a is not in it"),
        (zstandard.compress(b"no tar at all"), "damaged"),
        (b"no zstd", "damaged"),
    ],
)
async def test_a_forged_archive_is_refused(
    archives: FolderArchives, tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "archives").mkdir()
    (tmp_path / "archives" / "forged.tar.zst").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    with pytest.raises(ArchiveError, match=words):
        await archives.fetch("folder:forged.tar.zst", digest, tmp_path / "back")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "address", ["folder:../x.tar.zst", "/etc/passwd", "folder:/etc/x.tar.zst", "folder:a"]
)
async def test_an_address_cannot_lead_out_of_the_store(archives: FolderArchives, address: str) -> None:
    with pytest.raises(ArchiveError, match="no address"):
        await archives.exists(address)


async def test_a_full_disk_says_what_did_not_fit_where_and_leaves_nothing(
    archives: FolderArchives, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(archives_module, "pack", full)
    with pytest.raises(
        NotEnoughSpace, match=r"no room for the backup w/a below .*archives: \d+ MiB are free"
    ):
        await archives.put(folder, "w/a")
    assert [path for path in (tmp_path / "archives").rglob("*") if path.is_file()] == []


async def test_a_cancelled_backup_stops_and_leaves_nothing(
    archives: FolderArchives, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, real = threading.Event(), archives_module.pack

    def slow(source: Path, into: io.BufferedWriter, *, stop: threading.Event) -> tuple[str, int]:
        begun.set()
        assert stop.wait(10)
        return real(source, into, stop=stop)

    monkeypatch.setattr(archives_module, "pack", slow)
    task = asyncio.create_task(archives.put(folder, "w/a"))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [path for path in (tmp_path / "archives").rglob("*") if path.is_file()] == []


NOW = datetime(2026, 6, 1, tzinfo=UTC)


def kept(target: str, days: int) -> KeptArchive:
    return KeptArchive(f"folder:{target}-{days}.tar.zst", target, NOW - timedelta(days=days))


def test_an_archive_goes_only_when_it_is_neither_recent_nor_among_the_last_nor_in_use() -> None:
    every = [kept("a", days) for days in (1, 10, 40, 50, 60)] + [kept("b", 90)]
    gone = expired(every, now=NOW, keep_last=2, keep_for=timedelta(days=30), in_use={kept("a", 50).address})
    assert gone == [kept("a", 60), kept("a", 40)]
