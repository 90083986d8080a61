"""Runs the benchmarks and prints ratios. ``python -m tests.bench [NAME...]``; without names all of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from tests.bench import embedded, footprint, hops, lifecycle, throughput

ANYWHERE: dict[str, Callable[[], None]] = {
    "embedded": embedded.report,
    "hops": hops.report,
    "lifecycle": lifecycle.report,
}
ON_KAFKA: dict[str, Callable[[], None]] = {
    "service": throughput.service,
    "store": throughput.store,
    "growth": throughput.growth,
    "replicas": throughput.replicas,
    "memory": footprint.report,
}


def main(chosen: list[str]) -> None:
    """Run ``chosen``, or all that can run here."""
    known = ANYWHERE | ON_KAFKA
    if unknown := [name for name in chosen if name not in known]:
        raise SystemExit(f"no benchmark is called {unknown[0]!r}; there are {', '.join(known)}")
    for name in chosen or known:
        if name in ON_KAFKA and not os.environ.get("PATCHLINE_TEST_KAFKA"):
            print(f"{name} needs Kafka: infra/with-native .venv/bin/python -m tests.bench {name}")
            continue
        known[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
