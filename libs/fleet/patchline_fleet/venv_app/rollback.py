"""Takes an update back: the exact packages and configuration of its backup, and nothing that came later."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from patchline_fleet import supervised
from patchline_fleet.errors import DriverError
from patchline_fleet.files import walk
from patchline_fleet.venv_app.applylog import ApplyLog, Entry
from patchline_fleet.venv_app.backup import BackupRecord, KeptPackage, at_site, compare_packages, copy_kept
from patchline_fleet.venv_app.environment import Distribution, Environment, changes, look
from patchline_fleet.venv_app.install import (
    Order,
    clear_remains,
    close_journal,
    open_journal,
    remove,
    restart,
)
from patchline_fleet.venv_app.lock import exclusive
from patchline_fleet.venv_app.place import Place, tree_digest
from patchline_fleet.venv_app.sqlite import companions


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rollback reverts."""

    packages: tuple[str, ...]
    files: tuple[str, ...]
    exact: bool
    """Nothing came after the update: everything is put back as the backup has it."""
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class Since:
    """What the apply log says of an update that is taken back."""

    number: int
    """Place of its last line in the log: names what is kept aside, the same when the rollback runs again."""
    ended: Entry | None
    """Its end, if it ended well."""
    later: list[Entry] = field(default_factory=list)
    """Other changes that ended well after it."""
    half_back: bool = False
    """Whether a rollback of it was begun and did not end well."""


def rollback(job: dict[str, Any]) -> dict[str, Any]:
    """Undo the update to ``version`` with the unpacked backup."""
    order, kept = Order.of(job), Path(job["backup"])
    place = order.place
    with exclusive(place.folder, wait=order.wait) as held:
        held.admit(order.scope, order.fence)
        record = BackupRecord.read(kept)
        log = ApplyLog(held.state)
        entries = log.entries()
        before = look(place.environment, folder=place.folder)
        if _done(entries, order):
            version = before.versions.get(order.name)
            return {"before": version, "after": version, "changes": [], "already": True}
        since = since_update(entries, order)
        plan = make_plan(order.name, since, before, record, place)
        journal = open_journal(held, before, order.name, order.version)
        begun = log.begin("rollback", order.component, order.version, fence=order.fence, scope=order.scope)
        try:
            if plan.exact:
                clear_remains(before, journal)
            _revert_packages(plan.packages, kept, record, place)
            aside = held.state / "kept" / f"{since.number:04d}-{order.name}-{order.version}"
            notes = [*plan.notes, *_revert_files(plan, kept, record, place, aside)]
            after = look(place.environment, folder=place.folder)
            notes += _verified(plan, after, record, order)
            restarted = restart(order)
        except (DriverError, OSError) as error:
            log.failed(begun, str(error))
            raise
        start = since.ended.packages if since.ended and since.half_back else before.versions
        changed = changes(start, after.versions)
        log.succeeded(begun, changes=changed, packages=after.versions, files=place.files_digest())
        close_journal(held)
        return {
            "before": start.get(order.name),
            "after": after.versions.get(order.name),
            "changes": changed,
            "restarted": restarted,
            "already": False,
            "notes": notes,
        }


def since_update(entries: Sequence[Entry], order: Order) -> Since:
    """Find the update in the log, and what came after it."""
    since = Since(0, None)
    for number, entry in enumerate(entries):
        ours = (entry.component, entry.version) == (order.component, order.version)
        if ours and entry.operation == "apply":
            ended = entry if entry.outcome == "succeeded" else None
            since = Since(number, ended)
        elif ours:
            since.half_back = entry.outcome != "succeeded"
        elif not ours and entry.outcome == "succeeded":
            since.later.append(entry)
    return since


def make_plan(name: str, since: Since, environment: Environment, record: BackupRecord, place: Place) -> Plan:
    """Decide what to revert: all, or only what this update changed if something came after it."""
    now, ended = environment.versions, since.ended
    restored = tuple(relative for relative in place.restored if relative in record.files)
    if _nothing_came_after(since, now, record.versions):
        return Plan(packages=tuple(sorted({*record.packages, *now})), files=restored, exact=True)
    changed = ended.changes if ended else [(name, record.versions.get(name), now.get(name))]
    who = sorted({f"{each.component.partition('/')[2]} {each.version}" for each in since.later})
    notes = [
        f"{', '.join(who) if who else 'somebody'} changed the target after this update; "
        "only what this update changed was reverted"
    ]
    packages, files = [], []
    for package, _, version in changed:
        if _is_ours(since, now.get(package), version, record.versions.get(package)):
            packages.append(package)
        else:
            notes.append(
                f"{package} was changed since (now {now.get(package) or 'absent'}) and was left as it is"
            )
    for relative in restored:
        if ended is None or ended.files.get(relative) == tree_digest(place.inside(relative)):
            files.append(relative)
        else:
            notes.append(f"{relative} was changed since and was left as it is")
    return Plan(tuple(packages), tuple(files), exact=False, notes=tuple(notes))


def _nothing_came_after(since: Since, now: Mapping[str, str], kept: Mapping[str, str]) -> bool:
    """Whether the packages are as the update left them, or on the way from there to the backup."""
    if since.ended is None:
        return not since.later
    left = since.ended.packages
    if not since.half_back:
        return left == now
    names = {*now, *left, *kept}
    return not since.later and all(
        _is_ours(since, now.get(name), left.get(name), kept.get(name)) for name in names
    )


def _is_ours(since: Since, now: str | None, left: str | None, kept: str | None) -> bool:
    """Whether a package is as the update left it, or as a rollback that was cut off may have left it."""
    return now == left or (since.half_back and now in (kept, None))


def _done(entries: Sequence[Entry], order: Order) -> bool:
    """Whether the last change of the target is this very rollback, well ended."""
    if not entries:
        return False
    last = entries[-1]
    same = (last.operation, last.component, last.version) == ("rollback", order.component, order.version)
    return same and last.outcome == "succeeded"


def _revert_packages(names: Sequence[str], kept: Path, record: BackupRecord, place: Place) -> None:
    environment = look(place.environment, folder=place.folder)
    for name in names:
        wanted = record.packages.get(name)
        here = [each for each in environment.distributions if each.name == name]
        if wanted and len(here) == 1 and _is_as_kept(here[0], wanted):
            continue
        for each in here:
            remove(each, environment)
        if wanted:
            _put_back(wanted, kept / "site-packages", environment.sites[0])


def _is_as_kept(found: Distribution, wanted: KeptPackage) -> bool:
    return None not in found.amiss().values() and found.digest() == wanted.digest


def _put_back(package: KeptPackage, source: Path, site: Path) -> None:
    """Copy a package's files; its RECORD last, so that a copy cut off shows as one."""
    record = f"{package.info}/RECORD"
    for name in sorted(package.files, key=lambda each: each == record):
        target = at_site(site, Path(name))
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.patchline")
        shutil.copy2(source / name, temporary)
        temporary.replace(target)


def _revert_files(plan: Plan, kept: Path, record: BackupRecord, place: Place, aside: Path) -> list[str]:
    notes = []
    for relative in plan.files:
        current = place.inside(relative)
        if tree_digest(current) == record.files.get(relative):
            continue
        _swap(current, kept / "files" / relative, aside / relative)
    if aside.is_dir():
        kept_names = ", ".join(sorted(path.name for path in aside.iterdir()))
        notes.append(f"what the rollback replaced ({kept_names}) was kept aside in {aside}")
    return notes


def _swap(current: Path, wanted: Path, aside: Path) -> None:
    """Put ``wanted`` in the place of ``current``, which is kept aside first."""
    fresh = current.with_name(f".{current.name}.patchline")
    if fresh.is_dir() and not fresh.is_symlink():
        shutil.rmtree(fresh)
    else:
        fresh.unlink(missing_ok=True)
    copy_kept(wanted, fresh)
    if current.exists() or current.is_symlink():
        _adopt_owner(fresh, current)
        aside.parent.mkdir(parents=True, exist_ok=True)
        for path in [current, *(companions(current) if current.is_file() else ())]:
            shutil.move(path, _free_name(aside.with_name(path.name)))
    fresh.rename(current)


def _free_name(path: Path) -> Path:
    number = 2
    free = path
    while free.exists() or free.is_symlink():
        free = path.with_name(f"{path.name}.{number}")
        number += 1
    return free


def _adopt_owner(fresh: Path, replaced: Path) -> None:
    """Give new files the owner of those they replace, where this user may."""
    if os.geteuid() != 0:
        return
    owner = replaced.lstat()
    paths = [fresh, *(walk(fresh) if fresh.is_dir() and not fresh.is_symlink() else ())]
    for path in paths:
        before = replaced / path.relative_to(fresh) if path != fresh else replaced
        status = before.lstat() if before.exists() or before.is_symlink() else owner
        os.chown(path, status.st_uid, status.st_gid, follow_symlinks=False)


def _verified(plan: Plan, after: Environment, record: BackupRecord, order: Order) -> list[str]:
    """Ask the environment. Notes for the report; raises :class:`DriverError` if it is not as backed up."""
    after.must_be_whole()
    if plan.exact:
        if differences := compare_packages(after, record):
            raise DriverError(
                f"after the rollback {after.root} is not as backed up: {'; '.join(differences)}"
            )
        return []
    for name in plan.packages:
        if after.versions.get(name) != record.versions.get(name):
            raise DriverError(
                f"after the rollback {name} is {after.versions.get(name)}, not {record.versions.get(name)}"
            )
    done = supervised.run(
        [order.uv, "pip", "check", "--color", "never", "--python", str(after.python)],
        cwd=order.place.folder,
    )
    return [] if done.ok else [f"the packages do not all fit together now: {done.output.strip()[-1000:]}"]
