"""Runs the benchmarks and prints ratios. ``python -m tests.bench [service] [hops] [lifecycle]``."""

from __future__ import annotations

import sys

from tests.bench import hops, kit_service, lifecycle
from tests.bench.transports import kinds

BENCHES = ("service", "hops", "lifecycle")


def main(chosen: list[str]) -> None:
    """Run ``chosen``, or all."""
    chosen = chosen or list(BENCHES)
    if "service" in chosen:
        for kind in kinds():
            kit, bare = kit_service.measure(kind)
            print(
                f"(a) one kit service on {kind}: {kit / bare:.2f} of a bare loop "
                f"({kit:,.0f} against {bare:,.0f} events a second)"
            )
    if "hops" in chosen:
        for kind in kinds():
            kit, bare = hops.measure(kind)
            print(
                f"(b) one event through {hops.HOPS} idle services on {kind}: {kit / bare:.1f} times "
                f"bare loops ({kit * 1000:.0f} ms against {bare * 1000:.0f} ms)"
            )
    if "lifecycle" in chosen:
        lifecycle.report()


if __name__ == "__main__":
    main(sys.argv[1:])
