"""The HTTP client: answers of the gateway, or failures with the right exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import httpx

from patchline_cli import exit_codes
from patchline_cli.failures import Failure, wrong_use

DEFAULT_PORT = 8470
DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"
SLACK = 15.0
"""Seconds beyond the server's own time limit that an answer may take."""
_CONNECT = 5.0
"""Seconds until somebody must have taken the call."""
_EXIT_CODES = {
    HTTPStatus.UNAUTHORIZED: exit_codes.WRONG_USE,
    HTTPStatus.FORBIDDEN: exit_codes.POLICY,
    HTTPStatus.NOT_FOUND: exit_codes.WRONG_USE,
    HTTPStatus.METHOD_NOT_ALLOWED: exit_codes.WRONG_USE,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: exit_codes.WRONG_USE,
    HTTPStatus.UNPROCESSABLE_ENTITY: exit_codes.WRONG_USE,
    HTTPStatus.BAD_GATEWAY: exit_codes.UNREACHABLE,
    HTTPStatus.SERVICE_UNAVAILABLE: exit_codes.UNREACHABLE,
    HTTPStatus.GATEWAY_TIMEOUT: exit_codes.UNREACHABLE,
}
Params = Mapping[str, str | int | None]


def make_transport() -> httpx.BaseTransport | None:
    """What carries the calls; None is httpx's own. A test puts another in place."""
    return None


class Client:
    """Calls to one Patchline; an answer may take ``patience`` seconds beyond the server's own limit."""

    def __init__(self, url: str, token: str | None, *, patience: float = SLACK) -> None:
        self.url = _usable(url)
        self._patience = patience
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=self._timeout(),
            transport=make_transport(),
        )

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of connections."""
        self._http.close()

    def get(self, path: str, params: Params | None = None, *, wait: float = 0.0) -> Any:
        """The JSON answer of a GET; ``wait`` is how long the server itself may take, in seconds."""
        return self._call("GET", path, params=params, wait=wait).json()

    def fetch(self, path: str, params: Params | None = None) -> bytes:
        """The body of a GET as it is."""
        return self._call("GET", path, params=params).content

    def post(self, path: str, body: Any, params: Params | None = None, *, wait: float = 0.0) -> Any:
        """The JSON answer of a POST."""
        return self._call("POST", path, params=params, content=json.dumps(body).encode(), wait=wait).json()

    def send(
        self, method: str, path: str, content: bytes, params: Params | None = None, *, wait: float = 0.0
    ) -> Any:
        """The JSON answer to a body that is sent as it is."""
        return self._call(method, path, params=params, content=content, wait=wait).json()

    def probe(self, path: str) -> Any:
        """The JSON answer of a GET that says something of use whatever its status is."""
        return self._answer("GET", path).json()

    def time_there(self) -> datetime:
        """The time where Patchline runs, to the second (RFC 9110, "Date"); ours if it does not say."""
        said = self._answer("GET", "/live").headers.get("Date")
        return parsedate_to_datetime(said) if said else datetime.now(UTC)

    def pages(self, path: str, params: Params | None = None, *, most: int | None = None) -> Iterator[Any]:
        """All items of a listing, part by part; at most ``most``."""
        after: str | None = ""
        left = most
        while after is not None and left != 0:
            part = self.get(path, {**(params or {}), "after": after})
            items = part["items"][:left]
            yield from items
            left = None if left is None else left - len(items)
            after = part["next"]

    def stream(self, path: str, params: Mapping[str, Any], last_event_id: str | None) -> Iterator[str]:
        """The lines of a stream that goes on until it is closed."""
        headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
        timeout = httpx.Timeout(self._patience, connect=_CONNECT, read=60.0)
        try:
            with self._http.stream("GET", path, params=params, headers=headers, timeout=timeout) as response:
                if response.is_error:
                    response.read()
                    raise _failure(response)
                yield from response.iter_lines()
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        response = self._answer(method, path, **request)
        if response.is_error:
            raise _failure(response)
        return response

    def _answer(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        content: bytes | None = None,
        wait: float = 0.0,
    ) -> httpx.Response:
        given = {name: value for name, value in (params or {}).items() if value is not None}
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            return self._http.request(
                method,
                path,
                params=given,
                content=content,
                headers=headers,
                timeout=self._timeout(wait),
            )
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _timeout(self, wait: float = 0.0) -> httpx.Timeout:
        return httpx.Timeout(wait + self._patience, connect=min(_CONNECT, self._patience))

    def _unreachable(self, error: httpx.TransportError) -> Failure:
        why = (
            "it did not answer in time"
            if isinstance(error, httpx.TimeoutException)
            else str(error) or "no answer"
        )
        return Failure(
            f"No Patchline answers at {self.url}: {why}.",
            fix="Start one with `patchline up`, or name another with --url or PATCHLINE_URL.",
            exit_code=exit_codes.UNREACHABLE,
        )


def _usable(url: str) -> str:
    """The address without a slash at its end. Raises :class:`Failure` if it is none."""
    try:
        parsed = httpx.URL(url)
        why = (
            None
            if parsed.scheme in ("http", "https") and parsed.host
            else "it must begin with http:// or https://"
        )
    except httpx.InvalidURL as error:
        why = str(error)
    if why:
        raise wrong_use(
            f"{url!r} is no usable address: {why}.",
            fix=f"Give one like {DEFAULT_URL} with --url or PATCHLINE_URL.",
        )
    return url.rstrip("/")


def _failure(response: httpx.Response) -> Failure:
    code = _EXIT_CODES.get(HTTPStatus(response.status_code), exit_codes.FAILED)
    try:
        answer = response.json()
        explanation, fix = str(answer["explanation"]), str(answer["fix"])
    except (ValueError, KeyError, TypeError):
        return Failure(
            f"{response.request.url} answered {response.status_code}, and not as a Patchline does.",
            fix="Check --url: is something else listening there?",
            exit_code=exit_codes.UNREACHABLE,
        )
    return Failure(
        explanation,
        fix=fix,
        details=[problem_line(found) for found in answer.get("problems", ())],
        exit_code=code,
    )


def problem_line(problem: Mapping[str, Any]) -> str:
    """A problem as one line: where, what."""
    item = "" if problem.get("item") is None else f"items[{problem['item']}]"
    line = "" if problem.get("line") is None else f"line {problem['line']}"
    field = problem.get("field") or ""
    where = ".".join(part for part in (item, field) if part)
    place = ", ".join(part for part in (line, where) if part)
    return f"{place}: {problem['problem']}" if place else str(problem["problem"])
