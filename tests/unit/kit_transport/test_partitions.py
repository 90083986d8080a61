"""Which partition a key belongs to: what every Kafka client says."""

from __future__ import annotations

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis.strategies import binary

from patchline_kit.transport.kafka_batches import partition_hash


@given(binary(max_size=80))
def test_a_key_goes_where_other_clients_put_it(key: bytes) -> None:
    assert partition_hash(key) == murmur2(key) & 0x7FFFFFFF
