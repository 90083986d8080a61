"""Whether a version found on a target is the one that was meant."""

from __future__ import annotations

from patchline_schemas.versions import UnknownVersion, compare


def same_version(component: str, found: str | None, wanted: str | None) -> bool:
    """Whether both are the same version by the ecosystem's rules; where none can read them, letter by letter.

    A version that is absent is only the same as another absent one.
    """
    if found is None or wanted is None:
        return found == wanted
    try:
        return compare(component, found, wanted) == 0
    except UnknownVersion:
        return found == wanted


def is_newer(component: str, found: str | None, wanted: str) -> bool:
    """Whether ``found`` is surely newer; False where no rule can say."""
    if found is None:
        return False
    try:
        return compare(component, found, wanted) > 0
    except UnknownVersion:
        return False
