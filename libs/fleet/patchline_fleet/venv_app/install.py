"""Brings a version into effect in an application's environment, and repairs what a cut-off change left."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from patchline_fleet import supervised
from patchline_fleet.errors import DriverError, NotEnoughSpace, TooLate
from patchline_fleet.files import write_atomically
from patchline_fleet.venv_app.applylog import ApplyLog
from patchline_fleet.venv_app.environment import (
    Distribution,
    Environment,
    changes,
    look,
    owned_elsewhere,
    same_version,
)
from patchline_fleet.venv_app.lock import Held, exclusive
from patchline_fleet.venv_app.place import Place

JOURNAL = "journal.json"
"""What the environment held before a change that has not yet ended well."""


@dataclass(frozen=True, slots=True)
class Order:
    """A change to one application."""

    place: Place
    name: str
    """The package, in normal form."""
    version: str
    scope: str
    fence: int
    restart: tuple[str, ...]
    """Command; empty if nothing is to be restarted."""
    restart_timeout: float
    uv: str
    wait: float
    """Seconds to wait for the folder's lock."""
    begin_before: float | None = None
    """When it is too late to begin, by the machine's monotonic clock; null for never."""

    @property
    def component(self) -> str:
        """The package as everything outside this driver calls it."""
        return f"pkg:pypi/{self.name}"

    @classmethod
    def of(cls, job: dict[str, Any]) -> Order:
        """The order in a job."""
        return cls(
            place=Place.of(job),
            name=job["name"],
            version=job["version"],
            scope=job["scope"],
            fence=job["fence"],
            restart=tuple(job["restart"]),
            restart_timeout=job["restart_timeout"],
            uv=job["uv"],
            wait=job["wait"],
            begin_before=job.get("begin_before"),
        )


@dataclass(frozen=True, slots=True)
class Journal:
    """The state before a change, kept until it ended well."""

    name: str
    version: str
    versions: dict[str, str]
    files: dict[str, list[str]]
    """Each package's files."""
    amiss: dict[str, int | None] = field(default_factory=dict)
    """Files that were not as their RECORD says: somebody's own changes, or scripts of a copy. They stay."""

    def broken(self, environment: Environment) -> list[Distribution]:
        """The packages that are not whole now, and were before."""
        doubled = environment.doubled()
        return [
            each
            for each in environment.distributions
            if each.name in doubled or not each.amiss().items() <= self.amiss.items()
        ]


def apply(job: dict[str, Any]) -> dict[str, Any]:
    """Make the package be the wanted version: look, install, ask again, restart."""
    order = Order.of(job)
    with exclusive(order.place.folder, wait=order.wait) as held:
        held.admit(order.scope, order.fence)
        log = ApplyLog(held.state)
        environment = look(order.place.environment, folder=order.place.folder)
        if in_effect(environment, order) and not _unfinished(log, held, order):
            version = environment.versions[order.name]
            return {"before": version, "after": version, "changes": [], "already": True, "output": ""}
        _must_not_be_late(order, log)
        journal = open_journal(held, environment, order.name, order.version)
        begun = log.begin("apply", order.component, order.version, fence=order.fence, scope=order.scope)
        try:
            output = install(order, environment, journal, held)
            after = look(order.place.environment, folder=order.place.folder)
            must_be_in_effect(after, order)
            restarted = restart(order)
        except (DriverError, OSError) as error:
            log.failed(begun, str(error))
            _drop_if_untouched(order.place, held, journal)
            raise
        changed = changes(journal.versions, after.versions)
        log.succeeded(begun, changes=changed, packages=after.versions, files=order.place.files_digest())
        close_journal(held)
        return {
            "before": journal.versions.get(order.name),
            "after": after.versions[order.name],
            "changes": changed,
            "restarted": restarted,
            "already": False,
            "output": output,
        }


def in_effect(environment: Environment, order: Order) -> bool:
    """Whether the wanted version is what the environment says it has."""
    return not environment.doubled() and same_version(environment.versions.get(order.name), order.version)


def install(order: Order, environment: Environment, journal: Journal, held: Held | None) -> str:
    """Install the wanted version; with a journal of a change cut off, what that left broken is put right too.

    Returns what uv said. Raises :class:`DriverError` with uv's own words.
    """
    clear_remains(environment, journal)
    output = uv_install(order, [f"{order.name}=={order.version}"], held)
    now = look(order.place.environment, folder=order.place.folder).versions
    lost = [f"{name}=={version}" for name, version in journal.versions.items() if name not in now]
    if lost:
        output += uv_install(order, ["--no-deps", *lost], held)
    return output


def uv_install(order: Order, arguments: Sequence[str], held: Held | None) -> str:
    """Run ``uv pip install``, which keeps the folder's lock while it lives."""
    command = [order.uv, "pip", "install", "--color", "never", "--no-progress"]
    command += ["--python", str(order.place.environment / "bin" / "python"), *arguments]
    done = supervised.run(command, cwd=order.place.folder, pass_fds=(held.descriptor,) if held else ())
    if not done.ok:
        raise tool_failure("uv", done.output)
    return done.output


def tool_failure(tool: str, output: str) -> DriverError:
    """The error for a tool's own words."""
    words = output.strip()[-2000:] or "it failed without a word"
    if "os error 28" in output or "No space left on device" in output:
        return NotEnoughSpace(f"{tool}: {words}")
    return DriverError(f"{tool}: {words}")


def must_be_in_effect(environment: Environment, order: Order) -> None:
    """Raise :class:`DriverError` unless the wanted version is there, wholly."""
    environment.must_be_whole()
    found = environment.find(order.name)
    if found is None or not same_version(found.version, order.version):
        raise DriverError(
            f"{order.name} {order.version} was installed, but {environment.root} "
            f"says {found.version if found else 'it is not there'}"
        )
    if amiss := found.amiss():
        raise DriverError(
            f"{order.name} {order.version} is not whole: {next(iter(amiss))} is not as its RECORD says"
        )


def restart(order: Order) -> bool:
    """Run the restart command, if there is one to run. Raises :class:`DriverError` with its own words."""
    if not order.restart:
        return False
    words = " ".join(order.restart)
    try:
        done = supervised.run(
            order.restart,
            cwd=order.place.folder,
            timeout=order.restart_timeout,
            output_file=order.place.state / "restart.log",
        )
    except OSError as error:
        raise DriverError(f"the restart command `{words}` cannot be run: {error.strerror}") from error
    if done.returncode is None:
        raise DriverError(f"the restart command `{words}` did not end within {order.restart_timeout:g} s")
    if not done.ok:
        raise DriverError(
            f"the restart command `{words}` ended with {done.returncode}: {done.output[-1500:]}"
        )
    return True


def open_journal(held: Held, environment: Environment, name: str, version: str) -> Journal:
    """Note what is there now; if the same change was cut off earlier, what was there before that."""
    path = held.state / JOURNAL
    if path.exists():
        earlier = Journal(**json.loads(path.read_bytes()))
        if (earlier.name, earlier.version) == (name, version):
            return earlier
    else:
        earlier = None
    files = {each.name: [str(path) for path in each.files() or ()] for each in environment.distributions}
    versions, amiss = environment.versions, environment.amiss()
    if earlier:
        files = {**earlier.files, **files}
        broken = {each.name for each in earlier.broken(environment)}
        versions = {**earlier.versions, **{k: v for k, v in versions.items() if k not in broken}}
        amiss = earlier.amiss
    journal = Journal(name, version, versions, files, amiss)
    write_atomically(path, json.dumps(asdict(journal)).encode())
    return journal


def close_journal(held: Held) -> None:
    """The change ended well."""
    (held.state / JOURNAL).unlink(missing_ok=True)


def clear_remains(environment: Environment, journal: Journal) -> None:
    """Remove what an installation cut off left: half a package, its metadata, an old version's files."""
    broken = journal.broken(environment)
    whole = [each for each in environment.distributions if each not in broken]
    lost = [name for name in journal.versions if name not in {each.name for each in whole}]
    stale = {Path(path) for name in lost for path in journal.files.get(name, ())}
    for each in broken:
        stale.update(each.files() or ())
    for path in stale - owned_elsewhere(whole, but=None):
        path.unlink(missing_ok=True)
    for folder in (*(each.info for each in broken), *environment.nameless):
        shutil.rmtree(folder, ignore_errors=True)


def remove(distribution: Distribution, environment: Environment) -> None:
    """Remove a package's files; its RECORD goes last, so that a removal cut off can be done again."""
    files = set(distribution.files() or ()) - owned_elsewhere(environment.distributions, but=distribution)
    folders = set()
    for path in files - {distribution.info / "RECORD"}:
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    shutil.rmtree(distribution.info, ignore_errors=True)
    for folder in sorted(folders, key=lambda each: len(each.parts), reverse=True):
        _prune(folder, environment.sites)


def room_for(place: Place, name: str, environment: Environment) -> None:
    """Raise :class:`NotEnoughSpace` unless a package of three times the present size fits in."""
    found = environment.find(name)
    size = sum(path.stat().st_size for path in (found.files() or ()) if path.is_file()) if found else 0
    needed = 32 * 1024 * 1024 + 3 * size
    free = shutil.disk_usage(place.environment).free
    if free < needed:
        raise NotEnoughSpace(
            f"{place.environment} has {free // 2**20} MiB free, the update needs up to {needed // 2**20} MiB"
        )


def _must_not_be_late(order: Order, log: ApplyLog) -> None:
    """Raise :class:`TooLate` after the time in which to begin, unless this very change was cut off before."""
    if order.begin_before is None or time.monotonic() < order.begin_before:
        return
    cut_off = log.unfinished()
    this = ("apply", order.component, order.version)
    if cut_off is None or (cut_off.operation, cut_off.component, cut_off.version) != this:
        raise TooLate(
            f"the time in which {order.place.folder} could be changed is over; it was left as it is"
        )


def _unfinished(log: ApplyLog, held: Held, order: Order) -> bool:
    """Whether this very change still has to be ended: it was cut off, or failed after the installation."""
    if log.unfinished() is not None:
        return True
    same = [
        each for each in log.entries() if (each.component, each.version) == (order.component, order.version)
    ]
    return bool(same) and same[-1].operation == "apply" and same[-1].outcome == "failed"


def _drop_if_untouched(place: Place, held: Held, journal: Journal) -> None:
    """A change that failed before it touched anything needs no repair."""
    environment = look(place.environment, folder=place.folder)
    whole = not environment.nameless and not journal.broken(environment)
    if whole and environment.versions == journal.versions:
        close_journal(held)


def _prune(folder: Path, sites: tuple[Path, ...]) -> None:
    """Remove a folder, and those above it, that hold nothing but byte code."""
    while folder not in sites and any(folder.is_relative_to(site) for site in sites):
        if not folder.is_dir():
            folder = folder.parent
            continue
        left = [each for each in folder.iterdir() if each.name != "__pycache__"]
        if left:
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder = folder.parent
