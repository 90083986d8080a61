"""Looks into a virtual environment: what it says of itself, and whether its files are all there."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from patchline_fleet import supervised
from patchline_fleet.errors import DriverError, Unreachable
from patchline_fleet.files import sha256_of

ASK = """
import importlib.metadata as m, json, platform, sys, sysconfig
sites = list(dict.fromkeys(sysconfig.get_path(k) for k in ("purelib", "platlib")))
found = [
    [d.metadata["Name"], d.metadata["Version"], site, str(d._path)]
    for site in sites for d in m.distributions(path=[site])
]
print(json.dumps({
    "runtime": sys.implementation.name + " " + platform.python_version(),
    "base": getattr(sys, "_base_executable", sys.executable),
    "sites": sites,
    "scripts": sysconfig.get_path("scripts"),
    "distributions": found,
}))
"""
"""Asked of the environment's own interpreter, so it runs on every Python from 3.8 on."""
NOT_CONTENT = frozenset(
    {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}
)
"""Files of a ``.dist-info`` that the installer writes: they tell no copy of a package from another."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed package."""

    name: str
    """In normal form (PEP 503)."""
    version: str
    site: Path
    info: Path
    """Its ``.dist-info`` folder."""

    def files(self) -> list[Path] | None:
        """Its files by RECORD, absolute; None if it has no RECORD to say so."""
        record = self.info / "RECORD"
        if not record.is_file():
            return None
        with record.open(newline="", encoding="utf-8") as file:
            return [_at(self.site, row[0]) for row in csv.reader(file) if row and row[0]]

    def amiss(self) -> dict[str, int | None]:
        """Files that are not there (None) or not as long as RECORD says (their length), byte code aside."""
        record = self.info / "RECORD"
        if not record.is_file():
            return {str(record): None}
        found: dict[str, int | None] = {}
        with record.open(newline="", encoding="utf-8") as file:
            for row in csv.reader(file):
                if not row or row[0].endswith(".pyc"):
                    continue
                path = _at(self.site, row[0])
                try:
                    size = path.stat().st_size
                except OSError:
                    found[str(path)] = None
                    continue
                if len(row) > 2 and row[2].isdigit() and int(row[2]) != size:
                    found[str(path)] = size
        return found

    def digest(self) -> str:
        """SHA-256 over the content of its files, by RECORD; two copies of one package have the same.

        A script's first line names its environment, so it is left out.
        """
        lines = []
        for path in self.files() or sorted(self.info.iterdir()):
            if path.suffix == ".pyc" or (path.parent == self.info and path.name in NOT_CONTENT):
                continue
            lines.append(f"{os.path.relpath(path, self.site)}\0{_content_digest(path)}\n")
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment, as its own interpreter describes it."""

    root: Path
    runtime: str
    """For example ``cpython 3.11.7``."""
    base: Path
    """The interpreter that it was made from."""
    sites: tuple[Path, ...]
    scripts: Path
    distributions: tuple[Distribution, ...]
    nameless: tuple[Path, ...]
    """Metadata folders that do not say what they belong to: the remains of an installation cut off."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.root / "bin" / "python"

    @property
    def versions(self) -> dict[str, str]:
        """The version of each package."""
        return {each.name: each.version for each in self.distributions}

    def find(self, name: str) -> Distribution | None:
        """The package called ``name``, or None."""
        return next((each for each in self.distributions if each.name == name), None)

    def doubled(self) -> list[str]:
        """Packages that are there in two versions."""
        counted = Counter(each.name for each in self.distributions)
        return sorted(name for name, times in counted.items() if times > 1)

    def amiss(self) -> dict[str, int | None]:
        """The files of all packages that are not as their RECORD says, see :meth:`Distribution.amiss`."""
        return {path: size for each in self.distributions for path, size in each.amiss().items()}

    def must_be_whole(self) -> None:
        """Raise :class:`DriverError` if the metadata contradicts itself."""
        if self.nameless:
            raise DriverError(
                f"{self.root} is broken: {self.nameless[0].name} says no name or version; "
                "an installation was cut off there, install that package again"
            )
        if doubled := self.doubled():
            raise DriverError(
                f"{self.root} is broken: it holds two versions of {', '.join(doubled)}; "
                "install the right one again"
            )


def look(root: Path, *, folder: Path, env: Mapping[str, str] | None = None) -> Environment:
    """Ask the environment at ``root``. Raises :class:`Unreachable` or :class:`DriverError` in clear words."""
    if not folder.is_dir():
        raise Unreachable(f"the application's folder {folder} is not there")
    python = root / "bin" / "python"
    if not root.is_dir():
        raise Unreachable(f"the virtual environment {root} is not there")
    if not python.exists():
        raise Unreachable(
            f"the virtual environment {root} is broken: its interpreter {python} is not there"
            + (f" (it leads to {python.readlink()})" if python.is_symlink() else "")
        )
    try:
        said = supervised.run(
            [str(python), "-I", "-c", ASK], cwd=folder, env=env, timeout=60, keep=32 * 1024 * 1024
        )
    except OSError as error:
        raise Unreachable(f"the interpreter {python} cannot be run: {error.strerror}") from error
    try:
        answer = json.loads(said.stdout)
    except ValueError:
        raise DriverError(
            f"the virtual environment {root} is broken: its interpreter ended with {said.returncode}: "
            f"{said.output.strip()[-1500:] or 'it said nothing'}"
        ) from None
    return _read(root, answer)


def same_version(one: str | None, other: str | None) -> bool:
    """Whether two versions are the same by PEP 440 (``1.0`` and ``1.0.0`` are), or else literally."""
    if one is None or other is None:
        return one is other
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[tuple[str, str | None, str | None]]:
    """What differs between two package sets: package, version before, version after."""
    return [
        (name, before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]


def owned_elsewhere(distributions: Iterable[Distribution], *, but: Distribution | None) -> set[Path]:
    """The files of all packages except ``but``: those must stay when ``but`` is removed."""
    return {path for each in distributions if each != but for path in each.files() or ()}


def _read(root: Path, answer: dict[str, object]) -> Environment:
    found, nameless = [], []
    listed: list[list[str | None]] = answer["distributions"]  # type: ignore[assignment]
    for name, version, site, info in listed:
        if name and version:
            found.append(
                Distribution(str(canonicalize_name(name)), version, Path(str(site)), Path(str(info)))
            )
        else:
            nameless.append(Path(str(info)))
    return Environment(
        root=root,
        runtime=str(answer["runtime"]),
        base=Path(str(answer["base"])),
        sites=tuple(Path(site) for site in answer["sites"]),  # type: ignore[attr-defined]
        scripts=Path(str(answer["scripts"])),
        distributions=tuple(sorted(found, key=lambda each: each.name)),
        nameless=tuple(nameless),
    )


def _content_digest(path: Path) -> str:
    if not path.is_file():
        return "missing"
    if path.parent.name == "bin":
        content = path.read_bytes()
        if content.startswith(b"#!"):
            return hashlib.sha256(content.partition(b"\n")[2]).hexdigest()
    return sha256_of(path)


def _at(site: Path, relative: str) -> Path:
    return Path(os.path.normpath(site / relative))
