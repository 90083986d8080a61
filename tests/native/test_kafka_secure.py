"""Kafka that lets clients in only over TLS and with a password (SASL/PLAIN)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from secure_kafka import PASSWORD, USER, SecureKafka, secure_kafka

from patchline_kit.settings import ServiceSettings, load_settings
from patchline_kit.transport.kafka import KafkaTransport
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.port import Received, TransportError
from patchline_kit.transport.topics import Topic
from patchline_schemas import WireRecord

pytestmark = pytest.mark.native
TOPIC = "things.happened"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure")) as found:
        yield found


def transport(broker: SecureKafka, **changes: object) -> KafkaTransport:
    given = {
        "kafka": broker.address,
        "kafka_security_protocol": "SASL_SSL",
        "kafka_username": USER,
        "kafka_password": PASSWORD,
        "kafka_ca_file": broker.ca_file,
        **changes,
    }
    settings = load_settings(ServiceSettings, **given)
    return KafkaTransport(
        KafkaConnection.of(settings), prefix="secure.", topics={TOPIC: Topic(TOPIC, 2, timedelta(days=1))}
    )


async def test_records_go_there_and_come_back(broker: SecureKafka):
    arrived: asyncio.Queue[Received] = asyncio.Queue()

    async def handle(records: Sequence[Received]) -> None:
        for record in records:
            arrived.put_nowait(record)

    used = transport(broker)
    await used.start()
    try:
        await used.subscribe("group", [TOPIC], handle)
        await used.publish([WireRecord(TOPIC, b"key", (("ce_id", b"1"),), b"{}")])
        async with asyncio.timeout(60):
            record = await arrived.get()
        assert (record.key, record.headers, record.value) == (b"key", (("ce_id", b"1"),), b"{}")
        assert [each.value for each in await used.read(TOPIC)] == [b"{}"]
    finally:
        await used.stop()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"kafka_password": "guessed"},
            r"does not let the user patchline in: .*PATCHLINE_KAFKA_USERNAME, _PASSWORD",
        ),
        ({"kafka_username": "mallory"}, r"does not let the user mallory in: "),
        ({"kafka_ca_file": None}, r"certificate that is not trusted here: .*PATCHLINE_KAFKA_CA_FILE"),
        (
            {"kafka_security_protocol": "PLAINTEXT"},
            r"does not answer as it should: .*PATCHLINE_KAFKA_SECURITY_PROTOCOL",
        ),
    ],
    ids=["wrong password", "unknown user", "untrusted certificate", "no TLS"],
)
async def test_a_refusal_says_which_setting_is_wrong_and_never_the_password(
    broker: SecureKafka, changes: dict[str, object], said: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    with pytest.raises(TransportError, match=said) as caught:
        await transport(broker, **changes).start()
    for secret in (PASSWORD, "guessed"):
        assert secret not in str(caught.value)
        assert secret not in caplog.text
    await no_connection(int(broker.address.rpartition(":")[2]))


async def test_tls_towards_a_server_without_it_names_the_protocol(broker: SecureKafka, kafka_bootstrap: str):
    with pytest.raises(TransportError, match=r"PATCHLINE_KAFKA_SECURITY_PROTOCOL=SASL_SSL what it wants"):
        await transport(broker, kafka=kafka_bootstrap).start()


async def no_connection(port: int) -> None:
    """Wait until nothing is connected there: aiokafka gives a connection up before it has ended."""
    async with asyncio.timeout(60):
        while port in _peer_ports():  # noqa: ASYNC110  # the connection is aiokafka's, which tells nobody
            await asyncio.sleep(0.01)


def _peer_ports() -> set[int]:
    ports = set()
    for fd in Path("/proc/self/fd").iterdir():
        try:
            with socket.socket(fileno=os.dup(int(fd.name))) as connected:
                ports.add(connected.getpeername()[1])
        except (OSError, IndexError):
            continue
    return ports
