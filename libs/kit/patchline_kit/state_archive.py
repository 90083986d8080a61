"""The state folder in one file: made while Patchline works on the folder, put back into an empty one.

Store and log are two files, and each must know what the other says: an event that the store has crossed off
its outbox must be in the log, and a position in the log must not be ahead of the store. So the store is held
still for the moment in which both are pinned; the copying then goes on beside the writers.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

from pydantic import BaseModel

from patchline_kit.folder import LOCK_FILE, LOCK_FOLDER, NAME_FILE, FolderLock

STORE, LOG = "store.db", "log.db"
MANIFEST = "manifest.json"
LAYOUT = 1
LEFT_OUT = frozenset({LOCK_FILE, LOCK_FOLDER, "work"})
"""What belongs to a running process, and scratch."""
NOT_COPIED = (".log", "-wal", "-shm", "-journal")
"""Ends of names: the process's own log, and what SQLite keeps beside a file that is open."""
FENCE_STEP = 1_000_000_000
"""Fencing numbers go on so much higher: targets have seen those handed out after the copy was made."""
BUSY_TIMEOUT_SECONDS = 30.0
COPIED_AT_ONCE = 1 << 20


class StateArchiveError(Exception):
    """The copy cannot be made or put back; the text says why and what to do."""


class CopiedFile(BaseModel):
    """A file of the state folder."""

    path: str
    """Below the folder."""
    size: int
    """Bytes."""
    sha256: str


class Manifest(BaseModel):
    """What a copy of a state folder holds; its last member, so a file that was cut off has none."""

    layout: int = LAYOUT
    patchline: str
    installation: str | None
    """The folder's lasting name."""
    made_at: datetime
    """When store and log were pinned: everything up to then is in the copy."""
    with_log: bool
    """False where events lie in Kafka, so that its positions must be set back (see docs/operations.md)."""
    files: tuple[CopiedFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def back_up(folder: Path, to: Path) -> Manifest:
    """Copy the state in ``folder`` to the file ``to``, which must not exist; Patchline may run meanwhile.

    Durable on return; only the owner may read it. Raises :class:`StateArchiveError`.
    """
    if not (folder / STORE).is_file():
        raise StateArchiveError(f"there is no Patchline in {folder}: {folder / STORE} is missing")
    if to.exists():
        raise StateArchiveError(f"{to} exists already: choose another name")
    draft = to.with_name(f".{to.name}.new")
    try:
        with tempfile.TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as scratch:
            made_at = _copy_databases(folder, Path(scratch))
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as raw:
                manifest = _write(folder, Path(scratch), made_at, raw)
                raw.flush()
                os.fsync(raw.fileno())
        draft.replace(to)
        _keep_names(to.parent)
    except (OSError, sqlite3.Error) as error:
        raise StateArchiveError(f"{folder} cannot be copied to {to}: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def restore(file: Path, folder: Path) -> Manifest:
    """Put the copy in ``file`` back as ``folder``, which must be empty or missing; whole or not at all.

    Raises :class:`StateArchiveError`, also for a copy that is cut off or was changed.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StateArchiveError(f"{folder} is not empty: move it away, or name another folder with --dir")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.restored-"))
    try:
        manifest = _unpack(file, draft)
        _raise_fences(draft / STORE)
        FolderLock(draft, alone=True).release()
        draft.chmod(0o755)
        for each in sorted(draft.rglob("*")):
            if each.is_file():
                _sync(each)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
        _keep_names(folder.parent)
    except (OSError, sqlite3.Error) as error:
        raise StateArchiveError(f"{file} cannot be restored to {folder}: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def _copy_databases(folder: Path, scratch: Path) -> datetime:
    """Copies of store and log that fit each other, checked; the instant they are of."""
    names = [STORE, *([LOG] if (folder / LOG).is_file() else [])]
    with ExitStack() as exits:
        readers = {name: exits.enter_context(closing(_open(folder / name))) for name in names}
        with _held_still(folder / STORE):
            for reader in readers.values():
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            made_at = datetime.now(UTC)
        for name, reader in readers.items():
            with closing(sqlite3.connect(scratch / name)) as copy:
                reader.backup(copy)
                (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
                if found != "ok":
                    raise StateArchiveError(f"{folder / name} is damaged: {found}")
    return made_at


@contextmanager
def _held_still(store: Path) -> Iterator[None]:
    """Nobody writes to the store until the block ends."""
    with closing(_open(store)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            holder.execute("ROLLBACK")


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_SECONDS)


def _write(folder: Path, scratch: Path, made_at: datetime, raw: io.BufferedIOBase) -> Manifest:
    """Everything as a tar, the databases first: what they name was written before them."""
    files: list[CopiedFile] = []
    with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as tar:
        for path in sorted(scratch.iterdir()):
            files.append(_add(tar, path, path.name))
        for path in _others(folder):
            try:
                files.append(_add(tar, path, str(path.relative_to(folder))))
            except FileNotFoundError:
                continue  # an old archive that went meanwhile
        name = folder / NAME_FILE
        manifest = Manifest(
            patchline=version("patchline-kit"),
            installation=name.read_text().strip() if name.exists() else None,
            made_at=made_at,
            with_log=(scratch / LOG).exists(),
            files=tuple(files),
        )
        body = manifest.model_dump_json(indent=2).encode()
        member = tarfile.TarInfo(MANIFEST)
        member.size, member.mode = len(body), 0o600
        tar.addfile(member, io.BytesIO(body))
    return manifest


def _others(folder: Path) -> Iterator[Path]:
    for top in sorted(folder.iterdir()):
        if top.name in LEFT_OUT or top.name in (STORE, LOG):
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            inside = path.relative_to(folder)
            is_state = len(inside.parts) > 1 or not path.name.endswith(NOT_COPIED)
            if path.is_file() and not path.is_symlink() and is_state:
                yield path


def _add(tar: tarfile.TarFile, path: Path, name: str) -> CopiedFile:
    """Add a file as long as it is now: one that is appended to meanwhile is cut there."""
    with path.open("rb") as source:
        member = tar.gettarinfo(arcname=name, fileobj=source)
        read = _Digesting(source)
        tar.addfile(member, read)
    return CopiedFile(path=name, size=member.size, sha256=read.digest.hexdigest())


class _Digesting(io.RawIOBase):
    """A file that is digested while it is read."""

    def __init__(self, source: io.BufferedIOBase) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        piece = self._source.read(size)
        self.digest.update(piece)
        return piece


def _unpack(file: Path, into: Path) -> Manifest:
    found: dict[str, str] = {}
    manifest: Manifest | None = None
    try:
        with tarfile.open(file, mode="r|gz") as tar:
            for member in tar:
                source = tar.extractfile(member)
                if source is None:
                    raise StateArchiveError(f"{file} is no copy of a state folder: {member.name} is no file")
                if member.name == MANIFEST:
                    manifest = Manifest.model_validate_json(source.read())
                else:
                    found[member.name] = _extract(tarfile.data_filter(member, str(into)), source, into)
    except (tarfile.TarError, EOFError, ValueError, OSError) as error:
        raise StateArchiveError(f"{file} is no whole copy of a state folder: {error}") from error
    if manifest is None:
        raise StateArchiveError(f"{file} is cut off: make another copy, or use an older one")
    if manifest.layout > LAYOUT:
        raise StateArchiveError(
            f"{file} was made by a newer Patchline ({manifest.patchline}): update this one"
        )
    expected = {each.path: each.sha256 for each in manifest.files}
    if wrong := sorted(
        name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    ):
        raise StateArchiveError(f"{file} was changed since it was made: {wrong[0]} is not what it was")
    return manifest


def _extract(member: tarfile.TarInfo, source: IO[bytes], into: Path) -> str:
    path = into / member.name
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with path.open("wb") as target:
        while piece := source.read(COPIED_AT_ONCE):
            digest.update(piece)
            target.write(piece)
    path.chmod(member.mode & 0o777 if member.mode else 0o600)
    return digest.hexdigest()


def _raise_fences(store: Path) -> None:
    with closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("UPDATE fences SET last = last + ?", (FENCE_STEP,))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_keep_names = _sync
"""Make the names in a folder durable."""
