"""Components: package URLs without a version, in the one form that all of Patchline compares by."""

from __future__ import annotations

import re
from functools import lru_cache

from packageurl import PackageURL

_LENGTH = 300


class BadComponent(ValueError):
    """A package URL that names no component; the text says what to do about it."""


@lru_cache(maxsize=16384)
def normal_form(purl: str) -> str:
    """The component that a package URL names, spelled the one way it is compared by.

    Names follow the rules of their type (package URL specification, "purl types"). Names of PyPI follow
    PEP 503 wholly, so ``Zope.Interface`` and ``zope-interface`` are one component.

    Raises :class:`BadComponent` if it is no package URL, or has a version, qualifiers or a subpath.
    """
    parsed = _parsed(purl)
    if parsed.version:
        raise BadComponent(
            f"{purl!r} carries a version; write {_bare(parsed)!r} and put {parsed.version!r} into 'version'"
        )
    for part, value in (("qualifiers", parsed.qualifiers), ("a subpath", parsed.subpath)):
        if value:
            raise BadComponent(f"{purl!r} carries {part}; write {_bare(parsed)!r}")
    if parsed.type == "pypi" and parsed.namespace:
        raise BadComponent(f"{purl!r} has a namespace; a package of PyPI has none: 'pkg:pypi/NAME'")
    return _bare(parsed)


def ecosystem(component: str) -> str:
    """The type in a component: ``pypi`` of ``pkg:pypi/jinja2``."""
    return component.removeprefix("pkg:").partition("/")[0]


def short_name(component: str) -> str:
    """The last part of a component's name: ``core`` of ``pkg:npm/%40angular/core``."""
    return component.rpartition("/")[2]


def _parsed(purl: str) -> PackageURL:
    if len(purl) > _LENGTH:
        raise BadComponent(f"a package URL has at most {_LENGTH} characters, this one has {len(purl)}")
    try:
        return PackageURL.from_string(purl)
    except ValueError as error:
        raise BadComponent(f"{purl!r} is no package URL like 'pkg:pypi/jinja2': {error}") from error


def _bare(parsed: PackageURL) -> str:
    name = parsed.name
    if parsed.type == "pypi":
        name = re.sub(r"[-_.]+", "-", name).lower()
    return PackageURL(type=parsed.type, namespace=parsed.namespace, name=name).to_string()
