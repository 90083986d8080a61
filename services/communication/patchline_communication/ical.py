"""A wave's window as a calendar entry (iCalendar, RFC 5545)."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from icalendar import Calendar, Event

from patchline_communication.documents import WaveNews
from patchline_communication.texts import subject_of, targets

OPEN_END = timedelta(minutes=30)
"""Length of the entry of a wave whose window has no end."""


def entry(wave: WaveNews) -> bytes:
    """The ``.ics`` of a wave; the same wave gives the same bytes.

    A later one with the same UID and a higher SEQUENCE replaces it (RFC 5546, section 2.1.4). A wave that
    lost its time is cancelled until it has another. Raises :class:`ValueError` if it never had one.
    """
    if wave.shown_at is None:
        raise ValueError(f"{wave.id} has no time yet")
    gone = wave.cancelled or wave.starts_at is None
    calendar = Calendar()
    calendar.add("prodid", "-//Patchline//maintenance windows//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "CANCEL" if gone else "PUBLISH")
    event = Event()
    event.add("uid", f"{wave.id}@patchline")
    event.add("sequence", wave.sequence)
    event.add("dtstamp", wave.changed_at)
    event.add("dtstart", wave.shown_at)
    event.add("dtend", wave.ends_at or wave.shown_at + OPEN_END)
    event.add("summary", f"{subject_of(wave.component, wave.to_version)} on {wave.group}")
    event.add("description", f"Update {wave.update_id}, {targets(wave.targets_total)}.")
    event.add("status", "CANCELLED" if gone else "CONFIRMED")
    event.add("transp", "TRANSPARENT")
    calendar.add_component(event)
    return bytes(calendar.to_ical())


def write(folder: Path, wave: WaveNews) -> None:
    """Put the wave's entry into ``folder``, whole or not at all. Raises :class:`OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{wave.id}.ics"
    with draft.open("wb") as file:
        file.write(entry(wave))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / f"{wave.id}.ics")
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
