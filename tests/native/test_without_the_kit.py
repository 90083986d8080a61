"""What docs/without-the-kit.md shows works on a real Kafka, with clients that know nothing of Patchline."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from whole import Whole, running

pytestmark = pytest.mark.native

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
SHOWN = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "without-the-kit.md").read_text(), re.DOTALL)
JARS = Path(os.environ.get("NATIVE_DIR", ROOT / ".native")) / "kafka" / "jars"
TOOLS = {
    "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
}
FLEET = """\
groups:
  - {name: intranet, criticality: low, window: always, policies: {approval: automatic, soak: PT1S}}
targets:
  - {id: wiki, group: intranet, driver: sim, path: sim, settings: {packages: "pkg:pypi/jinja2@3.1.2"}}
"""
ITEM = {
    "vendor": "palletsprojects",
    "component": "pkg:pypi/jinja2",
    "version": "3.1.4",
    "kind": "security",
    "released_at": "2024-05-05T23:41:00Z",
}


def shown(sign: str) -> str:
    """The command of the page that has ``sign`` in it."""
    [command] = [text for text in SHOWN if sign in text]
    return command


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Kafka's scripts under their usual names, from the jars of the native stack."""
    if not JARS.is_dir():
        pytest.skip(f"Kafka's console tools are not in {JARS}: make native fetches them")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, main in TOOLS.items():
        (folder / name).write_text(
            f'#!/bin/sh\nexec java -XX:TieredStopAtLevel=1 -cp "{JARS}/*" {main} "$@"\n'
        )
        (folder / name).chmod(0o755)
    return folder


@contextmanager
def consuming(whole: Whole) -> Iterator[Iterator[str]]:
    """The lines that the consumer prints."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {shown('plain_consumer.py')}"],
        cwd=whole.folder,
        env=whole.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield (line.strip() for line in process.stdout)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def publish(whole: Whole, command: str, *, version: str) -> None:
    """Run what publishes the update to ``version``, and wait until it is in effect."""
    done = whole.shell(command)
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        updates = json.loads(whole.shell("patchline updates -o json").stdout)
        if ids := [update["id"] for update in updates if f"-{version}-" in update["id"]]:
            assert whole.shell(f"patchline update wait {ids[0]} --for completed").returncode == 0
            return
    raise AssertionError(f"nobody heard of {version}: {updates}")


def page(version: str) -> str:
    """What the consumer writes about the wave of ``version``."""
    return f"pkg:pypi/jinja2 {version} works on 1 targets of intranet"


@pytest.mark.timeout(400)
def test_publishers_and_a_consumer_need_nothing_of_patchlines(
    tmp_path: Path, tools: Path, kafka_bootstrap: str
) -> None:
    prefix = f"test-{uuid.uuid4().hex[:10]}."
    settings = {
        "PATCHLINE_KAFKA": kafka_bootstrap,
        "PATCHLINE_TOPIC_PREFIX": prefix,
        "PATCHLINE_KAFKA_PARTITIONS": "1",
        "KAFKA": kafka_bootstrap,
        "PREFIX": prefix,
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    for example in EXAMPLES.glob("plain_*.py"):
        (tmp_path / example.name).write_text(example.read_text())
    (tmp_path / "item.json").write_text(json.dumps(ITEM))
    with running(tmp_path, FLEET, **settings) as whole:
        publish(whole, shown("plain_publisher.py"), version="3.1.4")
        publish(whole, shown("ce_id:"), version="3.1.5")
        with consuming(whole) as diary:
            assert [next(diary), next(diary)] == [page("3.1.4"), page("3.1.5")]
        publish(whole, shown("application/cloudevents+json"), version="3.1.6")
        with consuming(whole) as diary:  # what is written down is not written down again
            assert next(diary) == page("3.1.6")
        looked = whole.shell(shown("kafka-console-consumer.sh")).stdout
        assert looked.count("ce_type:dev.patchline.waves.verified.v1") == 3
