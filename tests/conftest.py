"""What all tests share."""

from __future__ import annotations

import os

import pytest

KAFKA = "PATCHLINE_TEST_KAFKA"
MONGO = "PATCHLINE_TEST_MONGO"
ZIPKIN = "PATCHLINE_TEST_ZIPKIN"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs the native servers where there are none, and say so."""
    if os.environ.get(KAFKA):
        return
    skip = pytest.mark.skip(reason="needs the native servers: infra/with-native COMMAND")
    for item in items:
        if item.get_closest_marker("native"):
            item.add_marker(skip)


@pytest.fixture
def kafka_bootstrap() -> str:
    """Where the native Kafka answers: host:port."""
    return _address(KAFKA)


@pytest.fixture
def mongo_uri() -> str:
    """Where the native MongoDB-compatible server answers: a ``mongodb://`` URI without a database."""
    return _address(MONGO)


@pytest.fixture
def zipkin_url() -> str:
    """Where the native Zipkin answers: its base URL."""
    return _address(ZIPKIN)


def _address(variable: str) -> str:
    address = os.environ.get(variable)
    if not address:
        pytest.skip(f"needs {variable}: infra/with-native COMMAND sets it")
    return address
