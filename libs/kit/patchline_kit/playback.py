"""Records played back from the ledger: how one travels to its reader, and what it is there.

They travel on a topic of their own, :data:`PLAYBACK`, so that nobody else reads them, under the key that they
had: records of one key come back in the order of their chain.
"""

from __future__ import annotations

from msgspec.structs import replace

from patchline_kit.ledger import LedgerLine
from patchline_kit.transport.port import Received
from patchline_kit.transport.topics import PLAYBACK
from patchline_schemas import WireRecord

READER_HEADER = "playback_reader"
TOPIC_HEADER = "playback_topic"
"""Which group a record is for, and the topic that it lay on."""
NO_PARTITION = -1
"""Stands for the partition of a record that was played back."""
FIRST_OFFSET = 1 << 50
"""Offsets of records that were played back begin here, apart from all that a topic can have."""


def played_back(line: LedgerLine, reader: str) -> WireRecord:
    """The record that carries an entry of the ledger to the group ``reader``."""
    return WireRecord(
        topic=PLAYBACK,
        key=line.key.encode(),
        headers=(
            *((name, text.encode()) for name, text in line.headers),
            (READER_HEADER, reader.encode()),
            (TOPIC_HEADER, line.topic.encode()),
        ),
        value=line.body.encode(),
    )


def original(record: Received, reader: str) -> Received | None:
    """The record as it once was; None if it is played back to another than ``reader``.

    A record of any other topic is what it is.
    """
    if record.topic != PLAYBACK:
        return record
    marks = {name: raw.decode() for name, raw in record.headers if name in (READER_HEADER, TOPIC_HEADER)}
    if marks.get(READER_HEADER) != reader:
        return None
    return replace(
        record,
        topic=marks[TOPIC_HEADER],
        partition=NO_PARTITION,
        offset=FIRST_OFFSET + record.offset,
        headers=tuple(header for header in record.headers if header[0] not in (READER_HEADER, TOPIC_HEADER)),
    )


def was_played_back(record: Received) -> bool:
    """Whether ``record`` is old news from the ledger."""
    return record.partition == NO_PARTITION
