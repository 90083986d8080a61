"""At the prompt, Tab offers the ids that there are."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any

import httpx
import pytest

IDS = ["jinja2-3.1.6-381efe", "requests-2.32.4-3395ad", "requests-2.32.40-aa11bb"]


Offered = Callable[..., list[str]]


@pytest.fixture
def offered(patchline: Any, monkeypatch: pytest.MonkeyPatch) -> Offered:
    """What bash is told to offer for the last of the words behind ``patchline``."""

    def complete(*words: str) -> list[str]:
        monkeypatch.setenv("_PATCHLINE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", shlex.join(["patchline", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        ended = patchline()
        assert (ended.code, ended.err) == (0, "")
        return list(ended.out.split())

    return complete


@pytest.fixture
def listing(api: Any) -> Any:
    """An API that lists ``IDS`` at each path that completion asks."""

    def page(request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("after", "")
        found = [id for id in IDS if id > after][: int(request.url.params["limit"])]
        return httpx.Response(200, json={"items": [{"id": id} for id in found], "next": None})

    for path in ("/v1/updates", "/v1/targets", "/v1/proposals", "/v1/dead-letters"):
        api.answer(path, page)
    return api


@pytest.mark.parametrize(
    ("begun", "expected"),
    [("", IDS), ("req", IDS[1:]), (IDS[1], [IDS[1]]), ("requests-2.32.4", IDS[1:]), ("zz", [])],
)
def test_ids_that_begin_so_are_offered(
    listing: Any, offered: Offered, begun: str, expected: list[str]
) -> None:
    assert offered("update", "show", begun) == expected


@pytest.mark.parametrize(
    "command",
    [
        ("update", "approve"),
        ("update", "wait"),
        ("explain",),
        ("waves",),
        ("report",),
        ("inventory",),
        ("proposals", "show"),
        ("dead-letters", "show"),
        ("dead-letters", "replay"),
    ],
    ids=" ".join,
)
def test_each_command_that_takes_an_id_offers_them(
    listing: Any, offered: Offered, command: tuple[str, ...]
) -> None:
    assert offered(*command, "jin") == IDS[:1]


def test_the_patchline_that_was_named_is_asked_with_its_token(listing: Any, offered: Offered) -> None:
    assert offered("--token", "t", "update", "show", "--url", "http://10.0.0.9:8470", "jin") == IDS[:1]
    (request,) = listing.asked
    assert (request.url.host, request.headers["Authorization"]) == ("10.0.0.9", "Bearer t")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "no address"])
def test_where_nobody_answers_nothing_is_offered_and_nothing_said(offered: Offered, url: str) -> None:
    assert offered("--url", url, "update", "show", "") == []
