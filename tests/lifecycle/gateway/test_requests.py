"""What people ask for goes onto its topic, and the answer comes back to them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from patchline_schemas.examples.shared import UPDATE
from patchline_schemas.requests import RequestSubmitted

ITEM = {
    "vendor": "palletsprojects",
    "component": "pkg:pypi/Jinja2",
    "version": "3.1.6",
    "kind": "security",
    "released_at": "2025-03-05T20:05:00Z",
    "advisories": [
        {"id": "CVE-2025-27516", "severity": "high", "affected": [{"introduced": "0", "fixed": "3.1.6"}]}
    ],
    "notes_url": "https://example.org/notes",
    "restart_required": False,
}


async def test_a_publication_returns_when_the_update_shows(gateway: Any, progressed: Any) -> None:
    call = asyncio.create_task(gateway.http.post("/v1/feeds/palletsprojects/updates", json=ITEM))
    ((request_id, request),) = await gateway.requests(1)
    assert (request.action, request.item["component"], request.key()) == (
        "publish",
        "pkg:pypi/jinja2",
        "pkg:pypi/jinja2",
    )
    await gateway.accept(request_id, request)
    await gateway.harness.settle()
    assert not call.done()
    await gateway.publish(progressed(1, "planned"))
    answer = await call
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "results": [{"event_id": f"event-{request_id}", "update_id": UPDATE, "result": "accepted"}],
            "pending": [],
        },
    )
    history = (await gateway.get(f"/v1/updates/{UPDATE}"))["history"]
    assert [line["summary"] for line in history][-1] == "Now planned."


async def test_a_publication_that_does_not_show_in_time_is_pending_and_kept(gateway: Any) -> None:
    answer = await gateway.http.post("/v1/feeds/updates", json=[ITEM], params={"timeout": "PT0.05S"})
    assert answer.status_code == 202
    assert answer.json()["results"] == []
    assert len(answer.json()["pending"]) == 1
    await gateway.requests(1)


async def test_a_list_with_one_bad_item_is_not_taken_at_all(gateway: Any) -> None:
    bad = [ITEM, {**ITEM, "version": "no version"}, {**ITEM, "kind": "urgent"}]
    answer = await gateway.http.post("/v1/feeds/updates", json=bad)
    assert answer.status_code == 422
    body = answer.json()
    assert body["error"] == "input"
    assert [(problem["item"], problem["field"]) for problem in body["problems"]] == [
        (1, "version"),
        (2, "kind"),
    ]
    await gateway.harness.settle()
    assert gateway.harness.published(RequestSubmitted) == []


async def test_what_is_no_feed_is_refused_in_words(gateway: Any) -> None:
    for body in (b"{", b"[1]", b"null", b"\xff"):
        answer = await gateway.http.post("/v1/feeds/updates", content=body)
        assert answer.status_code == 422
        assert answer.json()["explanation"].startswith("Nothing of the feed was taken: ")


async def test_an_item_may_leave_its_vendor_to_the_call_but_not_name_another(gateway: Any) -> None:
    nameless = {key: value for key, value in ITEM.items() if key != "vendor"}
    answer = await gateway.http.post("/v1/feeds/acme/updates", json=nameless, params={"timeout": "PT0S"})
    assert answer.status_code == 202
    answer = await gateway.http.post("/v1/feeds/acme/updates", json=ITEM)
    assert answer.json()["problems"][0] == {
        "item": None,
        "field": "vendor",
        "line": None,
        "problem": "is 'palletsprojects', but the call is for 'acme'",
    }


async def test_an_item_that_feeds_refuses_is_named(gateway: Any) -> None:
    call = asyncio.create_task(
        gateway.http.post("/v1/feeds/updates", json=[ITEM, {**ITEM, "version": "3.1.7"}])
    )
    (first, one), (second, two) = await gateway.requests(2)
    await gateway.accept(first, one)
    await gateway.refuse(second, two, "input", "version 3.1.7 was withdrawn")
    answer = await call
    assert answer.status_code == 422
    assert answer.json()["problems"][0]["item"] == 1
    assert "withdrawn" in answer.json()["explanation"]


async def test_an_approval_means_the_newest_plan_unless_it_names_one(gateway: Any, progressed: Any) -> None:
    await gateway.publish(progressed(1, "awaiting-approval", revision=4))
    path = f"/v1/updates/{UPDATE}/approve"
    call = asyncio.create_task(gateway.http.post(path, json={"who": "maria", "reason": "fine"}))
    ((request_id, request),) = await gateway.requests(1)
    assert (request.who, request.reason, request.plan_revision) == ("maria", "fine", 4)
    await gateway.accept(request_id, request, "approved")
    await gateway.publish(progressed(2, "scheduled", revision=4))
    answer = await call
    assert (answer.status_code, answer.json()["effect"], answer.json()["state"]) == (
        200,
        "approved",
        "scheduled",
    )
    other = {"who": "maria", "reason": "fine", "plan_revision": 2}
    answer = await gateway.http.post(path, json=other, params={"timeout": "PT0S"})
    assert (answer.status_code, answer.json()["pending"]) == (202, True)
    assert (await gateway.requests(2))[1][1].plan_revision == 2


async def test_a_refusal_says_whether_the_state_or_a_policy_stands_in_the_way(
    gateway: Any, progressed: Any
) -> None:
    await gateway.publish(progressed(1, "completed"))
    for number, (rule, status) in enumerate([("state", 409), ("not-the-requester", 403), ("input", 422)]):
        call = asyncio.create_task(
            gateway.http.post(f"/v1/updates/{UPDATE}/cancel", json={"who": "bob", "reason": "no"})
        )
        request_id, request = (await gateway.requests(number + 1))[number]
        await gateway.refuse(request_id, request, rule, f"{rule} says no")
        answer = await call
        assert (answer.status_code, answer.json()["error"]) == (status, rule)
        assert answer.json()["explanation"] == f"{rule} says no"
        assert answer.json()["fix"]


async def test_a_decision_wants_a_known_update_a_name_and_a_reason(gateway: Any, progressed: Any) -> None:
    wish = {"who": "bob", "reason": "no"}
    assert (await gateway.http.post("/v1/updates/none/cancel", json=wish)).status_code == 404
    await gateway.publish(progressed(1, "planned"))
    for wrong in ({"who": " ", "reason": "no"}, {"who": "bob"}, {}):
        answer = await gateway.http.post(f"/v1/updates/{UPDATE}/cancel", json=wrong)
        assert (answer.status_code, answer.json()["error"]) == (422, "input")
    assert (await gateway.http.post(f"/v1/updates/{UPDATE}/explode", json=wish)).status_code == 422


@pytest.mark.parametrize("content_type", [None, "application/x-www-form-urlencoded", "application/json"])
async def test_a_decision_is_json_whatever_its_content_type(
    gateway: Any, progressed: Any, content_type: str | None
) -> None:
    await gateway.publish(progressed(1, "planned"))
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await gateway.http.post(
        f"/v1/updates/{UPDATE}/pause",
        content=json.dumps({"who": "maria", "reason": "storm"}),
        headers=headers,
        params={"timeout": "PT0S"},
    )
    assert (answer.status_code, answer.json()["action"]) == (202, "pause")


@pytest.mark.parametrize(
    ("path", "body", "line", "said"),
    [
        (f"/v1/updates/{UPDATE}/pause", b'{"who": "maria",\n "reason": }', 2, "line 2, column 12"),
        ("/v1/halt", b"who=maria", 1, "line 1, column 1"),
        ("/v1/halt", b"", None, "empty"),
        ("/v1/dead-letters/d1/replay", b"\xff{", None, "UTF-8"),
        ("/v1/rebuilds/gateway", b"[" * 100_000, None, "deep"),
    ],
)
async def test_a_body_that_is_no_json_is_refused_with_the_place(
    gateway: Any, path: str, body: bytes, line: int | None, said: str
) -> None:
    answer = await gateway.http.post(path, content=body)
    assert (answer.status_code, answer.json()["error"]) == (422, "input")
    assert said in answer.json()["explanation"]
    (problem,) = answer.json()["problems"]
    assert (problem["line"], problem["field"]) == (line, None)


async def test_everything_can_be_halted_and_go_on(gateway: Any) -> None:
    for number, action in enumerate(["halt", "resume"]):
        call = asyncio.create_task(
            gateway.http.post(f"/v1/{action}", json={"who": "maria", "reason": "storm"})
        )
        request_id, request = (await gateway.requests(number + 1))[number]
        assert (request.action, request.update_id) == (action, None)
        await gateway.accept(request_id, request)
        assert (await call).json()["pending"] is False


async def test_a_request_that_was_taken_survives_a_crash(gateway: Any) -> None:
    await gateway.http.post("/v1/feeds/updates", json=ITEM, params={"timeout": "PT0S"})
    await gateway.harness.restart()
    await gateway.harness.settle()
    assert len(gateway.harness.published(RequestSubmitted)) == 1
