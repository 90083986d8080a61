"""Files that are written wholly or not at all, and their digests."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 1024 * 1024


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace ``path`` by ``content``, on disk when this returns; a crash leaves the old or the new file."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's own entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder byte by byte, links as links. Raises the first :class:`OSError` as it is."""
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.is_symlink() or entry.is_file():
            shutil.copy2(entry, target / entry.name, follow_symlinks=False)
        elif entry.is_dir():
            copy_tree(entry, target / entry.name)
    shutil.copystat(source, target)


def walk(folder: Path, *, without: frozenset[str] = frozenset()) -> Iterator[Path]:
    """Every regular file and symbolic link below ``folder``, in order, but not in folders named ``without``.

    Symbolic links are not followed. Sockets, pipes and devices are left out.
    """
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_symlink() or entry.is_file():
            yield Path(entry.path)
        elif entry.is_dir() and entry.name not in without:
            yield from walk(Path(entry.path), without=without)
