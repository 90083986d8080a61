"""What the examples have in common: one update of Jinja on one wiki."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from patchline_schemas.envelope import Event


class Examples(NamedTuple):
    """What an event looks like on most days, and where its optional fields are used or absent."""

    usual: Event
    edge: Event


JINJA = "pkg:pypi/jinja2"
UPDATE = "jinja2-3.1.6-5f2d1c"
WAVE = f"{UPDATE}.r1.w1"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
ENVIRONMENT = "sha256:2c26b46b68ffc68ff99b453c1d304134"


def at(minute: int, *, day: int = 3) -> datetime:
    """An instant, in minutes from nine o'clock on a day in March."""
    return datetime(2026, 3, day, 9, 0, tzinfo=UTC) + timedelta(minutes=minute)


def head(revision: int = 1) -> dict[str, object]:
    """The fields that every event of an update has."""
    return {"update_id": UPDATE, "revision": revision, "component": JINJA, "version": "3.1.6"}
