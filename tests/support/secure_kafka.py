"""A second native Kafka that lets clients in only over TLS and with a password."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from patchline_cli.preflight import free_port

REPOSITORY = Path(__file__).parents[2]
SCRIPT = REPOSITORY / "infra" / "native" / "kafka"
USER, PASSWORD = "patchline", "an-open-s3cret"


@dataclass(frozen=True)
class SecureKafka:
    """Where it listens (SASL/PLAIN over TLS), and the certificate that clients must trust."""

    address: str
    ca_file: Path


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """A broker with a certificate of its own making for ``localhost``, which ends with the block."""
    state = folder / "kafka"
    state.mkdir(parents=True)
    shared = Path(os.environ.get("NATIVE_DIR") or REPOSITORY / ".native") / "kafka" / "jars"
    if (shared / ".complete").exists():
        (state / "jars").symlink_to(shared.resolve())
    keystore, certificate = folder / "keystore.p12", folder / "ca.pem"
    make_certificate(keystore, certificate)
    plain, controller, secure = (free_port("127.0.0.1") for _ in range(3))
    more = folder / "more.properties"
    more.write_text(
        f"""
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:{secure}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SECURE://localhost:{secure}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
ssl.keystore.location={keystore}
ssl.keystore.password={PASSWORD}
ssl.keystore.type=PKCS12
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule \\
    required user_{USER}="{PASSWORD}";
"""
    )
    environment = {
        **os.environ,
        "NATIVE_DIR": str(folder),
        "KAFKA_PORT": str(plain),
        "KAFKA_CONTROLLER_PORT": str(controller),
        "KAFKA_MORE_PROPERTIES": str(more),
    }
    started = subprocess.run([SCRIPT, "start"], env=environment, capture_output=True, text=True, check=False)
    try:
        assert started.returncode == 0, started.stderr
        yield SecureKafka(f"localhost:{secure}", certificate)
    finally:
        subprocess.run([SCRIPT, "stop"], env=environment, capture_output=True, check=False)


def make_certificate(keystore: Path, certificate: Path) -> None:
    """A key for ``localhost`` into ``keystore``, under :data:`PASSWORD`, and its certificate as PEM."""
    keytool = shutil.which("keytool")
    assert keytool, "keytool, which every JDK has, makes the certificate"
    store = ["-keystore", str(keystore), "-storetype", "PKCS12", "-storepass", PASSWORD, "-alias", "kafka"]
    name = ["-keyalg", "EC", "-dname", "CN=localhost", "-ext", "SAN=dns:localhost,ip:127.0.0.1"]
    subprocess.run([keytool, "-genkeypair", *store, *name, "-ext", "bc:c"], check=True, capture_output=True)
    subprocess.run(
        [keytool, "-exportcert", "-rfc", *store, "-file", str(certificate)], check=True, capture_output=True
    )
