"""Bodies that are JSON whatever their content type says, as ``curl -d`` sends them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from patchline_gateway.api.refusals import bad_input
from patchline_gateway.shapes import Problem
from patchline_schemas.json_text import NotJson, read_json


class JsonRoute(APIRoute):
    """A call whose body is read as JSON. A web page gains nothing by that: see :mod:`.access`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, which raises :class:`Refusal` for a body that is no JSON."""
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def read_then_handle(request: Request) -> Response:
            try:
                read_json(await request.body())
            except NotJson as error:
                raise bad_input(
                    f"The body is not valid: {error}.",
                    "Send a JSON object; /docs shows each call.",
                    [Problem(line=error.line, problem=str(error))],
                ) from error
            others = [(name, value) for name, value in request.scope["headers"] if name != b"content-type"]
            request.scope["headers"] = [*others, (b"content-type", b"application/json")]
            return await handle(request)

        return read_then_handle
