"""Versions, compared by the rules of their ecosystem.

A version that the rules cannot read is an error (:class:`UnknownVersion`), never older, newer or equal.
The orders are those of ``univers``; the patterns here keep out what it would read as something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from packaging.version import Version as Pep440
from univers import versions as univers

from patchline_schemas.components import ecosystem
from patchline_schemas.feeds import Advisory, AffectedRange

BEFORE_ANY = "0"
"""In ``AffectedRange.introduced``: before every version (OSV schema, "affected[].ranges[].events")."""
_LENGTH = 128


class UnknownVersion(ValueError):
    """A version, or its ecosystem, that no rule can read."""


@dataclass(frozen=True, slots=True)
class _Scheme:
    name: str
    order: type[Any]
    pattern: re.Pattern[str]
    ignored: str | None = None
    """From this sign on nothing is compared (build metadata, Semantic Versioning 2.0.0, item 10)."""


_SEMVER = re.compile(r"v?\d+(\.\d+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_NUMBERS = re.compile(r"v?\d+(\.\d+){0,3}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_WORDS = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]*")
_PACKAGE = re.compile(r"(\d+:)?[0-9A-Za-z][0-9A-Za-z._+~^-]*")
_DEBIAN = re.compile(r"(\d+:)?\d[0-9A-Za-z.+~:-]*")

_SCHEMES: dict[str, _Scheme] = {
    "pypi": _Scheme("PEP 440", univers.PypiVersion, re.compile(r"[0-9A-Za-z!.+_-]+")),
    "npm": _Scheme("Semantic Versioning", univers.SemverVersion, _SEMVER, "+"),
    "cargo": _Scheme("Semantic Versioning", univers.SemverVersion, _SEMVER, "+"),
    "golang": _Scheme("Go modules", univers.GolangVersion, _SEMVER, "+"),
    "composer": _Scheme("Composer", univers.NugetVersion, _NUMBERS, "+"),
    "nuget": _Scheme("NuGet", univers.NugetVersion, _NUMBERS, "+"),
    "generic": _Scheme("one to four numbers", univers.NugetVersion, _NUMBERS, "+"),
    "gem": _Scheme("RubyGems", univers.RubygemsVersion, re.compile(r"\d+[0-9A-Za-z.-]*")),
    "maven": _Scheme("Maven", univers.MavenVersion, _WORDS),
    "deb": _Scheme("Debian", univers.DebianVersion, _DEBIAN),
    "rpm": _Scheme("RPM", univers.RpmVersion, _PACKAGE),
    "apk": _Scheme("Alpine", univers.AlpineLinuxVersion, re.compile(r"\d[0-9A-Za-z._-]*")),
    "alpm": _Scheme("Arch Linux", univers.ArchLinuxVersion, _PACKAGE),
}
ECOSYSTEMS: tuple[str, ...] = tuple(sorted(_SCHEMES))
"""The package URL types whose versions can be compared."""


def compare(component: str, a: str, b: str) -> int:
    """Below 0 if ``a`` is older than ``b``, 0 if they are the same version, above 0 if it is newer.

    Raises :class:`UnknownVersion` if the ecosystem or one of the versions cannot be read.
    """
    kind = ecosystem(component)
    left, right = _parsed(kind, a), _parsed(kind, b)
    if left < right:
        return -1
    return 1 if right < left else 0  # ``==`` compares the spelling of some: Debian's 1.0 is its 1.00


def is_valid(component: str, version: str) -> bool:
    """Whether ``version`` can be read by the rules of the component's ecosystem."""
    try:
        _parsed(ecosystem(component), version)
    except UnknownVersion:
        return False
    return True


def normal_form(component: str, version: str) -> str:
    """One spelling of a version: PEP 440's own for PyPI, as written elsewhere.

    Raises :class:`UnknownVersion`.
    """
    kind = ecosystem(component)
    _parsed(kind, version)
    return str(Pep440(version)) if kind == "pypi" else version


def in_range(component: str, version: str, affected: AffectedRange) -> bool:
    """Whether ``version`` lies in ``affected``: from ``introduced`` until ``fixed`` or ``last_affected``.

    Raises :class:`UnknownVersion` if the version or a bound cannot be read.
    """
    if affected.introduced != BEFORE_ANY and compare(component, version, affected.introduced) < 0:
        return False
    if affected.fixed is not None:
        return compare(component, version, affected.fixed) < 0
    if affected.last_affected is not None:
        return compare(component, version, affected.last_affected) <= 0
    _parsed(ecosystem(component), version)
    return True


def in_any_range(component: str, version: str, affected: Iterable[AffectedRange]) -> bool:
    """Whether ``version`` lies in one of the ranges.

    Raises :class:`UnknownVersion` if it lies in none of those that can be read and one cannot.
    """
    unknown: UnknownVersion | None = None
    for one in affected:
        try:
            if in_range(component, version, one):
                return True
        except UnknownVersion as error:
            unknown = error
    if unknown is not None:
        raise unknown
    return False


def exposed_to(component: str, installed: str, update_version: str, advisory: Advisory) -> bool:
    """Whether ``installed`` has the advisory's weakness; without ranges, every version before the update's.

    Raises :class:`UnknownVersion`.
    """
    if not advisory.affected:
        return compare(component, installed, update_version) < 0
    return in_any_range(component, installed, advisory.affected)


@lru_cache(maxsize=65536)
def _parsed(kind: str, version: str) -> Any:
    scheme = _SCHEMES.get(kind)
    if scheme is None:
        raise UnknownVersion(
            f"versions of the ecosystem {kind!r} cannot be compared; known: {', '.join(ECOSYSTEMS)}"
        )
    text = version.partition(scheme.ignored)[0] if scheme.ignored else version
    if len(version) > _LENGTH or not version.isascii() or not scheme.pattern.fullmatch(version):
        raise UnknownVersion(f"{version[:_LENGTH]!r} is no version by the rules of {scheme.name}")
    try:
        return scheme.order(text)
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise UnknownVersion(f"{version!r} is no version by the rules of {scheme.name}") from error
