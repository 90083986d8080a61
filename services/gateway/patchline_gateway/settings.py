"""The gateway's settings; host, port and token are common to all of Patchline."""

from __future__ import annotations

from pydantic import field_validator

from patchline_gateway.traces import PLACE, zipkin_ui
from patchline_kit.settings import ServiceSettings


class Settings(ServiceSettings):
    """What the gateway needs to know."""

    trace_ui: str | None = None
    """Address of a trace in the tracing UI, with `{trace_id}` where its id belongs; Zipkin's follows from
    `OTEL_EXPORTER_ZIPKIN_ENDPOINT` where traces go there."""

    @field_validator("trace_ui")
    @classmethod
    def _has_a_place(cls, value: str | None) -> str | None:
        if value is not None and (PLACE not in value or not value.startswith(("http://", "https://"))):
            raise ValueError(
                f"should be an http address with {PLACE} in it, such as http://127.0.0.1:16686/trace/{PLACE}"
                f" (Jaeger) or http://127.0.0.1:9411/zipkin/traces/{PLACE} (Zipkin)"
            )
        return value

    def trace_address(self) -> str | None:
        """Where the UI shows a trace, with the place for its id; None where no UI is known."""
        return self.trace_ui or zipkin_ui()
