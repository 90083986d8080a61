"""Whether the backups of a wave can still be read: without them nothing is deployed."""

from __future__ import annotations

from collections.abc import Iterable

from patchline_fleet.archives import Archives
from patchline_fleet.driver import DriverError
from patchline_fleet.runs import Assignment


async def unreadable(assignments: Iterable[Assignment], archives: Archives) -> str | None:
    """Why the wave is refused, as a sentence; None if every archive that is named is there with its digest.

    A target without a backup is no reason: it is left out.
    """
    problems = []
    for assignment in assignments:
        if assignment.backup is None:
            continue
        try:
            await archives.verify(assignment.backup.address, assignment.backup.sha256)
        except (DriverError, OSError) as error:
            problems.append(f"{assignment.target_id}: {error}")
    if not problems:
        return None
    more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
    return f"nothing was deployed, because a backup cannot be read: {'; '.join(problems[:5])}{more}"
