"""A wave's window as a calendar entry (iCalendar, RFC 5545)."""

from __future__ import annotations

import os
from pathlib import Path

from icalendar import Calendar, Event

from patchline_communication.documents import WaveNews


def entry(wave: WaveNews) -> bytes:
    """The ``.ics`` of a wave; the same wave gives the same bytes.

    A later one with the same UID and a higher SEQUENCE replaces it (RFC 5546, section 2.1.4).
    """
    calendar = Calendar()
    calendar.add("prodid", "-//Patchline//maintenance windows//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "CANCEL" if wave.cancelled else "PUBLISH")
    event = Event()
    event.add("uid", f"{wave.id}@patchline")
    event.add("sequence", wave.sequence)
    event.add("dtstamp", wave.changed_at)
    if wave.starts_at is not None:
        event.add("dtstart", wave.starts_at)
    if wave.ends_at is not None:
        event.add("dtend", wave.ends_at)
    event.add("summary", f"{wave.component.rpartition('/')[2]} {wave.to_version} on {wave.group}")
    event.add("description", f"Update {wave.update_id}, {wave.targets_total} targets.")
    event.add("status", "CANCELLED" if wave.cancelled else "CONFIRMED")
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
