"""The processes of a chaos run obey from their first moment on."""

from __future__ import annotations

from pathlib import Path

from chaos.replica import BACK
from chaos.replicas import Replicas


def test_a_replica_that_has_only_begun_does_not_end_when_its_clock_is_put_wrong(tmp_path: Path):
    replicas = Replicas(
        tmp_path, {"PATCHLINE_DIR": str(tmp_path), "PATCHLINE_KAFKA": "127.0.0.1:1"}, crashed=[]
    )
    begun = replicas.add("testing")
    begun.signal(BACK)
    begun.process.join(60)
    assert begun.process.exitcode == 1, "it finds no Kafka; the signal would have ended it before"
