"""How this process reaches Kafka, and a record as it comes from there."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from patchline_kit.settings import ServiceSettings
from patchline_kit.transport.port import Received, TransportError

ASK_MS = 5_000
"""How long a server may take to say why it refuses us."""
LOGIN_REFUSED = (AuthenticationFailedError, SaslAuthenticationFailed, UnsupportedSaslMechanismError)
SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Where Kafka is and how to prove who we are."""

    bootstrap: tuple[str, ...]
    security: BaseSecurity | None = None

    @classmethod
    def of(cls, settings: ServiceSettings) -> KafkaConnection:
        """The connection that ``settings`` describe.

        Raises :class:`TransportError` for certificates that cannot be used.
        """
        servers = tuple(server.strip() for server in (settings.kafka or "").split(",") if server.strip())
        return cls(servers, _security(settings))

    def options(self) -> dict[str, Any]:
        """What every aiokafka client is made with."""
        return {"bootstrap_servers": list(self.bootstrap), **parse_security(self.security)}

    def unreachable(self, error: BaseException) -> TransportError:
        """``error`` in words, with what to do."""
        protocol = parse_security(self.security).get("security_protocol", "PLAINTEXT")
        return TransportError(
            f"Kafka at {','.join(self.bootstrap)} does not answer as it should: {_said(error)}. Is it running"
            " (`make native` starts one here), is PATCHLINE_KAFKA its address, and"
            f" PATCHLINE_KAFKA_SECURITY_PROTOCOL={protocol} what it wants?"
        )

    async def refused(self, error: BaseException) -> TransportError:
        """Like :meth:`unreachable`, after asking anew for what aiokafka only logs: why it is refused."""
        for server in self.bootstrap:
            host, _, port = server.rpartition(":")
            login = parse_security(self.security)
            try:
                connection = await create_conn(host, int(port), request_timeout_ms=ASK_MS, **login)
            except ssl.SSLCertVerificationError as refusal:
                return TransportError(
                    f"Kafka at {server} shows a certificate that is not trusted here:"
                    f" {refusal.verify_message.rstrip('.')}. PATCHLINE_KAFKA_CA_FILE must name the CA that it"
                    " follows from, and PATCHLINE_KAFKA the host that it was made for"
                )
            except LOGIN_REFUSED as refusal:
                return TransportError(
                    f"Kafka at {server} does not let the user {login.get('sasl_plain_username')} in:"
                    f" {_said(refusal)}. Check PATCHLINE_KAFKA_USERNAME, _PASSWORD and _SASL_MECHANISM"
                )
            except (KafkaError, OSError):
                continue
            connection.close()
        return self.unreachable(error)


def published_at(record: ConsumerRecord) -> datetime:
    """When a record came to its topic."""
    return datetime.fromtimestamp(record.timestamp / 1000, UTC)


def received(record: ConsumerRecord, prefix: str) -> Received:
    """A record as the port shows it: a null value or header is empty."""
    headers = tuple(record.headers)
    if not all(map(itemgetter(1), headers)):
        headers = tuple((name, raw or b"") for name, raw in headers)
    return Received(
        topic=record.topic[len(prefix) :],
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        headers=headers,
        value=record.value or b"",
        timestamp=published_at(record),
    )


def _security(settings: ServiceSettings) -> BaseSecurity | None:
    protocol = settings.kafka_security_protocol
    if protocol == "PLAINTEXT":
        return None
    context = None
    if protocol.endswith("SSL"):
        try:
            context = ssl.create_default_context(
                cafile=str(settings.kafka_ca_file) if settings.kafka_ca_file else None
            )
        except OSError as error:
            raise TransportError(
                f"PATCHLINE_KAFKA_CA_FILE={settings.kafka_ca_file} cannot be used: {_said(error)}"
            ) from error
    if protocol == "SSL":
        return BaseSecurity(ssl_context=context, use_ssl=True)
    password = settings.kafka_password.get_secret_value() if settings.kafka_password else ""
    return SASL[settings.kafka_sasl_mechanism](
        username=settings.kafka_username or "",
        password=password,
        ssl_context=context,
        use_ssl=context is not None,
    )


def _said(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__
