"""What every Patchline service is made of: handlers on events, documents that wake."""

from patchline_kit.clock import Clock, ManualClock, SystemClock
from patchline_kit.context import Context, ServiceHandle
from patchline_kit.documents import Document, Message
from patchline_kit.outcomes import Early, LeaseLost, Outcome, Poison, RetryLater, Stale
from patchline_kit.service import RetryPolicy, Service

__all__ = [
    "Clock",
    "Context",
    "Document",
    "Early",
    "LeaseLost",
    "ManualClock",
    "Message",
    "Outcome",
    "Poison",
    "RetryLater",
    "RetryPolicy",
    "Service",
    "ServiceHandle",
    "Stale",
    "SystemClock",
]
