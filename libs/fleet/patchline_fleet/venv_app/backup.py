"""Copies an application's packages, configuration and data, and proves that the copy can be rebuilt.

A backup folder holds ``backup.json`` (what must be in it), ``site-packages/`` with every package's files, and
``files/`` with the paths that the backup rules name. Packages lie there whole, so a rollback needs no index.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from patchline_fleet import supervised
from patchline_fleet.errors import DriverError, NotEnoughSpace
from patchline_fleet.files import copy_tree, walk
from patchline_fleet.venv_app.applylog import refuse_half_changed
from patchline_fleet.venv_app.environment import Distribution, Environment, look
from patchline_fleet.venv_app.lock import shared
from patchline_fleet.venv_app.place import Place, tree_digest
from patchline_fleet.venv_app.sqlite import copy_database, is_companion, is_database

RECORD = "backup.json"
FORMAT = 1
OUTSIDE = "__out__"
"""Where a backup keeps the files of packages that lie outside site-packages: ``__out__/LEVELS_UP/...``."""


@dataclass(frozen=True, slots=True)
class KeptPackage:
    """A package in a backup."""

    version: str
    digest: str
    info: str
    """Name of its ``.dist-info`` folder."""
    files: list[str]
    """Relative to the backup's ``site-packages/``; see :func:`at_site`."""


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """What a backup holds."""

    runtime: str
    packages: dict[str, KeptPackage]
    files: dict[str, str]
    """Digest of each path that was backed up."""

    @classmethod
    def read(cls, backup: Path) -> BackupRecord:
        """The record of the unpacked ``backup``. Raises :class:`DriverError` if it is none."""
        path = backup / RECORD
        try:
            content = json.loads(path.read_bytes())
            if content["format"] != FORMAT:
                raise DriverError(f"{path} has the format {content['format']!r}; this version reads {FORMAT}")
            return cls(
                runtime=content["runtime"],
                packages={name: KeptPackage(**each) for name, each in content["packages"].items()},
                files=content["files"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DriverError(f"{backup} is no backup of a Python application: {error}") from error

    @property
    def versions(self) -> dict[str, str]:
        """The version of each package."""
        return {name: each.version for name, each in self.packages.items()}


def backup(job: dict[str, Any]) -> dict[str, Any]:
    """Write the backup of an application below the empty folder ``into``."""
    place, into = Place.of(job), Path(job["into"])
    into.mkdir(parents=True, exist_ok=True)
    with shared(place.folder, wait=job["wait"]):
        refuse_half_changed(place.folder, place.state)
        environment = look(place.environment, folder=place.folder)
        environment.must_be_whole()
        try:
            packages = {each.name: _keep(each, into) for each in environment.distributions}
            files = {relative: _keep_path(place, relative, into) for relative in place.paths}
        except OSError as error:
            raise _in_words(error, place, into) from error
    record = BackupRecord(environment.runtime, packages, files)
    (into / RECORD).write_text(json.dumps({"format": FORMAT, **asdict(record)}))
    total = sum(1 for _ in walk(into / "files")) if files else 0
    return {"packages_total": len(packages), "files_total": total}


def restore_to_scratch(job: dict[str, Any]) -> dict[str, Any]:
    """Rebuild environment and files below ``scratch`` and compare them with what the backup says."""
    place, kept, scratch = Place.of(job), Path(job["backup"]), Path(job["scratch"])
    record = BackupRecord.read(kept)
    scratch.mkdir(parents=True, exist_ok=True)
    base = look(place.environment, folder=place.folder).base
    environment = rebuild(job["uv"], base, kept / "site-packages", scratch / "environment")
    differences = [
        f"the runtime is {environment.runtime}, the backup was made with {record.runtime}"
        for _ in range(environment.runtime != record.runtime)
    ]
    differences += compare_packages(environment, record)
    for relative, digest in record.files.items():
        source, copy = kept / "files" / relative, scratch / "files" / relative
        copy_kept(source, copy)
        if tree_digest(copy) != digest:
            differences.append(f"{relative} does not come back as it was backed up")
    return {"differences": differences}


def rebuild(uv: str, base: Path, packages: Path, at: Path) -> Environment:
    """Make an environment from ``base`` with the copied ``packages`` in it, and ask it what it holds."""
    done = supervised.run(
        [uv, "venv", "--quiet", "--color", "never", "--python", str(base), str(at)], cwd=at.parent
    )
    if not done.ok:
        raise DriverError(f"uv: {done.output.strip()[-2000:]}")
    fresh = look(at, folder=at.parent)
    if packages.is_dir():
        for path in walk(packages):
            target = at_site(fresh.sites[0], path.relative_to(packages))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)
    return look(at, folder=at.parent)


def compare_packages(environment: Environment, record: BackupRecord) -> list[str]:
    """How an environment differs from a backup, as sentences."""
    found = {each.name: each for each in environment.distributions}
    differences = [f"{name} is there but not in the backup" for name in found if name not in record.packages]
    for name, kept in record.packages.items():
        here = found.get(name)
        if here is None:
            differences.append(f"{name} {kept.version} is missing")
        elif here.version != kept.version:
            differences.append(f"{name} is {here.version}, the backup has {kept.version}")
        elif here.digest() != kept.digest:
            differences.append(f"the files of {name} {kept.version} are not as they were backed up")
    return differences


def at_site(site: Path, relative: Path) -> Path:
    """Where a kept file belongs in an environment."""
    parts = relative.parts
    if parts[0] == OUTSIDE:
        return Path(os.path.normpath(site.joinpath(*([".."] * int(parts[1])), *parts[2:])))
    return site / relative


def kept_name(path: Path, site: Path) -> Path:
    """Under which name a package's file is kept: the reverse of :func:`at_site`."""
    relative = Path(os.path.relpath(path, site))
    ups = sum(1 for part in relative.parts if part == "..")
    return Path(OUTSIDE, str(ups), *relative.parts[ups:]) if ups else relative


def copy_live(source: Path, target: Path, *, passed_over: Callable[[Path], bool] | None = None) -> None:
    """Copy what an application may be writing to: SQLite databases as one consistent state."""
    if source.is_symlink() or source.is_file():
        _copy_live_file(source, target)
        return
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if passed_over is not None and passed_over(entry):
            continue
        if entry.is_symlink() or entry.is_file():
            if not is_companion(entry):
                _copy_live_file(entry, target / entry.name)
        elif entry.is_dir():
            copy_live(entry, target / entry.name, passed_over=passed_over)
    shutil.copystat(source, target)


def copy_kept(source: Path, target: Path) -> None:
    """Copy a file or a folder of a backup, byte by byte."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() or source.is_file():
        shutil.copy2(source, target, follow_symlinks=False)
    else:
        copy_tree(source, target)


def _copy_live_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.is_symlink() and is_database(source):
        copy_database(source, target)
        return
    try:
        shutil.copy2(source, target, follow_symlinks=False)
    except FileNotFoundError:
        if source.is_symlink() or source.exists():
            raise  # else: a live application removed it meanwhile


def _keep(distribution: Distribution, into: Path) -> KeptPackage:
    files = distribution.files()
    if files is None:
        raise DriverError(
            f"{distribution.name} {distribution.version} has no RECORD of its files, so it cannot be "
            "backed up; install it again with uv or pip"
        )
    names = []
    for path in files:
        if path.suffix == ".pyc" or not path.exists():
            continue
        name = kept_name(path, distribution.site)
        target = into / "site-packages" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
        names.append(str(name))
    return KeptPackage(distribution.version, distribution.digest(), distribution.info.name, names)


def _keep_path(place: Place, relative: str, into: Path) -> str:
    source = place.inside(relative)
    if not source.exists() and not source.is_symlink():
        raise DriverError(
            f"the backup path {relative!r} is not in {place.folder}; "
            "make it, or take it out of the fleet file"
        )
    target = into / "files" / relative
    copy_live(source, target)
    return tree_digest(target)


def _in_words(error: OSError, place: Place, into: Path) -> DriverError:
    if error.errno in (28, 122):  # ENOSPC, EDQUOT
        free = shutil.disk_usage(into).free
        return NotEnoughSpace(
            f"no room for the backup of {place.folder} below {into}: {free // 2**20} MiB are free"
        )
    return DriverError(f"the backup of {place.folder} failed: {error.strerror} ({error.filename})")
