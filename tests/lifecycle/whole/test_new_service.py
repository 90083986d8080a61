"""A new service, run as a process beside a running Patchline, sees an update and tells of it."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from whole import Whole, running

from patchline_kit.clock import SystemClock
from patchline_kit.settings import ServiceSettings, load_settings
from patchline_kit.transport.embedded import EmbeddedTransport
from patchline_kit.transport.kafka import KafkaTransport
from patchline_kit.transport.kafka_clients import KafkaConnection
from patchline_kit.transport.port import Transport
from patchline_kit.transport.topics import KEEP, Topic
from patchline_schemas.envelope import read_envelope

pytestmark = pytest.mark.timeout(300)

OWN_TOPIC = "patch-diary.page-written"
FLEET = """\
groups:
  - {name: intranet, criticality: low, window: always, policies: {approval: automatic, soak: PT1S}}
targets:
  - {id: wiki, group: intranet, driver: sim, path: sim, settings: {packages: "pkg:pypi/jinja2@3.1.2"}}
"""
ITEM = {
    "vendor": "palletsprojects",
    "component": "pkg:pypi/jinja2",
    "version": "3.1.6",
    "kind": "security",
    "released_at": "2025-03-05T20:05:00Z",
}


@contextmanager
def started(whole: Whole, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """The service as a process; it is stopped as an operator would stop it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "patch_diary"],
        cwd=whole.folder / "patch-diary",
        env={**whole.environment, "PATCHLINE_LOG_FORMAT": "text", **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0, rest


def heard(process: subprocess.Popen[str], sign: str) -> str:
    """The line with ``sign``, waited for; what was said instead if the process ends before."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if sign in line:
            return line
    raise AssertionError(f"{sign!r} was not said:\n{''.join(said)}")


def published(transport: Callable[[], Transport], *, at_least: int) -> list[dict[str, str]]:
    """Bodies of the service's own event, once there are so many."""

    async def read() -> list[dict[str, str]]:
        reader = transport()
        await reader.start()
        try:
            async with asyncio.timeout(20):
                while True:
                    records = await reader.read(OWN_TOPIC)
                    if len(records) >= at_least:
                        return [json.loads(read_envelope(one.headers, one.value)[1]) for one in records]
                    await asyncio.sleep(0.05)
        finally:
            await reader.stop()

    return asyncio.run(read())


def generate_and_test(whole: Whole) -> None:
    line = "patchline new-service patch-diary --on WaveVerified --emits PageWritten"
    assert whole.shell(line).returncode == 0
    tested = whole.shell("cd patch-diary && python -m pytest -q -p no:cacheprovider")
    assert tested.returncode == 0, tested.stdout


def publish_and_wait(whole: Whole) -> str:
    """Publish the update and wait for its end; the id of its wave."""
    (whole.folder / "item.json").write_text(json.dumps(ITEM))
    done = whole.shell("patchline feed publish item.json -o json")
    assert done.returncode == 0, done.stderr
    [update] = json.loads(done.stdout)
    assert whole.shell(f"patchline update wait {update['update_id']} --for closed").returncode == 0
    return f"{update['update_id']}.r1.w1"


def test_it_works_on_the_embedded_log_of_a_running_patchline(tmp_path: Path) -> None:
    with running(tmp_path, FLEET) as whole:
        generate_and_test(whole)
        with started(whole) as service:
            wave = publish_and_wait(whole)
            assert f"waves.verified about {wave}, 1 so far" in heard(service, "waves.verified about")

            def log() -> Transport:
                return EmbeddedTransport(whole.state / "log.db", clock=SystemClock())

            assert published(log, at_least=1) == [{"about": wave, "what": "waves.verified"}]
        # started again it goes on where it was: the wave is not told of twice
        with started(whole) as service:
            heard(service, "patch-diary")
        assert len(published(log, at_least=1)) == 1


@pytest.mark.native
def test_it_works_on_the_kafka_of_a_running_patchline(tmp_path: Path, kafka_bootstrap: str) -> None:
    prefix = f"test-{uuid.uuid4().hex[:10]}."
    kafka = {
        "PATCHLINE_KAFKA": kafka_bootstrap,
        "PATCHLINE_TOPIC_PREFIX": prefix,
        "PATCHLINE_KAFKA_PARTITIONS": "1",
    }
    with running(tmp_path, FLEET, **kafka) as whole:
        generate_and_test(whole)
        with started(whole, PATCHLINE_DIR=str(tmp_path / "a folder of its own")) as service:
            wave = publish_and_wait(whole)
            assert f"waves.verified about {wave}, 1 so far" in heard(service, "waves.verified about")

            def log() -> Transport:
                return KafkaTransport(
                    KafkaConnection.of(load_settings(ServiceSettings, kafka=kafka_bootstrap)),
                    prefix=prefix,
                    topics={OWN_TOPIC: Topic(OWN_TOPIC, 1, KEEP)},
                )

            assert published(log, at_least=1) == [{"about": wave, "what": "waves.verified"}]
