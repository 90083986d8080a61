"""Errors as people and programs get them: a word, an explanation, a fix."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from patchline_gateway.shapes import ErrorAnswer, Problem
from patchline_kit.unavailable import Unavailable
from patchline_kit.validation import reason

AGAIN_HINT = "Call again when it answers; /ready says when. What was accepted is kept."
LOG_HINT = "Look into the log of the gateway for the request's time."


class Refusal(Exception):
    """An answer that is not good, with all that its reader needs."""

    def __init__(
        self, status: int, error: str, explanation: str, fix: str, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(explanation)
        self.status = status
        self.answer = ErrorAnswer(error=error, explanation=explanation, fix=fix, problems=list(problems))

    def response(self) -> JSONResponse:
        """The HTTP answer."""
        headers = {"WWW-Authenticate": "Bearer"} if self.status == HTTPStatus.UNAUTHORIZED else None
        return JSONResponse(self.answer.model_dump(mode="json"), self.status, headers)


def unknown(what: str, id_: str, listed_by: str) -> Refusal:
    """There is no such thing; ``listed_by`` is the command that lists those there are."""
    return Refusal(
        HTTPStatus.NOT_FOUND,
        f"unknown-{what.replace(' ', '-')}",
        f"There is no {what} {id_!r}.",
        f"`patchline {listed_by}` lists those there are.",
    )


def unknown_update(update_id: str) -> Refusal:
    """No such update."""
    return unknown("update", update_id, "updates")


def bad_input(explanation: str, fix: str, problems: Sequence[Problem] = ()) -> Refusal:
    """The input is refused."""
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "input", explanation, fix, problems)


def install(app: FastAPI) -> None:
    """Make every error of ``app`` a JSON answer of this shape."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return refusal.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        problems = [
            Problem(field=".".join(str(part) for part in found["loc"][1:]) or None, problem=reason(found))
            for found in error.errors()
        ]
        first = problems[0]
        where = f"{first.field}: " if first.field else ""
        return bad_input(
            f"The request is not valid: {where}{first.problem}.", "/docs shows each call.", problems
        ).response()

    @app.exception_handler(HTTPException)
    async def no_such_call(request: Request, error: HTTPException) -> JSONResponse:
        word = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        said = f"{request.method} {request.url.path}: {error.detail}."
        return Refusal(error.status_code, word, said, "/docs lists every call.").response()

    @app.exception_handler(Unavailable)
    async def unavailable(_: Request, error: Unavailable) -> JSONResponse:
        said = f"The gateway cannot answer just now: {error}."
        return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", said, AGAIN_HINT).response()

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        said = (
            f"{request.method} {request.url.path} met a fault of Patchline itself ({type(error).__name__})."
        )
        return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", said, LOG_HINT).response()
