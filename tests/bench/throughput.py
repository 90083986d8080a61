"""(d) to (g): one kit service on Kafka against a bare loop and plain FastStream; stores; growth; replicas."""

from __future__ import annotations

import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

from tests.bench import sides
from tests.bench.kit_service import Cost
from tests.bench.sides import Side

EVENTS = 20_000
ROUNDS = 5
FASTSTREAM_EVENTS = 2_000
STORE_EVENTS = 2_000
GROWTH = (5_000, 50_000)


def service() -> None:
    """One kit service, its store a no-op, against a bare loop and FastStream: medians of alternated runs."""
    with _sink() as endpoint:
        export = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        every = export | {"OTEL_TRACES_SAMPLER": "always_on"}
        prefix = _seeded(EVENTS)
        costs = _alternated(
            {
                "bare loop": Side("bare", EVENTS, prefix, tuned=False),
                "bare loop, uvloop": Side("bare", EVENTS, prefix),
                "bare loop, uvloop, 5,000": Side("bare", EVENTS, prefix, fetch=5_000),
                "kit, tracing off": Side("kit", EVENTS, prefix),
                "kit, default sampler": Side("kit", EVENTS, prefix, telemetry=export),
                "kit, every event traced": Side("kit", EVENTS, prefix, telemetry=every),
                "plain FastStream": Side("faststream", FASTSTREAM_EVENTS, prefix, tuned=False),
            }
        )
    print(f"(d) one service on Kafka, no store, {EVENTS:,} events of 1 KB, medians of {ROUNDS} rounds; times")
    print("                              a second  CPU us  bare loop  with uvloop  FastStream")
    for name, runs in costs.items():
        against = [
            _against(runs, costs[reference])
            for reference in ("bare loop", "bare loop, uvloop", "plain FastStream")
        ]
        print(
            f"    {name:<25}{_rate(runs):>9,.0f}{_cpu(runs):>8.0f}"
            f"{against[0]:>11.2f}{against[1]:>13.2f}{against[2]:>12.1f}"
        )


def store() -> None:
    """What the store costs, and what batching its writes gains."""
    prefix = _seeded(EVENTS)
    kinds = ["sqlite", *(["mongo"] if os.environ.get("PATCHLINE_TEST_MONGO") else [])]
    compared = {"no store": Side("kit", EVENTS // 2, prefix)}
    for kind in kinds:
        compared[kind] = Side("kit", EVENTS // 2, prefix, store=kind)
        compared[f"{kind}: batches"] = Side("store", STORE_EVENTS, "", store=kind)
        compared[f"{kind}: one by one"] = Side("store", STORE_EVENTS, "", store=kind, one_by_one=True)
    costs = _alternated(compared)
    print(f"(e) the same service with the store writing, tracing off, medians of {ROUNDS} rounds:")
    for name in ("no store", *kinds):
        more = _cpu(costs[name]) - _cpu(costs["no store"])
        print(
            f"    {name:<10}{_rate(costs[name]):>9,.0f} a second{_cpu(costs[name]):>8.0f} us of CPU each, "
            f"of which the store {more:.0f}"
        )
    for kind in kinds:
        together, alone = costs[f"{kind}: batches"], costs[f"{kind}: one by one"]
        print(
            f"    {kind} alone, a document, its inbox and one event: {_against(together, alone):.1f} times as"
            f" many in batches of 500 ({_rate(together):,.0f} a second) as one by one ({_rate(alone):,.0f})"
        )


def growth() -> None:
    """Ten times the events: how much more CPU."""
    few, many = GROWTH
    prefix = _seeded(many)
    for kind in ("nothing", "sqlite"):
        costs = _alternated(
            {
                "few": Side("kit", few, prefix, store=kind),
                "many": Side("kit", many, prefix, store=kind),
            }
        )
        ratios = [b.cpu_seconds / a.cpu_seconds for a, b in zip(costs["few"], costs["many"], strict=True)]
        print(
            f"(f) {many:,} events take {median(ratios):.1f} times the CPU seconds of {few:,} (store: {kind})"
        )


def replicas() -> None:
    """Two members of one group against one."""
    rates: dict[int, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for members in (1, 2):
            prefix = _seeded(EVENTS)
            group = f"bench-{uuid.uuid4().hex[:8]}"
            # each counts to the end of all events, so any of them tells the time
            costs = sides.run(*[Side("kit", EVENTS, prefix, group=group)] * members)
            rates[members].append(EVENTS / max(cost.seconds for cost in costs))
    one, two = (median(rates[members]) for members in (1, 2))
    print(
        f"(g) two replicas against one: {two / one:.2f} times ({two:,.0f} against {one:,.0f} a second, "
        f"on {os.cpu_count()} cores that the broker shares)"
    )


def _seeded(count: int) -> str:
    prefix = f"bench-{uuid.uuid4().hex[:8]}-"
    sides.seed(prefix, count)
    return prefix


def _alternated(compared: dict[str, Side]) -> dict[str, list[Cost]]:
    costs: dict[str, list[Cost]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name, side in compared.items():
            costs[name] += sides.run(side)
    return costs


def _rate(costs: Sequence[Cost]) -> float:
    return median(cost.rate for cost in costs)


def _cpu(costs: Sequence[Cost]) -> float:
    return median(cost.cpu_micros for cost in costs)


def _against(costs: Sequence[Cost], reference: Sequence[Cost]) -> float:
    """The median of the ratios of rates, round by round: the machine's speed drifts."""
    return median(one.rate / other.rate for one, other in zip(costs, reference, strict=True))


class _Swallow(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _sink() -> Iterator[str]:
    """A collector of traces, in this process, that keeps nothing."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Swallow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
