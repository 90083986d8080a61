"""The transports that the benchmarks run on: the embedded log, and Kafka where one answers."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_kit.transport.kafka import KafkaTransport
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.port import Transport
from patchline_kit.transport.topics import PARTITIONS, Topic


@dataclass(frozen=True)
class Place:
    """Where one measurement runs; nothing there is shared with another."""

    folder: Path
    kafka: str | None
    prefix: str
    topics: Mapping[str, Topic]

    def transport(self) -> Transport:
        """A transport of its own for each member, as separate processes have."""
        if self.kafka is None:
            return EmbeddedTransport(self.folder / "log.db", topics=self.topics)
        return kafka_transport(self.prefix, list(self.topics))


def kafka_transport(prefix: str, topics: Sequence[str]) -> KafkaTransport:
    """The kit's own transport on the Kafka that answers here."""
    connection = KafkaConnection((os.environ["PATCHLINE_TEST_KAFKA"],))
    return KafkaTransport(connection, prefix=prefix, topics=_declared(topics))


def _declared(topics: Sequence[str]) -> dict[str, Topic]:
    return {name: Topic(name, PARTITIONS, timedelta(days=1)) for name in topics}


def kinds() -> list[str]:
    """The transports that can be measured here."""
    return ["embedded", "kafka"] if os.environ.get("PATCHLINE_TEST_KAFKA") else ["embedded"]


@contextmanager
def place(kind: str, topics: Sequence[str]) -> Iterator[Place]:
    """A fresh place with these topics."""
    with TemporaryDirectory(prefix="patchline-bench-") as folder:
        kafka = os.environ["PATCHLINE_TEST_KAFKA"] if kind == "kafka" else None
        yield Place(Path(folder), kafka, f"bench-{uuid.uuid4().hex[:8]}-", _declared(topics))
