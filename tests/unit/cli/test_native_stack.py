"""`patchline up --native`: the servers that `make native` started."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from patchline_cli import native_stack
from patchline_cli.failures import Failure


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NATIVE_DIR", str(tmp_path))
    # What the command sets for its own process must not outlive the test.
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_ZIPKIN_ENDPOINT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def runs(folder: Path, server: str, port: int, pid: int | None = None) -> None:
    (folder / server).mkdir()
    (folder / server / "pid").write_text(str(os.getpid() if pid is None else pid))
    (folder / server / "port").write_text(str(port))


def test_kafka_and_mongodb_are_found_where_make_native_put_them(tmp_path: Path, listener: int):
    for server in ("kafka", "mongo"):
        runs(tmp_path, server, listener)
    given = native_stack.given_by_it({"dir": tmp_path, "kafka": None})
    assert given == {
        "dir": tmp_path,
        "kafka": f"127.0.0.1:{listener}",
        "mongo": f"mongodb://127.0.0.1:{listener}",
    }
    assert "OTEL_TRACES_EXPORTER" not in os.environ


def test_what_is_named_wins_over_what_runs(tmp_path: Path, listener: int):
    runs(tmp_path, "mongo", listener)
    assert native_stack.given_by_it({"kafka": "broker:9092"})["kafka"] == "broker:9092"


def test_traces_go_to_zipkin_if_it_runs(tmp_path: Path, listener: int):
    for server in ("kafka", "mongo", "zipkin"):
        runs(tmp_path, server, listener)
    native_stack.given_by_it({})
    assert os.environ["OTEL_EXPORTER_ZIPKIN_ENDPOINT"] == f"http://127.0.0.1:{listener}/api/v2/spans"


def test_a_sampler_alone_says_nothing_of_where_traces_go(
    tmp_path: Path, listener: int, monkeypatch: pytest.MonkeyPatch
):
    for server in ("kafka", "mongo", "zipkin"):
        runs(tmp_path, server, listener)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    native_stack.given_by_it({})
    assert os.environ["OTEL_TRACES_EXPORTER"] == "zipkin"


def test_traces_go_where_otel_variables_say(tmp_path: Path, listener: int, monkeypatch: pytest.MonkeyPatch):
    for server in ("kafka", "mongo", "zipkin"):
        runs(tmp_path, server, listener)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    native_stack.given_by_it({})
    assert "OTEL_EXPORTER_ZIPKIN_ENDPOINT" not in os.environ


def test_a_server_that_does_not_run_is_named_with_what_to_do(tmp_path: Path, listener: int):
    runs(tmp_path, "mongo", listener)
    runs(tmp_path, "kafka", listener, pid=2**30)
    with pytest.raises(Failure, match=r"The native Kafka does not run; looked in .*") as caught:
        native_stack.given_by_it({})
    assert "make native" in caught.value.fix
