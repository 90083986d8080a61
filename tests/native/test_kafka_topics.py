"""Topics on a real Kafka: made as declared, left alone, refused where they do not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from kafka_world import KafkaWorld, kafka_world

from patchline_kit.transport.kafka_topics import create_missing, ensure_topics, look
from patchline_kit.transport.port import TransportError
from patchline_kit.transport.topic_fit import configs_of
from patchline_kit.transport.topics import Topic, declared_topics

pytestmark = pytest.mark.native

COMMAND = str(Path(sys.executable).with_name("patchline"))
WAVES = Topic("waves.due", 2, timedelta(days=3))


@pytest.fixture
async def world() -> AsyncIterator[KafkaWorld]:
    async with kafka_world([]) as found:
        yield found


async def make(world: KafkaWorld, name: str, partitions: int, configs: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(**world.connection.options())
    await admin.start()
    try:
        await admin.create_topics([NewTopic(world.prefix + name, partitions, 1, topic_configs=configs)])
    finally:
        await admin.close()


async def test_topics_are_made_as_declared(world: KafkaWorld):
    topics = {
        "kept": Topic("kept", 2, timedelta(days=3)),
        "standing": Topic("standing", 2, timedelta(days=3), compacted=True),
        "forever": Topic("forever", 1, None),
    }
    await ensure_topics(world.connection, topics, prefix=world.prefix)
    found = await look(world.connection, [world.prefix + name for name in [*topics, "another"]])
    assert set(found) == {world.prefix + name for name in topics}
    for name, topic in topics.items():
        there = found[world.prefix + name]
        assert there.partitions == topic.partitions
        assert there.configs is not None
        assert configs_of(topic).items() <= there.configs.items()


async def test_those_that_fit_are_left_alone(world: KafkaWorld):
    await make(world, "waves.due", 4, configs_of(WAVES))
    await ensure_topics(world.connection, {"waves.due": WAVES}, prefix=world.prefix)
    assert await create_missing(world.connection, [WAVES], prefix=world.prefix) == []
    assert (await look(world.connection, [world.prefix + "waves.due"]))[
        world.prefix + "waves.due"
    ].partitions == 4


async def test_a_topic_that_somebody_else_made_otherwise_stops_the_start(world: KafkaWorld):
    await make(world, "waves.due", 1, {})
    with pytest.raises(
        TransportError,
        match=r"not as they must be: test-.*waves\.due has 1 partition, should have 2.*topics check",
    ):
        await ensure_topics(world.connection, {"waves.due": WAVES}, prefix=world.prefix)


async def test_a_refused_topic_is_named(world: KafkaWorld):
    with pytest.raises(TransportError, match=r"refuses to create the topic .*many"):
        await ensure_topics(
            world.connection, {"many": Topic("many", 1, None, replication=3)}, prefix=world.prefix
        )


async def test_topics_that_are_missing_and_may_not_be_made_are_named(world: KafkaWorld):
    with pytest.raises(TransportError, match=r"Kafka lacks test-.*waves\.due.*CREATE_TOPICS"):
        await ensure_topics(world.connection, {"waves.due": WAVES}, prefix=world.prefix, create=False)


def patchline(world: KafkaWorld, line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "topics", *line.split()],
        env={
            **os.environ,
            "PATCHLINE_KAFKA": os.environ["PATCHLINE_TEST_KAFKA"],
            "PATCHLINE_TOPIC_PREFIX": world.prefix,
            "PATCHLINE_KAFKA_PARTITIONS": "1",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_the_command_creates_what_is_missing_and_checks_the_rest(world: KafkaWorld):
    await make(world, "waves.due", 1, {})
    before = patchline(world, "check -o json")
    assert before.returncode == 1
    drift = {each["topic"].removeprefix(world.prefix): each for each in json.loads(before.stdout)}
    assert drift["updates.planned"]["what"] == "is missing"
    assert "retention.ms is 7 days, should be 30 days" in drift["waves.due"]["what"]
    assert "kafka-configs.sh --alter" in drift["waves.due"]["fix"]

    made = patchline(world, "create -o json")
    assert made.returncode == 0
    assert len(json.loads(made.stdout)) == len(declared_topics()) - 1
    assert "patchline topics check" in made.stderr

    states = {each["topic"]: each["state"] for each in json.loads(patchline(world, "list -o json").stdout)}
    assert {name for name, state in states.items() if state != "fits"} == {world.prefix + "waves.due"}
    described = json.loads(patchline(world, "describe waves.due -o json").stdout)
    assert described["on_kafka"]["configs"]["message.timestamp.type"] == "CreateTime"
    assert "backup" in described["consumers"]
    assert patchline(world, "check", PATCHLINE_KAFKA_PARTITIONS="3").returncode == 1


async def test_the_command_says_where_no_kafka_answers(world: KafkaWorld):
    answer = patchline(world, "check", PATCHLINE_KAFKA="127.0.0.1:1")
    assert answer.returncode == 1
    assert answer.stderr.startswith("Error: Kafka at 127.0.0.1:1 does not answer")
