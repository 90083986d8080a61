"""Where an application lies and which of its files count as configuration."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchline_fleet.errors import DriverError
from patchline_fleet.files import sha256_of, walk
from patchline_fleet.venv_app.lock import STATE

PASSED_OVER = frozenset({STATE, "__pycache__", "node_modules", ".git"})
"""Folders that hold neither an application's code nor its configuration."""


@dataclass(frozen=True, slots=True)
class Place:
    """An application's folder, its environment, and what its backup rules name."""

    folder: Path
    environment: Path
    paths: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()

    @classmethod
    def of(cls, job: dict[str, Any]) -> Place:
        """The place that a job names."""
        return cls(Path(job["folder"]), Path(job["environment"]), tuple(job["paths"]), tuple(job["restore"]))

    @property
    def restored(self) -> tuple[str, ...]:
        """The paths that a rollback puts back: those of ``restore`` that are in the backup."""
        return tuple(relative for relative in self.restore if relative in self.paths)

    @property
    def state(self) -> Path:
        """The folder of Patchline's own notes."""
        return self.folder / STATE

    def inside(self, relative: str) -> Path:
        """A path that the backup rules name. Raises :class:`DriverError` if it leads out of the folder."""
        path = self.folder / relative
        if not path.resolve().is_relative_to(self.folder.resolve()) or path == self.folder:
            raise DriverError(f"the backup path {relative!r} leads out of {self.folder}; name one inside it")
        return path

    def files_digest(self) -> dict[str, str]:
        """A digest of the content of each path that a rollback puts back; ``absent`` if it is not there."""
        return {relative: tree_digest(self.inside(relative)) for relative in self.restore}

    def behaviour_digest(self) -> str:
        """A digest of what makes the application behave as it does besides its packages."""
        digest = hashlib.sha256()
        for relative, content in sorted(self.files_digest().items()):
            digest.update(f"{relative}\0{content}\n".encode())
        data = {self.inside(relative) for relative in self.paths if relative not in self.restore}
        for path in self._code(self.folder, data | {self.environment}):
            digest.update(f"{path.relative_to(self.folder)}\0{_digest_of(path)}\n".encode())
        return digest.hexdigest()

    def _code(self, folder: Path, but: set[Path]) -> Sequence[Path]:
        found: list[Path] = []
        for path in sorted(folder.iterdir()):
            if path in but or path.name in PASSED_OVER:
                continue
            if path.is_dir() and not path.is_symlink():
                found.extend(self._code(path, but))
            elif path.suffix == ".py":
                found.append(path)
        return found


def tree_digest(path: Path) -> str:
    """SHA-256 over the names and contents of a file or a folder's files; ``absent`` if nothing is there."""
    if path.is_symlink() or path.is_file():
        return _digest_of(path)
    if not path.is_dir():
        return "absent"
    digest = hashlib.sha256()
    for file in walk(path, without=frozenset({"__pycache__"})):
        digest.update(f"{file.relative_to(path)}\0{_digest_of(file)}\n".encode())
    return digest.hexdigest()


def _digest_of(path: Path) -> str:
    return f"link:{path.readlink()}" if path.is_symlink() else sha256_of(path)
