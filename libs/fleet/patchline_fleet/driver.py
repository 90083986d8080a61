"""The driver port: what Patchline needs of a real target.

Every method is idempotent ("make it be version X": it first looks whether that is in effect), may be
cancelled and keeps its time limit. Those that change a target carry the caller's fencing number: the target
remembers the highest it has seen and refuses a lower one with :class:`Fenced`. A lease counts its claims from
one, so numbers are only compared within one ``scope``: what the lease is on, named so that no other lease
ever had the name (a document's id with the id of the event it came from).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from patchline_fleet.errors import Busy, DriverError, Fenced, NotEnoughSpace, TimedOut, TooLate, Unreachable
from patchline_schemas.fleet import Check, InstalledPackage, Target
from patchline_schemas.waves import CheckResult, PackageChange

__all__ = [
    "Applied",
    "BackedUp",
    "Busy",
    "Driver",
    "DriverError",
    "Fenced",
    "Inventory",
    "NotEnoughSpace",
    "Rehearsal",
    "StageOutput",
    "TimedOut",
    "TooLate",
    "Unreachable",
    "component_name",
]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is really installed."""

    packages: tuple[InstalledPackage, ...]
    runtime: str | None
    environment: str
    """Digest over packages, runtime and configuration files."""

    def version_of(self, component: str) -> str | None:
        """The installed version of a component (package URL without version), or None."""
        return next((p.version for p in self.packages if p.component == component), None)


@dataclass(frozen=True, slots=True)
class Applied:
    """What an ``apply`` or ``rollback`` did."""

    before: str | None
    after: str | None
    """Version in effect, asked from the target."""
    changes: tuple[PackageChange, ...]
    restarted: bool = False
    already: bool = False
    """The version was in effect before; nothing was touched."""
    notes: tuple[str, ...] = ()
    """Sentences for the report: what was kept aside and where, what a later update had changed."""
    output: str = ""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A folder that holds a target's backup, not yet an archive."""

    packages_total: int
    files_total: int


@dataclass(frozen=True, slots=True)
class StageOutput:
    """One stage of a rehearsal."""

    name: str
    passed: bool
    output: str
    duration: timedelta
    not_run: bool = False
    """It makes no sense in a copy (an HTTP check of the live program); ``passed`` then says nothing."""


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What happened in a disposable copy, before and after the update."""

    before: tuple[StageOutput, ...]
    apply: StageOutput
    after: tuple[StageOutput, ...] = field(default=())


class Driver(Protocol):
    """Hands on one kind of target.

    A driver may have an attribute ``ecosystems`` (``frozenset({"pypi"})``): the package URL types that its
    inventories can hold. A target that cannot be asked is then unknown for updates of these only.

    It may have a method ``check_settings(target)`` that raises :class:`DriverError` for ``settings`` in the
    fleet file that it cannot use; it looks at nothing else, so that a fleet file can be checked anywhere.
    """

    async def inventory(self, target: Target, *, timeout: timedelta) -> Inventory:
        """Every package, asked from the target itself. Raises :class:`DriverError`."""

    async def precheck(self, target: Target, component: str, version: str, *, timeout: timedelta) -> None:
        """Reachable, and room for the update. Raises :class:`DriverError` saying what is missing."""

    async def apply(
        self,
        target: Target,
        component: str,
        version: str,
        *,
        restart: bool,
        fence: int,
        timeout: timedelta,
        scope: str = "",
        begin_within: timedelta | None = None,
    ) -> Applied:
        """Bring ``version`` into effect (restarting the program if ``restart``).

        After ``begin_within`` of elapsed time from the call nothing is begun (:class:`TooLate`), however long
        this process was stopped in between; this very change, cut off before, is carried on all the same.
        """

    async def backup(self, target: Target, into: Path, *, timeout: timedelta) -> BackedUp:
        """Write the exact package set with hashes, configuration and data below the empty folder ``into``."""

    async def restore_to_scratch(
        self, target: Target, backup: Path, scratch: Path, *, timeout: timedelta
    ) -> Sequence[str]:
        """Restore the unpacked ``backup`` into ``scratch`` and compare.

        Returns the differences as sentences, none if it is whole.
        """

    async def rollback(
        self,
        target: Target,
        backup: Path,
        component: str,
        version: str,
        *,
        restart: bool,
        fence: int,
        timeout: timedelta,
        scope: str = "",
    ) -> Applied:
        """Undo the update to ``version`` with the unpacked ``backup``.

        Exact packages and configuration as backed up; data as ``target.backup.restore`` says, what is
        replaced kept aside first. If another update changed the target since, only what this update
        changed is reverted, and a note says so.
        """

    async def check(self, target: Target, check: Check, *, timeout: timedelta) -> CheckResult:
        """Run one of the target's own checks. A failing check is a result, not an exception."""

    async def rehearse(
        self, target: Target, component: str, version: str, workspace: Path, *, timeout: timedelta
    ) -> Rehearsal:
        """Copy the target below ``workspace`` and try the update there; the caller removes the folder.

        Stages, before and after: ``dependency consistency``, ``imports``, and each of the target's checks.
        """


def component_name(component: str) -> str:
    """The package's own name in a package URL without version: ``pkg:pypi/jinja2`` gives ``jinja2``."""
    return component.partition("/")[2]
