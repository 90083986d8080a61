"""Making the topics that Kafka lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.port import TransportError
from patchline_kit.transport.topics import Topic
from patchline_schemas.envelope import MAX_MESSAGE_BYTES

HEADER_BYTES = 64 * 1024
"""What a record may have in headers beside its value."""


async def ensure_topics(
    connection: KafkaConnection,
    topics: Mapping[str, Topic],
    *,
    prefix: str,
    replication: int,
    create: bool = True,
) -> None:
    """Create those of ``topics`` that Kafka does not have; the others stay as they are.

    Raises :class:`TransportError` if Kafka refuses, or, without ``create``, if one is missing.
    """
    admin = AIOKafkaAdminClient(**connection.options())
    try:
        await admin.start()
        existing = set(await admin.list_topics())
        missing = [topic for topic in topics.values() if prefix + topic.name not in existing]
        if missing and create:
            response = await admin.create_topics([_new(topic, prefix, replication) for topic in missing])
            _raise_refusals(response.topic_errors)
    except (KafkaError, OSError) as error:
        raise connection.unreachable(error) from error
    finally:
        await admin.close()
    if missing and not create:
        others = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise TransportError(
            f"Kafka lacks the topic {prefix}{missing[0].name}{others}: create what docs/transport.md lists,"
            " or let Patchline do it with PATCHLINE_KAFKA_CREATE_TOPICS=true"
        )


def _raise_refusals(answers: Iterable[tuple[Any, ...]]) -> None:
    for name, code, message, *_ in answers:
        kind = for_code(code)
        if code and kind is not TopicAlreadyExistsError:
            raise TransportError(f"Kafka refuses to create the topic {name}: {message or kind.__name__}")


def _new(topic: Topic, prefix: str, replication: int) -> NewTopic:
    keep_ms = -1 if topic.keep is None else int(topic.keep.total_seconds() * 1000)
    configs = {
        "max.message.bytes": str(MAX_MESSAGE_BYTES + HEADER_BYTES),
        # The broker's own time: it never runs backwards within a partition, whoever publishes.
        "message.timestamp.type": "LogAppendTime",
    }
    if topic.compacted:
        configs |= {"cleanup.policy": "compact", "min.compaction.lag.ms": str(max(keep_ms, 0))}
    else:
        configs |= {"cleanup.policy": "delete", "retention.ms": str(keep_ms)}
    return NewTopic(
        name=prefix + topic.name,
        num_partitions=topic.partitions,
        replication_factor=replication,
        topic_configs=configs,
    )
