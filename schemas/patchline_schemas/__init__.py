"""The events of Patchline: frozen pydantic models, their envelope and their registry.

One module per entity. A module is imported when something of it is asked for, or the registry as a whole: a
command that needs one value does not pay for all events.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from patchline_schemas.envelope import (
    ENTITIES,
    Envelope,
    EnvelopeError,
    Event,
    WireRecord,
    decode,
    derived_id,
    encode,
    event_types,
)

__all__ = [
    "Envelope",
    "EnvelopeError",
    "Event",
    "WireRecord",
    "decode",
    "derived_id",
    "encode",
    "event_types",
]


def __getattr__(name: str) -> ModuleType:
    """An entity's module, by its name."""
    if name in ENTITIES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
