"""Records as rows of the embedded log's file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from patchline_kit.transport.port import Received

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def dump(headers: Iterable[tuple[str, bytes]]) -> str:
    """Headers as JSON; Latin-1 maps every byte to one character and back."""
    return json.dumps([(name, raw.decode("latin-1")) for name, raw in headers])


def received(row: Sequence[Any]) -> Received:
    """A row of topic, place, key, headers, value and time."""
    topic, place, key, headers, value, at = row
    return Received(
        topic=topic,
        partition=0,
        offset=place,
        key=key,
        headers=tuple((name, text.encode("latin-1")) for name, text in json.loads(headers)),
        value=value,
        timestamp=instant(at),
    )


def micros(moment: datetime) -> int:
    """Microseconds since 1970, as instants lie in the file."""
    return (moment - EPOCH) // MICROSECOND


def instant(stored_micros: int) -> datetime:
    """The instant that lies in the file, in UTC."""
    return EPOCH + stored_micros * MICROSECOND
