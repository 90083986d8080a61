"""The FastAPI application, put together."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from starlette.routing import Route

from patchline_gateway.api import (
    docs,
    feeds,
    fleet,
    fleet_file,
    installation,
    letters,
    proposals,
    rebuilds,
    refusals,
    stream,
    updates,
)
from patchline_gateway.api.access import Access
from patchline_gateway.api.limits import BodyLimit
from patchline_gateway.settings import Settings
from patchline_gateway.shapes import ErrorAnswer
from patchline_kit.context import ServiceHandle
from patchline_kit.process import Process

_ABOUT = """\
Patchline carries each software update from a vendor's feed to verified on every machine that needs it.

Every error is JSON with `error` (a word), `explanation` and `fix`. Times are RFC 3339 in UTC.
Listings come in parts: pass `next` as `after` for the next one.
"""


def build_app(handle: ServiceHandle) -> FastAPI:
    """The API over the views of a running gateway."""
    settings = handle.setting(Settings)
    app = FastAPI(
        title="Patchline",
        version=version("patchline-gateway"),
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        responses={422: {"model": ErrorAnswer}},
    )
    app.openapi_version = "3.0.3"  # the newest that the bundled Swagger UI can show
    for part in (feeds, updates, fleet, fleet_file, letters, rebuilds, proposals, stream, installation):
        app.include_router(part.routes(handle), prefix="/v1")
    docs.install(app)
    for path in ("/live", "/ready", "/metrics"):
        app.router.routes.append(Route(path, handle.resource(Process).health))
    refusals.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(
        Access, token=settings.token.get_secret_value() if settings.token else None, host=settings.host
    )
    return app
