"""MongoDB over TLS, as ``PATCHLINE_MONGO_CA_FILE`` and its like set it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from chaos.servers import Server
from pydantic import SecretStr
from secure_kafka import PASSWORD, make_certificate
from store_contract import save

from patchline_kit.settings import ServiceSettings
from patchline_kit.store.opening import look_at_mongo, stores
from patchline_kit.store.port import StoreError

pytestmark = pytest.mark.native


@dataclass(frozen=True)
class SecureMongo:
    uri: str
    ca_file: Path


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureMongo]:
    tmp_path = tmp_path_factory.mktemp("secure")
    keystore, certificate = tmp_path / "keys.p12", tmp_path / "ca.pem"
    make_certificate(keystore, certificate)
    server = Server(
        "mongo", tmp_path / "native", MONGO_KEYSTORE=str(keystore), MONGO_KEYSTORE_PASSWORD=PASSWORD
    )
    server.start()
    yield SecureMongo(f"mongodb://localhost:{server.port}/secure?serverSelectionTimeoutMS=3000", certificate)
    server.kill()


async def test_documents_go_over_tls_to_a_server_whose_certificate_is_trusted(
    secure: SecureMongo, tmp_path: Path
) -> None:
    settings = ServiceSettings(dir=tmp_path, mongo=SecretStr(secure.uri), mongo_ca_file=secure.ca_file)
    async with stores(settings) as store_of:
        store = await store_of("one")
        await store.save(save())
        assert await store.load("things", "a") is not None


async def test_a_server_that_is_not_trusted_is_refused_in_words(secure: SecureMongo, tmp_path: Path) -> None:
    settings = ServiceSettings(dir=tmp_path, mongo=SecretStr(f"{secure.uri}&tls=true"))
    with pytest.raises(StoreError, match=r"certificate that is not trusted here: name the CA"):
        await look_at_mongo(settings)


async def test_a_server_that_speaks_tls_only_does_not_answer_without(
    secure: SecureMongo, tmp_path: Path
) -> None:
    settings = ServiceSettings(dir=tmp_path, mongo=SecretStr(secure.uri))
    with pytest.raises(StoreError, match=r"localhost:\d+, database secure, does not answer"):
        await look_at_mongo(settings)


async def test_user_and_password_of_the_settings_are_sent_and_never_shown(
    mongo_uri: str, tmp_path: Path
) -> None:
    settings = ServiceSettings(
        dir=tmp_path,
        mongo=SecretStr(f"{mongo_uri}/secure"),
        mongo_username="patchline",
        mongo_password=SecretStr("an-0pen-secret"),
    )
    with pytest.raises(StoreError, match="saslStart") as refusal:  # the native server knows no users
        await look_at_mongo(settings)
    assert "an-0pen-secret" not in str(refusal.value)
