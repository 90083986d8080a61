"""Publications: validated wholly, put on their topic wholly, answered when they show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from patchline_gateway.api import asking
from patchline_gateway.api.refusals import Refusal, bad_input
from patchline_gateway.api.updates import Timeout
from patchline_gateway.shapes import Problem, PublishAnswer
from patchline_kit.context import ServiceHandle
from patchline_schemas.feed_items import FeedItem, FeedItemsError, Publication, Retraction, parse_items
from patchline_schemas.requests import RequestSubmitted


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A JSON Schema without references: inside an OpenAPI document they would point nowhere."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(part, definitions) for name, part in schema.items() if name != "$defs"}


def _schema_of(shape: type[FeedItem]) -> Any:
    schema = shape.model_json_schema()
    return _inlined(schema, schema.get("$defs", {}))


_ITEM: dict[str, Any] = {"oneOf": [_schema_of(Publication), _schema_of(Retraction)]}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"oneOf": [_ITEM, {"type": "array", "items": _ITEM}]}}},
    }
}
Who = Annotated[str, Query(min_length=1, max_length=200, description="Who hands the items in.")]


def routes(handle: ServiceHandle) -> APIRouter:
    """The calls that publish."""
    router = APIRouter(tags=["feeds"], responses={202: {"model": PublishAnswer}})

    @router.post("/feeds/updates", openapi_extra=_BODY)
    async def publish(
        request: Request, response: Response, who: Who = "feed", timeout: Timeout = timedelta(seconds=30)
    ) -> PublishAnswer:
        """Publish one item or a list of them, wholly or not, each naming its vendor."""
        return await _publish(response, None, await request.body(), who, timeout)

    @router.post("/feeds/{vendor}/updates", openapi_extra=_BODY)
    async def publish_of_vendor(
        vendor: Annotated[str, Path(max_length=200)],
        request: Request,
        response: Response,
        who: Who = "feed",
        timeout: Timeout = timedelta(seconds=30),
    ) -> PublishAnswer:
        """Publish a vendor's items; an item may leave `vendor` out. Answers 202 if not all show in time."""
        return await _publish(response, vendor, await request.body(), who, timeout)

    async def _publish(
        response: Response, vendor: str | None, body: bytes, who: str, timeout: timedelta
    ) -> PublishAnswer:
        items = parsed(body, vendor)
        answer = await asking.publish(handle, [_request(item, who) for item in items], timeout)
        if answer.pending:
            response.status_code = HTTPStatus.ACCEPTED
        return answer

    return router


def parsed(body: bytes, vendor: str | None) -> list[FeedItem]:
    """The items of a body, of ``vendor`` where one is given. Raises :class:`Refusal` with every problem."""
    try:
        items = parse_items(_with_vendor(body, vendor) if vendor else body)
    except FeedItemsError as error:
        raise _not_taken(
            [
                Problem(item=found.index, field=found.field or None, problem=found.message)
                for found in error.problems
            ],
            str(error.problems[0]),
        ) from error
    others = [
        Problem(
            item=number if len(items) > 1 else None,
            field="vendor",
            problem=f"is {item.vendor!r}, but the call is for {vendor!r}",
        )
        for number, item in enumerate(items)
        if vendor and item.vendor != vendor
    ]
    if others:
        raise _not_taken(others, f"vendor: {others[0].problem}")
    return items


def _not_taken(problems: list[Problem], first: str) -> Refusal:
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    return bad_input(
        f"Nothing of the feed was taken: {first}{more}", "Correct what is named and publish again.", problems
    )


def _with_vendor(body: bytes, vendor: str) -> Any:
    """The items with the vendor that the call names; what is no JSON is left for its parser to say."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return body
    if isinstance(content, list):
        return [_completed(item, vendor) for item in content]
    return _completed(content, vendor)


def _completed(item: Any, vendor: str) -> Any:
    return {"vendor": vendor, **item} if isinstance(item, Mapping) else item


def _request(item: FeedItem, who: str) -> RequestSubmitted:
    return RequestSubmitted(
        action="publish", who=who, reason="published", item=item.model_dump(mode="json", exclude_none=True)
    )
