"""What a check of ``doctor`` found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["pass", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A check, how it ended, and what to do about it."""

    check: str
    result: Result
    what: str
    """A sentence; for ``skip`` the reason."""
    fix: str | None = None
    """Null where nothing is to be done."""


def passes(check: str, what: str) -> Diagnosis:
    """All is well."""
    return Diagnosis(check, "pass", what)


def warns(check: str, what: str, fix: str) -> Diagnosis:
    """Works, and will not for long, or not as well as it should."""
    return Diagnosis(check, "warn", what, fix)


def fails(check: str, what: str, fix: str) -> Diagnosis:
    """Does not work."""
    return Diagnosis(check, "fail", what, fix)


def skips(check: str, why: str, fix: str | None = None) -> Diagnosis:
    """Could not be looked at."""
    return Diagnosis(check, "skip", why, fix)
