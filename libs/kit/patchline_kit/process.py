"""The process that a service runs in, as far as a service may use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp

from patchline_kit.generations import ReadModel
from patchline_kit.transport.port import Transport


@dataclass(frozen=True, slots=True)
class Process:
    """A resource that the host gives to every service: ``ctx.resource(Process)``.

    A service speaks in events; only one that carries other services' records (the gateway with dead letters,
    documentation with the ledger) or shows how the process is has a use for this.
    """

    transport: Transport
    health: ASGIApp
    """Answers /live, /ready and /metrics for all services of the process."""
    read_models: Mapping[str, ReadModel] = field(default_factory=dict)
    """Services of the process that can be built anew from the ledger, by name."""
