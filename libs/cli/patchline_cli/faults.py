"""Faults of the command itself: written down, so that the terminal stays readable."""

from __future__ import annotations

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path


def log_file() -> Path:
    """Where faults are written: ``patchline/cli.log`` in the user's state folder (XDG)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "patchline" / "cli.log"


def write_down(error: BaseException) -> Path:
    """Append the traceback to the log; where it was written."""
    text = "".join(traceback.format_exception(error))
    entry = f"{datetime.now(UTC).isoformat(timespec='seconds')}\n{text}\n"
    for path in (log_file(), Path(tempfile.gettempdir()) / "patchline-cli.log"):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as log:
                log.write(entry)
        except OSError:
            continue
        return path
    return Path(os.devnull)
