"""Opens the store that the settings name: MongoDB, or SQLite in the state folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from patchline_kit.installation import installation_of
from patchline_kit.settings import ServiceSettings, SettingsError
from patchline_kit.store.port import Store
from patchline_kit.store.sqlite import SqliteDatabase, SqliteStore

if TYPE_CHECKING:
    from patchline_kit.store.mongo import MongoDatabase

StoreOf = Callable[[str], Awaitable[Store]]
"""Answers a service's documents."""

SQLITE_FILE = "store.db"


@asynccontextmanager
async def stores(settings: ServiceSettings, *, only_look: bool = False) -> AsyncIterator[StoreOf]:
    """What holds all services' documents, until the block ends.

    With ``only_look`` no indexes are made. Raises :class:`patchline_kit.store.port.StoreError`.
    """
    if settings.mongo is None:
        async with _sqlite(settings) as store_of:
            yield store_of
    else:
        async with _mongo(settings, only_look=only_look) as store_of:
            yield store_of


@asynccontextmanager
async def _sqlite(settings: ServiceSettings) -> AsyncIterator[StoreOf]:
    database = SqliteDatabase(settings.dir / SQLITE_FILE)

    async def store_of(service: str) -> Store:
        return SqliteStore(database, service)

    try:
        yield store_of
    finally:
        await database.close()


async def look_at_mongo(settings: ServiceSettings) -> str:
    """Connect to the MongoDB that the settings name and read once; where it is, without passwords.

    Raises :class:`patchline_kit.store.port.StoreError`, and
    :class:`patchline_kit.settings.SettingsError` if the address is none.
    """
    database = _database(settings)
    try:
        await database.start()
        return f"MongoDB at {database.address}"
    finally:
        await database.close()


@asynccontextmanager
async def _mongo(settings: ServiceSettings, *, only_look: bool) -> AsyncIterator[StoreOf]:
    database = _database(settings)

    async def store_of(service: str) -> Store:
        return await database.store(service, indexes=not only_look)

    try:
        await database.start()
        yield store_of
    finally:
        await database.close()


def _database(settings: ServiceSettings) -> MongoDatabase:
    from patchline_kit.store.mongo import (  # noqa: PLC0415 - slow to import, and seldom wanted
        MongoAddress,
        MongoDatabase,
    )

    uri, password = settings.mongo, settings.mongo_password
    try:
        address = MongoAddress.of(
            uri.get_secret_value() if uri else "",
            database=installation_of(settings).database,
            username=settings.mongo_username,
            password=password.get_secret_value() if password else None,
            ca_file=settings.mongo_ca_file,
        )
    except ValueError as error:
        raise SettingsError(f"PATCHLINE_MONGO {error}") from None
    return MongoDatabase(address)
