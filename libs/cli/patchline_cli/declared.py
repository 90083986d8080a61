"""The topics that the settings declare, beside those that Kafka has."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from patchline_cli import exit_codes, native_stack
from patchline_cli.failures import Failure, wrong_use
from patchline_kit import catalog
from patchline_kit.installation import installation_of
from patchline_kit.settings import ServiceSettings, SettingsError, load_settings
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.kafka_topics import create_missing, look
from patchline_kit.transport.port import TransportError
from patchline_kit.transport.topic_fit import Drift, Found, configs_of, drifts
from patchline_kit.transport.topics import Topic, topics_set_by
from patchline_schemas import event_types


@dataclass(frozen=True)
class Declared:
    """An installation's topics. What asks Kafka raises :class:`Failure` if it does not answer."""

    topics: Mapping[str, Topic]
    """By name, without the prefix."""
    prefix: str
    connection: KafkaConnection | None
    """None on the embedded log."""

    @property
    def on_kafka(self) -> bool:
        """Whether there is a Kafka to ask."""
        return self.connection is not None

    async def drift(self) -> list[Drift]:
        """Every way in which Kafka's topics are not as declared."""
        return self._drifts(await self._found())

    async def create(self) -> tuple[list[Topic], list[Drift]]:
        """Create the missing topics: those that were created, and what is wrong with the others."""
        assert self.connection is not None
        try:
            names = await create_missing(self.connection, self.topics.values(), prefix=self.prefix)
        except TransportError as error:
            raise _told(error) from error
        return [self.topics[name.removeprefix(self.prefix)] for name in names], await self.drift()

    async def states(self) -> dict[str, str]:
        """By name: ``fits``, ``differs`` or ``missing``."""
        found = await self._found()
        different = {each.topic for each in self._drifts(found)}
        return {
            name: "missing" if there not in found else "differs" if there in different else "fits"
            for name, there in ((name, self.prefix + name) for name in self.topics)
        }

    async def there(self, topic: Topic) -> dict[str, Any]:
        """How Kafka has a topic, of its settings those that are declared, and the differences."""
        found = await self._found()
        there = found.get(self.prefix + topic.name)
        if there and there.configs:
            there = replace(there, configs={key: there.configs.get(key) for key in configs_of(topic)})
        wrong = [f"{each.what}: {each.fix}" for each in drifts([topic], found, prefix=self.prefix)]
        return {"on_kafka": asdict(there) if there else None, "differences": wrong}

    def row(self, topic: Topic) -> dict[str, Any]:
        """A topic as listings show it."""
        return {
            "topic": self.prefix + topic.name,
            "partitions": topic.partitions,
            "kept": _kept(topic),
            "compacted": topic.compacted,
            "replication": topic.replication,
            "min_in_sync": topic.min_in_sync,
        }

    def meaning(self, topic: Topic) -> dict[str, Any]:
        """What a topic carries, for whom, and its settings."""
        (kind,) = (kind for kind in event_types().values() if topic.name in kind.topics())
        services = catalog.services()
        return {
            "event": kind.TYPE,
            "producers": catalog.producers(kind, services),
            "consumers": catalog.consumers(kind, services),
            "settings": configs_of(topic),
        }

    async def _found(self) -> dict[str, Found]:
        assert self.connection is not None
        try:
            return await look(self.connection, [self.prefix + name for name in self.topics])
        except TransportError as error:
            raise _told(error) from error

    def _drifts(self, found: Mapping[str, Found]) -> list[Drift]:
        return drifts(self.topics.values(), found, prefix=self.prefix)


def declared(given: Mapping[str, object], *, native: bool) -> Declared:
    """The topics that the options and the environment declare. Raises :class:`Failure` for wrong settings."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what it meets is told in our words
    if native:
        given = {**given, "kafka": given.get("kafka") or native_stack.kafka()}
    try:
        settings = load_settings(ServiceSettings, **given)
        connection = KafkaConnection.of(settings) if settings.kafka else None
    except SettingsError as error:
        raise wrong_use("A setting is wrong.", details=str(error).splitlines()) from error
    except TransportError as error:
        raise _told(error) from error
    return Declared(topics_set_by(settings), installation_of(settings).topic_prefix, connection)


def _kept(topic: Topic) -> str:
    if topic.compacted:
        return "newest of each key"
    return "for ever" if topic.keep is None else f"{topic.keep.total_seconds() / 86_400:g} d"


def _told(error: TransportError) -> Failure:
    text = str(error)
    return Failure(f"{text[:1].upper()}{text[1:]}", exit_code=exit_codes.FAILED)
