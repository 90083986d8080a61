"""Makes a backup of one target and proves it: it counts only once it was restored and compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from patchline_backup.settings import Settings
from patchline_fleet.archives import Archives
from patchline_fleet.driver import Driver, DriverError
from patchline_fleet.runs import TargetRun
from patchline_fleet.scratch import scratch
from patchline_kit.context import Context
from patchline_schemas.fleet import Target
from patchline_schemas.waves import Backup, TargetResult

SCRATCH = "backup"
"""What the names of its scratch folders begin with."""
SHOWN_DIFFERENCES = 20


async def back_up(target: Target, driver: Driver, run: TargetRun, ctx: Context) -> TargetResult:
    """Back the target up, store the archive, fetch it back, restore it into a scratch place and compare.

    Raises :class:`DriverError` if the archive or the restored copy is not what it should be. What an
    attempt stored that did not prove itself is deleted, after a crash by its successor.
    """
    limit = run.order.target_timeout
    archives = ctx.resource(Archives)
    if run.stored_archive is not None:
        await archives.delete(run.stored_archive)
    async with scratch(ctx.setting(Settings).dir / "work", SCRATCH) as folder:
        content, fetched, restored = (_made(folder / name) for name in ("content", "fetched", "restored"))
        made = await driver.backup(target, content, timeout=limit)
        archive = await archives.put(content, archive_name(run.order.wave_id, target.id))
        try:
            run.stored_archive = archive.address
            await ctx.checkpoint()
            await archives.fetch(archive.address, archive.sha256, fetched)
            differences = await driver.restore_to_scratch(target, fetched, restored, timeout=limit)
            _must_be_none(differences)
        except BaseException:
            await archives.delete(archive.address)
            raise
    run.backup = Backup(
        target_id=target.id,
        address=archive.address,
        sha256=archive.sha256,
        size=archive.size,
        packages_total=made.packages_total,
        files_total=made.files_total,
    )
    return TargetResult(
        target_id=target.id, outcome="succeeded", from_version=run.assignment.target.from_version
    )


def archive_name(wave_id: str, target_id: str) -> str:
    """Where in the archives the backup is found by a person: below its target, by its wave."""
    return f"{target_id}/{wave_id}"


def _must_be_none(differences: Sequence[str]) -> None:
    if differences:
        raise DriverError(
            "the backup was restored into a scratch place and differs from the target:\n"
            + "\n".join(differences[:SHOWN_DIFFERENCES])
        )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
