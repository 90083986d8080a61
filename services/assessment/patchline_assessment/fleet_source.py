"""Reads the fleet file, again only when it has changed."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from patchline_fleet.fleetfile import FleetFile, FleetFileError, read_fleet_file


@dataclass(frozen=True, slots=True)
class Refused:
    """A fleet file that cannot be used."""

    path: Path
    digest: str
    """Empty if it could not be read at all."""
    error: str


class FleetSource:
    """The fleet file at a path; the last good reading is kept."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._last: FleetFile | None = None

    async def read(self) -> FleetFile | Refused | None:
        """What the file says now; None if there is none to read."""
        if self.path is None:
            return None
        return await asyncio.to_thread(self._read, self.path)

    def _read(self, path: Path) -> FleetFile | Refused:
        digest = ""
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if self._last is None or self._last.digest != digest:
                self._last = read_fleet_file(path)
        except OSError as error:
            return Refused(path, digest, f"{path}: cannot be read: {error.strerror}")
        except FleetFileError as error:
            return Refused(path, digest, str(error))
        return self._last
