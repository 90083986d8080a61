"""What keeps two installations on one Kafka and one MongoDB apart: a prefix of topics and a database."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from patchline_kit.folder import name_of
from patchline_kit.settings import ServiceSettings

ID_LENGTH = 8
"""Hexadecimal digits of the folder's id that appear in names."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The names under which an installation's things lie on servers that it may share with others."""

    topic_prefix: str
    """Before every topic's and consumer group's name; empty on the embedded log."""
    database: str
    """MongoDB's database; empty with SQLite."""


def installation_of(settings: ServiceSettings) -> Installation:
    """The names that are set (``PATCHLINE_TOPIC_PREFIX``, a database in ``PATCHLINE_MONGO``), and else those
    that follow from the id that is kept in the state folder, which is made if it is not there.

    Processes with different state folders therefore only meet where the names are set. Raises
    :class:`OSError` for a folder that cannot be used.
    """
    prefix = settings.topic_prefix
    database = database_named_in(settings.mongo.get_secret_value()) if settings.mongo else ""
    wants_prefix = settings.kafka is not None and prefix is None
    wants_database = settings.mongo is not None and not database
    if wants_prefix or wants_database:
        settings.dir.mkdir(parents=True, exist_ok=True)
        name = name_of(settings.dir).replace("-", "")[:ID_LENGTH]
        if wants_prefix:
            prefix = f"patchline-{name}."
        if wants_database:
            database = f"patchline_{name}"
    return Installation(prefix or "", database)


def database_named_in(uri: str) -> str:
    """The database in a ``mongodb://`` URI, or an empty string."""
    return urlsplit(uri).path.strip("/")


def servers_named_in(uri: str) -> str:
    """The hosts in a ``mongodb://`` URI, without user and password: fit to be shown."""
    return urlsplit(uri).netloc.rpartition("@")[2]
