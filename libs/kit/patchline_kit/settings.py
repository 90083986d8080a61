"""Settings: what every service reads from the environment, and how a wrong one is told."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from patchline_kit.validation import reason

PREFIX = "PATCHLINE_"
DEFAULT_PORT = 8470
MONGO_URI = re.compile(r"mongodb(\+srv)?://[^/?]+(/[^/?\\. \"$]*)?(\?.*)?$")

S = TypeVar("S", bound="ServiceSettings")


class SettingsError(Exception):
    """A setting is wrong; the text names the variable, the value and what it should be."""


class ServiceSettings(BaseSettings):
    """What every service needs to know. A service's own settings add fields; each is read from
    ``PATCHLINE_<FIELD>``, so their names must be unique in the house.

    Make them with :func:`load_settings`, which says what is wrong in people's words.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, use_attribute_docstrings=True, env_ignore_empty=True
    )

    dir: Path = Path(".patchline")
    """The folder that holds all state."""
    fleet: Path | None = None
    """The fleet file; without one the fleet is empty until `patchline fleet apply`."""

    host: str = "127.0.0.1"
    """The address that the gateway binds to; any but a loopback address needs a token."""
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    """The gateway's port; 0 takes a free one."""
    token: SecretStr | None = None
    """The API token that the gateway asks for."""

    kafka: str | None = None
    """Kafka's bootstrap servers (host:port, separated by commas); without them the embedded log is used."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to Kafka."""
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    """How to log in where the protocol is a SASL one."""
    kafka_username: str | None = None
    """Kafka user, for SASL."""
    kafka_password: SecretStr | None = None
    """Kafka password, for SASL."""
    kafka_ca_file: Path | None = None
    """CA certificates (PEM) that Kafka's certificate must follow from; the system's by default."""
    kafka_create_topics: bool = True
    """Whether missing topics are created at start."""
    kafka_partitions: int = Field(default=6, ge=1, le=1000)
    """Partitions that a topic has at least, and gets when it is created."""
    kafka_replication: int = Field(default=1, ge=1, le=9)
    """Replicas of a topic that is created; 3 in production."""
    kafka_min_in_sync: int | None = Field(default=None, ge=1, le=9)
    """How many replicas must have a record before it counts as stored; by default one less than there are."""
    topic_prefix: str | None = Field(default=None, max_length=100, pattern=r"^[A-Za-z0-9._-]*$")
    """Put before every topic's and consumer group's name on Kafka; by default it follows from the id in the
    state folder, so that installations can share a Kafka."""
    mongo: SecretStr | None = None
    """MongoDB's URI (mongodb://…); without it documents lie in SQLite. A database that it does not name
    follows from the id in the state folder."""
    mongo_username: str | None = None
    """MongoDB user, where the URI names none; its account lies in the database `admin` unless the URI says
    otherwise with authSource."""
    mongo_password: SecretStr | None = None
    """That user's password."""
    mongo_ca_file: Path | None = None
    """CA certificates (PEM) that MongoDB's certificate must follow from; turns TLS on."""

    keep: timedelta = timedelta(days=30)
    """How long handled records stay on their topics."""
    grace: timedelta = timedelta(seconds=10)
    """How long work in hand may take to end when the process is asked to stop."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe log line that is written."""
    log_format: Literal["auto", "text", "json"] = "auto"
    """`text` for people, `json` for machines; `auto` is text on a terminal and JSON else."""
    log_file: Path | None = None
    """Where log lines go; standard error by default."""
    health_port: int | None = Field(default=None, ge=0, le=65535)
    """The port of /live, /ready and /metrics on `host`; 0 takes a free one, none by default."""

    @property
    def on_shared_servers(self) -> bool:
        """Whether replicas in other processes may share all the work: nothing shared lies in the folder."""
        return self.kafka is not None and self.mongo is not None

    def secrets(self) -> list[str]:
        """What must never be written anywhere: the token and the passwords that are set."""
        mongo = urlsplit(self.mongo.get_secret_value()).netloc if self.mongo else ""
        credentials, at, _ = mongo.rpartition("@")
        password = credentials.partition(":")[2] if at else ""
        kept = (self.token, self.kafka_password, self.mongo_password)
        given = [secret.get_secret_value() for secret in kept if secret]
        return list(dict.fromkeys(secret for secret in (*given, password, unquote(password)) if secret))

    @field_validator("keep", "grace")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        if value <= timedelta(0):
            raise ValueError("must be longer than nothing")
        return value

    @field_validator("kafka")
    @classmethod
    def _addresses(cls, value: str | None) -> str | None:
        for server in (value or "").split(",") if value else ():
            name, colon, port = server.strip().rpartition(":")
            if not (name and colon and port.isdigit()):
                raise ValueError(f"{server.strip()!r} is not host:port")
        return value

    @field_validator("mongo")
    @classmethod
    def _mongo_uri(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not MONGO_URI.match(value.get_secret_value()):
            raise ValueError("must be mongodb://host:port or mongodb+srv://host, with a database if you like")
        return value

    @model_validator(mode="after")
    def _complete(self) -> ServiceSettings:
        if self.kafka_security_protocol.startswith("SASL") and not (
            self.kafka_username and self.kafka_password
        ):
            raise ValueError(
                f"PATCHLINE_KAFKA_SECURITY_PROTOCOL={self.kafka_security_protocol} needs"
                " PATCHLINE_KAFKA_USERNAME and PATCHLINE_KAFKA_PASSWORD"
            )
        if (self.mongo_username is None) != (self.mongo_password is None):
            raise ValueError("PATCHLINE_MONGO_USERNAME and PATCHLINE_MONGO_PASSWORD go together")
        if (self.kafka_min_in_sync or 1) > self.kafka_replication:
            raise ValueError(
                f"PATCHLINE_KAFKA_MIN_IN_SYNC={self.kafka_min_in_sync}: nothing could be stored with"
                f" PATCHLINE_KAFKA_REPLICATION={self.kafka_replication}"
            )
        return self


def load_settings(kind: type[S], **given: Any) -> S:
    """Settings of ``kind`` from what is given (None counts as not given) and else from the environment.

    Raises :class:`SettingsError` that names every wrong variable. Secrets are never shown.
    """
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [_line(kind, dict(problem)) for problem in error.errors(include_url=False)]
        raise SettingsError("\n".join(lines)) from None


def _line(kind: type[ServiceSettings], problem: dict[str, Any]) -> str:
    if not problem["loc"]:
        return str(problem["msg"]).removeprefix("Value error, ")
    name = str(problem["loc"][0]).removeprefix(PREFIX.lower())
    field = kind.model_fields.get(name)
    secret = field is not None and "SecretStr" in str(field.annotation)
    if problem["type"] == "missing":
        return f"{PREFIX}{name.upper()} is not set, and it has no default"
    return f"{PREFIX}{name.upper()}={'***' if secret else problem['input']}: {reason(problem)}"
