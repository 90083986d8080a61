"""The servers that `make native` started on this machine: where they are, and running Patchline on them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from patchline_cli.failures import Failure

FOLDER = ".native"
"""What `make native` makes in the checkout."""
ANSWER_SECONDS = 2.0
SAY_WHERE_TRACES_GO = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_", "OTEL_SDK_DISABLED")
"""How such variables begin; the others, the sampler's say, do not choose a place."""


@dataclass(frozen=True, slots=True)
class NativeStack:
    """Addresses (host:port) of the servers that run and answer; None for the others."""

    kafka: str | None
    mongo: str | None
    zipkin: str | None


def given_by_it(given: Mapping[str, object]) -> dict[str, object]:
    """``given`` with the native Kafka and MongoDB where it names none; traces go to the native Zipkin.

    Zipkin is only used if it runs and no ``OTEL_*`` variable says where traces go. Raises :class:`Failure`
    if Kafka or MongoDB does not run.
    """
    stack = find()
    named = {
        "kafka": given.get("kafka") or stack.kafka,
        "mongo": given.get("mongo") or (stack.mongo and f"mongodb://{stack.mongo}"),
    }
    _require(named["kafka"], named["mongo"])
    if stack.zipkin and not any(name.startswith(SAY_WHERE_TRACES_GO) for name in os.environ):
        os.environ["OTEL_TRACES_EXPORTER"] = "zipkin"
        os.environ["OTEL_EXPORTER_ZIPKIN_ENDPOINT"] = f"http://{stack.zipkin}/api/v2/spans"
    return {**given, **named}


def kafka() -> str:
    """The native Kafka's address. Raises :class:`Failure` if it does not run."""
    address = _address("kafka")
    _require(address, "not needed")
    return address or ""


def find() -> NativeStack:
    """The native servers that run now."""
    return NativeStack(*(_address(name) for name in ("kafka", "mongo", "zipkin")))


def _require(kafka: object, mongo: object) -> None:
    missing = [title for title, address in (("Kafka", kafka), ("MongoDB", mongo)) if not address]
    if missing:
        looked = ", ".join(map(str, _folders())) or f"{FOLDER} of this folder and of those above it"
        raise Failure(
            f"The native {' and '.join(missing)} {'does' if len(missing) == 1 else 'do'} not run;"
            f" looked in {looked}.",
            fix="Start what is missing with `make native` in Patchline's checkout,"
            " or name others with --kafka and --mongo.",
        )


def _folders() -> Iterator[Path]:
    """Where `make native` may keep things: ``NATIVE_DIR``, or ``.native`` here, above, in the checkout."""
    named = os.environ.get("NATIVE_DIR")
    if named:
        yield Path(named)
        return
    here = Path.cwd()
    for folder in dict.fromkeys([here, *here.parents, *Path(__file__).parents]):
        if (folder / FOLDER).is_dir():
            yield folder / FOLDER


def _address(server: str) -> str | None:
    for folder in _folders():
        try:
            pid = int((folder / server / "pid").read_text())
            port = int((folder / server / "port").read_text())
        except (OSError, ValueError):
            continue
        if Path(f"/proc/{pid}").exists() and _answers(port):
            return f"127.0.0.1:{port}"
    return None


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS).close()
    except OSError:
        return False
    return True
