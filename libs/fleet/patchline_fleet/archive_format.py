"""The form of a backup: one tar compressed with Zstandard, whose first member lists all others.

``manifest.json`` gives every file's SHA-256, size and mode, every link's target and every folder's mode.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

import zstandard

from patchline_fleet.errors import DriverError, NotEnoughSpace
from patchline_fleet.files import sha256_of

MANIFEST = "manifest.json"
FORMAT = 1
CONTENT = "content/"
"""Under which the folder's own files stand in the tar, so that none can pass for the manifest."""
LEVEL = 3
_BLOCK = 1024 * 1024


class ArchiveError(DriverError):
    """A backup is not there, was changed, or is none of ours."""


class Stopped(Exception):
    """The work was cancelled."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file in a manifest."""

    sha256: str
    size: int
    mode: int


@dataclass(slots=True)
class Manifest:
    """What an archive holds."""

    files: dict[str, FileEntry] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)


def pack(folder: Path, into: IO[bytes], *, stop: threading.Event) -> tuple[str, int]:
    """Write the archive of ``folder``; its SHA-256 and size. Raises :class:`Stopped` or :class:`OSError`."""
    manifest = take_inventory(folder)
    sink = _Hashing(into, stop)
    compressor = zstandard.ZstdCompressor(level=LEVEL)
    with (
        compressor.stream_writer(cast(IO[bytes], sink), closefd=False) as compressed,
        tarfile.open(mode="w|", fileobj=compressed, format=tarfile.PAX_FORMAT) as tar,
    ):
        content = json.dumps({"format": FORMAT, **asdict(manifest)}, separators=(",", ":")).encode()
        head = tarfile.TarInfo(MANIFEST)
        head.size = len(content)
        tar.addfile(head, io.BytesIO(content))
        for name in sorted([*manifest.folders, *manifest.files, *manifest.links]):
            tar.add(folder / name, arcname=CONTENT + name, recursive=False)
        tar.getmembers().clear()  # each names the archive: together they would keep the compressor's memory
    return sink.digest.hexdigest(), sink.size


def unpack(archive: Path, into: Path, *, stop: threading.Event) -> None:
    """Unpack below ``into`` and compare with the manifest.

    Links are made last, so that no file is written through one. Raises :class:`ArchiveError`,
    :class:`Stopped` or :class:`OSError`.
    """
    try:
        with (
            archive.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file) as plain,
            tarfile.open(mode="r|", fileobj=plain) as tar,
        ):
            members = iter(tar)
            manifest = _read_manifest(tar, next(members, None), archive)
            found = set()
            for member in members:
                if stop.is_set():
                    raise Stopped
                name = _safe_name(member.name, archive)
                if member.isfile():
                    _write(tar, member, into / name, manifest.files.get(name), archive)
                    found.add(name)
    except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
        raise ArchiveError(f"the backup {archive} is damaged: {error}") from error
    if missing := manifest.files.keys() - found:
        raise ArchiveError(f"the backup {archive} is damaged: {min(missing)} is not in it")
    for name, mode in manifest.folders.items():
        path = into / _safe_name(CONTENT + name, archive)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode | 0o700)
    for name, target in manifest.links.items():
        (into / _safe_name(CONTENT + name, archive)).symlink_to(target)


def take_inventory(folder: Path) -> Manifest:
    """Every file, link and folder below ``folder``. Sockets, pipes and devices are passed over."""
    manifest = Manifest()
    for path in _below(folder):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            manifest.links[name] = str(path.readlink())
        elif path.is_dir():
            manifest.folders[name] = path.stat().st_mode & 0o7777
        elif path.is_file():
            status = path.stat()
            manifest.files[name] = FileEntry(sha256_of(path), status.st_size, status.st_mode & 0o7777)
    return manifest


def no_room(error: OSError, what: str, where: Path) -> Exception:
    """The error to raise for ``error``: in clear words if it says that the disk is full."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return DriverError(f"{what} could not be written below {where}: {error.strerror or error}")
    free = shutil.disk_usage(where if where.is_dir() else where.parent).free
    return NotEnoughSpace(
        f"no room for {what} below {where}: {free // 2**20} MiB are free; make room and try again"
    )


class _Hashing(io.RawIOBase):
    """Counts and digests what passes."""

    def __init__(self, sink: IO[bytes], stop: threading.Event) -> None:
        self._sink = sink
        self._stop = stop
        self.digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self._stop.is_set():
            raise Stopped
        self.digest.update(data)
        self.size += len(data)
        return self._sink.write(data)


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


def _read_manifest(tar: tarfile.TarFile, first: tarfile.TarInfo | None, archive: Path) -> Manifest:
    if first is None or first.name != MANIFEST:
        raise ArchiveError(f"{archive} is no backup: it does not begin with its manifest")
    file = tar.extractfile(first)
    content = json.load(file) if file else {}
    if content.get("format") != FORMAT:
        raise ArchiveError(f"{archive} has the format {content.get('format')!r}; this version reads {FORMAT}")
    return Manifest(
        files={name: FileEntry(**entry) for name, entry in content["files"].items()},
        links=content["links"],
        folders=content["folders"],
    )


def _safe_name(name: str, archive: Path) -> str:
    inner = name.removeprefix(CONTENT)
    path = PurePosixPath(inner)
    if inner == name or path.is_absolute() or ".." in path.parts or not path.parts:
        raise ArchiveError(
            f"{archive} holds {name!r}, which leads out of its folder; nothing of it is trusted"
        )
    return inner


def _write(
    tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, entry: FileEntry | None, archive: Path
) -> None:
    source = tar.extractfile(member)
    if entry is None or source is None:
        raise ArchiveError(f"{archive} is damaged: {member.name} is not in its manifest")
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("xb") as file:
        while block := source.read(_BLOCK):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != entry.sha256:
        raise ArchiveError(f"{archive} is damaged: {member.name} is not as its manifest says")
    path.chmod(entry.mode)
