"""What the delivery tests run on: each of them on the embedded log and, marked ``native``, on Kafka."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

import pytest
from delivery import Crashing, Log

from patchline_kit import ManualClock
from patchline_kit.testing import BEGINNING
from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_kit.transport.kafka import KafkaTransport
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.topics import Topic, declared_topics


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(BEGINNING)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.native)])
def log(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Log:
    """Makes a transport on the same records each time it is called, as a restarted process does."""
    if request.param == "embedded":
        return lambda: EmbeddedTransport(tmp_path / "log.db", clock=clock)
    bootstrap = os.environ.get("PATCHLINE_TEST_KAFKA")
    if bootstrap is None:
        pytest.skip("PATCHLINE_TEST_KAFKA names no Kafka (make native starts one)")
    prefix = f"test-{uuid4().hex[:8]}."
    topics = {
        name: Topic(name, 3, topic.keep)
        for name, topic in declared_topics().items()
        if name.startswith(("feeds.", "dead-letters"))
    }
    connection = KafkaConnection((bootstrap,))
    return lambda: KafkaTransport(connection, prefix=prefix, topics=topics, member=prefix)


@pytest.fixture
def crashing(log: Log) -> Log:
    """The same log each time, wrapped so that a test can stop it where a crash would hurt."""
    made: list[Crashing] = []

    def make() -> Crashing:
        made.append(Crashing(log()))
        return made[-1]

    return make
