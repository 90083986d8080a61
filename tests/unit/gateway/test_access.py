from __future__ import annotations

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from patchline_gateway.api.access import Access
from patchline_gateway.api.limits import BodyLimit
from patchline_kit.addresses import is_loopback, refuse_open_door


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{len(body)} bytes")(scope, receive, send)


def client(app: ASGIApp, host: str = "127.0.0.1:8470") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "127.3.2.1"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    assert refuse_open_door(host, None) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "example.org"])
def test_an_open_address_without_a_token_is_refused_with_the_way_out(host: str) -> None:
    refusal = refuse_open_door(host, None)
    assert refusal is not None and host in refusal and "PATCHLINE_TOKEN" in refusal
    assert refuse_open_door(host, "secret") is None


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [
        ("/v1/updates", None, 401),
        ("/v1/updates", "Bearer wrong", 401),
        ("/v1/updates", "Basic secret", 401),
        ("/v1/updates", "bearer secret", 200),
        ("/docs", None, 401),
        ("/metrics", None, 401),
        ("/live", None, 200),
        ("/ready", None, 200),
    ],
)
async def test_with_a_token_only_live_and_ready_are_open(path: str, header: str | None, status: int) -> None:
    async with client(Access(echo, token="secret", host="0.0.0.0"), "patch.example.org") as http:
        answer = await http.get(path, headers={"Authorization": header} if header else {})
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "PATCHLINE_TOKEN" in answer.json()["fix"]


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8470", None, 200),
        ("localhost:8470", "http://localhost:8470", 200),
        ("127.0.0.1:8470", "https://evil.example", 403),
        ("rebound.example:8470", None, 403),
    ],
)
async def test_without_a_token_no_other_sites_page_gets_in(
    host: str, origin: str | None, status: int
) -> None:
    async with client(Access(echo, token=None, host="127.0.0.1"), host) as http:
        answer = await http.post("/v1/halt", headers={"Origin": origin} if origin else {})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "content_type", "status"),
    [
        ("http://127.0.0.1:8470", "text/plain", 200),
        ("http://127.0.0.1:3000", "application/json", 200),
        ("http://127.0.0.1:3000", "text/plain;charset=UTF-8", 403),
        ("http://127.0.0.1:3000", "application/x-www-form-urlencoded", 403),
        ("http://127.0.0.1:3000", "", 403),
        ("null", "text/plain", 403),
        (None, "application/x-www-form-urlencoded", 200),
    ],
)
async def test_what_a_browser_sends_unasked_is_taken_from_our_own_pages_alone(
    origin: str | None, content_type: str, status: int
) -> None:
    given = {"Origin": origin, "Content-Type": content_type}
    async with client(Access(echo, token=None, host="127.0.0.1")) as http:
        answer = await http.post("/v1/halt", headers={name: value for name, value in given.items() if value})
    assert answer.status_code == status


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_over_the_limit_is_refused_in_words(declared: bool) -> None:
    async def chunks():  # type: ignore[no-untyped-def]
        for _ in range(5):
            yield b"x" * 10

    async with client(BodyLimit(echo, limit=40)) as http:
        answer = await http.post("/v1/feeds/updates", content=b"x" * 50 if declared else chunks())
        assert answer.status_code == 413
        assert answer.json()["error"] == "too-large"
        assert (await http.post("/", content=b"x" * 40)).text == "40 bytes"
