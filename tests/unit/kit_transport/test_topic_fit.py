"""Whether a topic on Kafka is as it is declared."""

from __future__ import annotations

from datetime import timedelta

import pytest

from patchline_kit.settings import ServiceSettings, SettingsError, load_settings
from patchline_kit.transport.topic_fit import Drift, Found, configs_of, drifts
from patchline_kit.transport.topics import Topic, declared_topics

TOPIC = Topic("waves.due", 6, timedelta(days=30), replication=3, min_in_sync=2)


def found(partitions: int = 6, replication: int = 3, **changes: str) -> Found:
    configs = configs_of(TOPIC) | {key.replace("_", "."): value for key, value in changes.items()}
    return Found(partitions, replication, configs)


def drift(there: Found | None, topic: Topic = TOPIC) -> list[Drift]:
    return drifts([topic], {} if there is None else {"acme.waves.due": there}, prefix="acme.")


def test_a_topic_that_is_as_declared_fits():
    assert drift(found()) == []


def test_more_partitions_replicas_and_room_than_declared_are_fine():
    assert drift(found(12, 5, max_message_bytes="99999999")) == []


def test_a_missing_topic_is_to_be_created():
    assert drift(None) == [Drift("acme.waves.due", "is missing", "patchline topics create")]


def test_fewer_partitions_are_named_with_both_ways_out():
    (only,) = drift(found(1))
    assert only.what == "has 1 partition, should have 6"
    assert "--topic acme.waves.due --partitions 6" in only.fix
    assert "PATCHLINE_KAFKA_PARTITIONS=1" in only.fix


def test_fewer_replicas_are_named():
    (only,) = drift(found(replication=1))
    assert only.what == "has 1 replica, should have 3"


@pytest.mark.parametrize(
    ("changes", "what", "fix"),
    [
        (
            {"retention_ms": "604800000"},
            "retention.ms is 7 days, should be 30 days",
            "another PATCHLINE_KEEP",
        ),
        ({"retention_ms": "-1"}, "retention.ms is for ever, should be 30 days", "retention.ms=2592000000"),
        (
            {"min_insync_replicas": "1"},
            "min.insync.replicas is 1, should be 2",
            "PATCHLINE_KAFKA_MIN_IN_SYNC",
        ),
        (
            {"cleanup_policy": "compact"},
            "cleanup.policy is compact, should be delete",
            "cleanup.policy=delete",
        ),
        (
            {"max_message_bytes": "1000"},
            "max.message.bytes is 1000, should be 327680",
            "max.message.bytes=327680",
        ),
    ],
)
def test_another_setting_is_named_with_the_command_that_puts_it_right(
    changes: dict[str, str], what: str, fix: str
):
    (only,) = drift(found(**changes))
    assert only.what == what
    assert "kafka-configs.sh --alter --entity-type topics --entity-name acme.waves.due" in only.fix
    assert fix in only.fix


def test_what_kafka_makes_by_itself_does_not_fit():
    auto_created = {
        "cleanup.policy": "delete",
        "retention.ms": "604800000",
        "max.message.bytes": "1048588",
        "message.timestamp.type": "CreateTime",
        "min.insync.replicas": "1",
    }
    whats = [each.what for each in drift(Found(1, 1, auto_created))]
    assert whats[:2] == ["has 1 partition, should have 6", "has 1 replica, should have 3"]
    assert "message.timestamp.type is CreateTime, should be LogAppendTime" in whats[2]


def test_settings_that_we_may_not_see_are_taken_on_trust():
    assert drift(Found(6, 3, None)) == []


def test_a_compacted_topic_keeps_each_record_for_a_while_before_a_newer_one_replaces_it():
    configs = configs_of(declared_topics()["fleet.target-registered"])
    assert configs["cleanup.policy"] == "compact"
    assert configs["min.compaction.lag.ms"] == str(30 * 86_400_000)
    assert "retention.ms" not in configs


def test_one_broker_may_be_down_unless_settings_say_otherwise():
    assert {topic.min_in_sync for topic in declared_topics(replication=3).values()} == {2}
    assert {topic.min_in_sync for topic in declared_topics(replication=1).values()} == {1}
    assert {topic.min_in_sync for topic in declared_topics(replication=3, min_in_sync=3).values()} == {3}


def test_more_copies_in_sync_than_there_are_would_store_nothing():
    with pytest.raises(SettingsError, match=r"PATCHLINE_KAFKA_MIN_IN_SYNC=2: nothing could be stored"):
        load_settings(ServiceSettings, kafka_min_in_sync=2)
