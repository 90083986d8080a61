"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace_whole(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of the file at ``path``; a reader sees the old or the new one, whole.

    Durable on return; the file keeps its permissions. A symbolic link is followed, not replaced.
    Raises :class:`OSError`.
    """
    path = path.resolve()
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            draft.chmod(path.stat().st_mode & 0o777)
        draft.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        draft.unlink(missing_ok=True)
