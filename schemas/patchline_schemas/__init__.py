"""The events of Patchline: frozen pydantic models, their envelope and their registry.

One module per entity; importing the package registers every event class.
"""

from patchline_schemas import (
    dead_letters,
    feeds,
    fleet,
    ledger,
    notices,
    policies,
    requests,
    updates,
    waves,
)
from patchline_schemas.envelope import (
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
    "dead_letters",
    "decode",
    "derived_id",
    "encode",
    "event_types",
    "feeds",
    "fleet",
    "ledger",
    "notices",
    "policies",
    "requests",
    "updates",
    "waves",
]
