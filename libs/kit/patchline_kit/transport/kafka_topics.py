"""Topics on Kafka: looked at, made where they are missing, refused where they do not fit."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.port import TransportError
from patchline_kit.transport.topic_fit import Found, configs_of, drifts
from patchline_kit.transport.topics import Topic

NAMED = 3
"""How many topics an error names."""

log = logging.getLogger(__name__)


async def look(connection: KafkaConnection, names: Iterable[str]) -> dict[str, Found]:
    """Those of ``names`` that Kafka has. Raises :class:`TransportError` if it cannot be asked."""
    async with _admin(connection) as admin:
        return await _look(admin, names)


async def create_missing(connection: KafkaConnection, topics: Iterable[Topic], *, prefix: str) -> list[str]:
    """Create those of ``topics`` that Kafka lacks; their names there. The others stay as they are.

    Raises :class:`TransportError` if Kafka cannot be asked or refuses.
    """
    async with _admin(connection) as admin:
        existing = set(await admin.list_topics())
        return await _create(
            admin, [topic for topic in topics if prefix + topic.name not in existing], prefix
        )


async def ensure_topics(
    connection: KafkaConnection, topics: Mapping[str, Topic], *, prefix: str, create: bool = True
) -> None:
    """See to it that ``topics`` are there as declared: create the missing ones, change none.

    Raises :class:`TransportError` if Kafka refuses, if one that is there does not fit (somebody else may have
    made it, or Kafka itself for a client that asked for it), or, without ``create``, if one is missing.
    """
    async with _admin(connection) as admin:
        found = await _look(admin, [prefix + name for name in topics])
        missing = [topic for topic in topics.values() if prefix + topic.name not in found]
        there = [topic for topic in topics.values() if prefix + topic.name in found]
        drift = drifts(there, found, prefix=prefix)
        if drift:
            said = _some([f"{each.topic} {each.what}" for each in drift])
            raise TransportError(
                f"Kafka's topics are not as they must be: {said}."
                " `patchline topics check` names all, and what to do"
            )
        if missing and not create:
            names = _some([prefix + topic.name for topic in missing])
            raise TransportError(
                f"Kafka lacks {names}: create what is missing with `patchline topics create`, or"
                " let services do it with PATCHLINE_KAFKA_CREATE_TOPICS=true"
            )
        await _create(admin, missing, prefix)
    unseen = sorted(name for name, each in found.items() if each.configs is None)
    if unseen:
        log.warning("Kafka does not let us see the settings of %s; they are taken on trust", _some(unseen))


@asynccontextmanager
async def _admin(connection: KafkaConnection) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**connection.options())
    try:
        await admin.start()
        yield admin
    except (KafkaError, OSError) as error:
        raise await connection.refused(error) from error
    finally:
        await admin.close()


async def _look(admin: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, Found]:
    """Only of those that exist: asking for another might make Kafka create it."""
    there = sorted(set(names) & set(await admin.list_topics()))
    if not there:
        return {}
    configs: dict[str, dict[str, str | None] | None] = {}
    for answer in await admin.describe_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name) for name in there]
    ):
        for code, _message, _kind, name, entries, *_ in answer.resources:
            configs[name] = None if code else {entry[0]: entry[1] for entry in entries}
    return {
        each["topic"]: Found(
            partitions=len(each["partitions"]),
            replication=min((len(partition["replicas"]) for partition in each["partitions"]), default=0),
            configs=configs.get(each["topic"]),
        )
        for each in await admin.describe_topics(there)
    }


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic], prefix: str) -> list[str]:
    """Those that were created; one that another process has made meanwhile is not among them."""
    if not topics:
        return []
    response = await admin.create_topics([_new(topic, prefix) for topic in topics])
    created = []
    for name, code, message, *_ in response.topic_errors:
        kind = for_code(code)
        if not code:
            created.append(name)
        elif kind is not TopicAlreadyExistsError:
            raise TransportError(f"Kafka refuses to create the topic {name}: {message or kind.__name__}")
    return created


def _new(topic: Topic, prefix: str) -> NewTopic:
    return NewTopic(
        name=prefix + topic.name,
        num_partitions=topic.partitions,
        replication_factor=topic.replication,
        topic_configs=configs_of(topic),
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
