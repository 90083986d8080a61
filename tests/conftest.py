"""What all tests share."""

from __future__ import annotations

import os

import pytest

KAFKA = "PATCHLINE_TEST_KAFKA"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs Kafka where there is none, and say so."""
    if os.environ.get(KAFKA):
        return
    skip = pytest.mark.skip(reason=f"needs Kafka: make native, then {KAFKA}=127.0.0.1:9092")
    for item in items:
        if item.get_closest_marker("native"):
            item.add_marker(skip)


@pytest.fixture
def kafka_bootstrap() -> str:
    """Where the native Kafka answers."""
    return os.environ[KAFKA]
