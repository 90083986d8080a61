"""MongoDB's address, the connection, and its errors in people's words. Nothing else imports motor."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pymongo.errors import (
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from patchline_kit.store.port import StoreError, StoreFull

Database = AsyncIOMotorDatabase[Any]
Collection = AsyncIOMotorCollection[Any]

DEFAULT_DATABASE = "patchline"
DURABLE = WriteConcern(w="majority", j=True)
"""An acknowledged write is in the journal of most members."""
PATIENCE_MS = {"serverSelectionTimeoutMS": 5_000, "connectTimeoutMS": 5_000, "socketTimeoutMS": 30_000}
"""How long to wait for a server, a connection, an answer; the address may say otherwise."""

UNAUTHORIZED, AUTHENTICATION_FAILED = 13, 18
NO_ROOM = frozenset({14031, errno.ENOSPC})
"""Codes of a server whose disk is full."""


@dataclass(frozen=True, slots=True)
class MongoAddress:
    """Where documents lie. Make it with :meth:`of`; ``str`` shows no password."""

    uri: str = field(repr=False)
    database: str
    hosts: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    @classmethod
    def of(
        cls,
        uri: str,
        *,
        database: str | None = None,
        username: str | None = None,
        password: str | None = None,
        ca_file: Path | None = None,
    ) -> MongoAddress:
        """Read ``mongodb://[user:password@]host[:port][,…][/database][?options]``.

        ``database`` is used where the address names none; ``username`` and ``password`` win over those in
        the address; ``ca_file`` turns TLS on. Raises :class:`ValueError`, which shows no password.
        """
        if not uri.startswith(("mongodb://", "mongodb+srv://")):
            raise ValueError("is not mongodb://host:port/database")
        try:
            named = parse_uri(_without_lookup(uri), warn=False)["database"]
        except (InvalidURI, ConfigurationError, ValueError) as error:
            raise ValueError(_without(uri, f"is no MongoDB address: {error}")) from None
        hosts = uri.split("://", 1)[1].split("/", 1)[0].split("?", 1)[0].rpartition("@")[2]
        return cls(uri, named or database or DEFAULT_DATABASE, hosts, username, password, ca_file)

    def __str__(self) -> str:
        return f"{self.hosts}, database {self.database},"

    def connect(self) -> Database:
        """A database handle; it connects when it is first used. Raises :class:`StoreError`."""
        options: dict[str, Any] = {
            name: value for name, value in PATIENCE_MS.items() if name.lower() not in self.uri.lower()
        }
        if self.username is not None:
            options |= {"username": self.username, "password": self.password}
            if "authsource" not in self.uri.lower():
                options["authSource"] = "admin"
        if self.ca_file is not None:
            options |= {"tls": True, "tlsCAFile": str(self.ca_file)}
        try:
            client: AsyncIOMotorClient[Any] = AsyncIOMotorClient(self.uri, appname="patchline", **options)
        except (PyMongoError, ValueError, OSError) as error:
            raise StoreError(_without(self.uri, f"MongoDB at {self} cannot be used: {error}")) from None
        return client.get_database(self.database, write_concern=DURABLE)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turn the driver's errors into :class:`StoreError`, or :class:`StoreFull`."""
        try:
            yield
        except PyMongoError as error:
            raise self.explained(error) from error

    def explained(self, error: PyMongoError) -> StoreError:
        """``error`` in people's words: what, where, what to do."""
        code = _code(error)
        text = _without(self.uri, str(error)).split(", full error", 1)[0]
        if code in NO_ROOM or "no space left" in text.lower():
            return self.full()
        if code == AUTHENTICATION_FAILED:
            return StoreError(
                f"MongoDB at {self} refuses the user or the password: correct PATCHLINE_MONGO_USERNAME and"
                " PATCHLINE_MONGO_PASSWORD, or those in PATCHLINE_MONGO"
            )
        if code == UNAUTHORIZED:
            return StoreError(
                f"MongoDB at {self} does not let this user in: give it the role readWrite on the database"
                f" {self.database}, and if it knows none, set PATCHLINE_MONGO_USERNAME and"
                f" PATCHLINE_MONGO_PASSWORD ({text})"
            )
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return StoreError(
                f"MongoDB at {self} shows a certificate that is not trusted here: name the CA that it follows"
                f" from in PATCHLINE_MONGO_CA_FILE ({_first_cause(text)})"
            )
        if isinstance(error, ConnectionFailure):
            return StoreError(
                f"MongoDB at {self} does not answer: start it, or correct PATCHLINE_MONGO"
                f" ({_first_cause(text)})"
            )
        return StoreError(f"MongoDB at {self} refuses: {text}")

    def full(self) -> StoreFull:
        """The server has no room."""
        return StoreFull(f"MongoDB at {self} has no room left to write: free some disk space there")


def _code(error: PyMongoError) -> int | None:
    if isinstance(error, BulkWriteError):
        concerns = [*error.details.get("writeErrors", ()), *error.details.get("writeConcernErrors", ())]
        return next((found["code"] for found in concerns if found.get("code") in NO_ROOM), error.code)
    return error.code if isinstance(error, OperationFailure) else None


def _first_cause(text: str) -> str:
    """The driver lists every try and its view of the cluster: the first says enough."""
    return text.split(" (configured timeouts", 1)[0].split(", Timeout:", 1)[0].split(",127.", 1)[0]


def _without(uri: str, text: str) -> str:
    """``text`` without the password that stands in ``uri``."""
    login, at, _ = uri.split("://", 1)[-1].rpartition("@")
    password = login.partition(":")[2]
    return text.replace(password, "***") if at and password else text


def _without_lookup(uri: str) -> str:
    """The address as one that needs no DNS to be read."""
    return uri.replace("mongodb+srv://", "mongodb://", 1)
