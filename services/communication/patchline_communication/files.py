"""A ``file:`` contact: notices appended to a text file, each once."""

from __future__ import annotations

import fcntl
import os
from datetime import datetime
from pathlib import Path

START = b"Notice: "
END = b"\n.\n"
"""Closes an entry: a line with a single dot."""
LOOK_BACK_BYTES = 1 << 20
"""A repetition comes soon after a crash, so only so much of the file's end is searched for it."""


def append_once(path: Path, notice_id: str, at: datetime, subject: str, body: str) -> bool:
    """Append the notice unless the file shows it already; whether it was appended. Durable on return.

    An entry that a crash cut off is removed first. Raises :class:`OSError` with the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - LOOK_BACK_BYTES)
        file.seek(start)
        tail = file.read()
        whole = _without_cut_off_entry(tail)
        if len(whole) < len(tail):
            file.truncate(start + len(whole))
        if _header(notice_id) in whole:
            return False
        if whole and not whole.endswith(b"\n"):
            file.write(b"\n")
        file.write(_entry(notice_id, at, subject, body))
        file.flush()
        os.fsync(file.fileno())
    if new:
        _keep_name(path)
    return True


def _keep_name(path: Path) -> None:
    """Make a new file's entry in its folder durable too."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _header(notice_id: str) -> bytes:
    return START + f"{notice_id}\n".encode()


def _entry(notice_id: str, at: datetime, subject: str, body: str) -> bytes:
    quoted = "\n".join(f" {line}" for line in body.splitlines())
    text = f"Time: {at:%Y-%m-%dT%H:%M:%SZ}\nSubject: {subject}\n{quoted}"
    return _header(notice_id) + text.encode() + END


def _without_cut_off_entry(tail: bytes) -> bytes:
    """The file's end up to the last entry that is whole; what others have written there stays."""
    end = tail.rfind(END)
    whole = end + len(END) if end >= 0 else 0
    rest = tail[whole:]
    if rest.startswith(START) or (rest and START.startswith(rest)):
        return tail[:whole]
    begins = rest.find(b"\n" + START)
    return tail if begins < 0 else tail[: whole + begins + 1]
