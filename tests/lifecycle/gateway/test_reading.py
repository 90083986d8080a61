"""What the API shows follows from the topics alone."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from patchline_schemas import Envelope, WireRecord, encode
from patchline_schemas.dead_letters import DeadLettered, RawRecord
from patchline_schemas.examples import examples
from patchline_schemas.examples.shared import UPDATE, WAVE, at
from patchline_schemas.fleet import (
    FleetFileRefused,
    GroupRegistered,
    InventoryFailed,
    InventoryReported,
    TargetRegistered,
)
from patchline_schemas.policies import PolicyProposed
from patchline_schemas.updates import (
    Held,
    Report,
    RetractionAssessed,
    UpdateDocumented,
    UpdateRejected,
    UpdateReviewed,
    WaveProgress,
)
from patchline_schemas.waves import WaveDue

FLEET = """\
groups:
  - {name: intranet, criticality: low, window: always}
targets:
  - {id: wiki, group: intranet, driver: sim, path: sim}
"""


async def test_an_update_is_listed_by_state_and_shown_with_all_that_is_known(
    gateway: Any, progressed: Any
) -> None:
    held = Held(rule="approval", since=at(0), who="one person who approves")
    await gateway.publish(
        progressed(1, "awaiting-approval", held=held, due_at=at(90)), examples()[WaveDue].usual
    )
    line = {
        "id": UPDATE,
        "component": "pkg:pypi/jinja2",
        "to_version": "3.1.6",
        "kind": "security",
        "state": "awaiting-approval",
        "urgency": "scheduled",
        "due": "2026-03-03T10:30:00Z",
        "closed": None,
    }
    assert await gateway.get("/v1/updates", state="awaiting-approval") == {"items": [line], "next": None}
    assert (await gateway.get("/v1/updates", state="failed"))["items"] == []
    shown = await gateway.get(f"/v1/updates/{UPDATE}")
    assert list(shown) == [
        *line,
        "held",
        "error",
        "superseded_by",
        "waves",
        "history",
        "traces",
        "trace_links",
    ]
    assert shown["held"] == {
        "rule": "approval",
        "since": "2026-03-03T09:00:00Z",
        "until": None,
        "who": "one person who approves",
    }
    assert shown["waves"][0]["id"] == WAVE
    assert shown["waves"][0]["targets"][0]["outcome"] == "running"
    assert all(len(event["trace_id"]) == 32 for event in shown["history"])
    assert shown["traces"] == list(dict.fromkeys(event["trace_id"] for event in shown["history"]))
    explained = await gateway.get(f"/v1/updates/{UPDATE}/explain")
    assert "It can be released by: one person who approves." in explained["sentences"]
    assert explained["next"][0].startswith(f"patchline update approve {UPDATE} ")


async def test_listings_come_in_parts_that_fit_together(gateway: Any) -> None:
    target = examples()[TargetRegistered].usual
    assert isinstance(target, TargetRegistered)
    for number in range(5):
        one = target.target.model_copy(update={"id": f"t{number}"})
        await gateway.harness.publish(target.model_copy(update={"target": one, "revision": 1}))
    await gateway.harness.settle()
    found, after = [], ""
    while after is not None:
        part = await gateway.get("/v1/targets", limit=2, after=after)
        found += [item["id"] for item in part["items"]]
        after = part["next"]
    assert found == ["t0", "t1", "t2", "t3", "t4"]


async def test_a_target_shows_what_it_has_or_why_that_is_unknown(gateway: Any) -> None:
    pair = examples()
    registered, reported, failed = (
        pair[kind].usual for kind in (TargetRegistered, InventoryReported, InventoryFailed)
    )
    name = registered.target.id  # type: ignore[attr-defined]
    failed = failed.model_copy(update={"target_id": name, "attempted_at": at(1)})
    await gateway.publish(registered, failed)
    answer = await gateway.http.get(f"/v1/targets/{name}/inventory")
    assert (answer.status_code, answer.json()["error"]) == (409, "inventory-unknown")
    reported = reported.model_copy(update={"target_id": name, "collected_at": at(2)})
    await gateway.publish(reported)
    inventory = await gateway.get(f"/v1/targets/{name}/inventory")
    assert {(each["component"], each["version"]) for each in inventory["packages"]} == {
        (each.component, each.version)
        for each in reported.packages  # type: ignore[attr-defined]
    }
    assert (await gateway.get(f"/v1/targets/{name}"))["inventory_error"] is None
    assert (await gateway.http.get("/v1/targets/none/inventory")).status_code == 404


async def test_a_report_is_read_only_as_it_was_signed_and_only_from_the_state_folder(
    gateway: Any, progressed: Any, tmp_path: Path
) -> None:
    await gateway.publish(progressed(1, "completed"))
    assert (await gateway.http.get(f"/v1/updates/{UPDATE}/report")).status_code == 409
    outside = tmp_path.parent / "outside.md"
    outside.write_bytes(b"secret")
    file = tmp_path / "reports" / "round-1.html"
    file.parent.mkdir()
    file.write_bytes(b"<h1>Report</h1>")
    documented = examples()[UpdateDocumented].usual.model_copy(
        update={
            "round": 1,
            "reports": (
                Report(
                    format="html",
                    address="file:reports/round-1.html",
                    sha256=hashlib.sha256(b"<h1>Report</h1>").hexdigest(),
                ),
                Report(format="md", address=outside.as_uri(), sha256=hashlib.sha256(b"secret").hexdigest()),
            ),
        }
    )
    await gateway.publish(documented)
    assert (await gateway.get(f"/v1/updates/{UPDATE}"))["closed"] is None
    answer = await gateway.http.get(f"/v1/updates/{UPDATE}/report")
    assert (answer.text, answer.headers["content-type"]) == ("<h1>Report</h1>", "text/html; charset=utf-8")
    assert (await gateway.http.get(f"/v1/updates/{UPDATE}/report?format=md")).status_code == 410
    file.write_bytes(b"<h1>Forged</h1>")
    assert (await gateway.http.get(f"/v1/updates/{UPDATE}/report")).json()["error"] == "report-gone"
    await gateway.publish(examples()[UpdateReviewed].usual.model_copy(update={"round": 1}))
    assert (await gateway.get(f"/v1/updates/{UPDATE}"))["closed"] is not None


async def test_a_wait_returns_at_once_when_the_state_comes(gateway: Any, progressed: Any) -> None:
    await gateway.publish(progressed(1, "planned"))
    call = asyncio.create_task(
        gateway.get(f"/v1/updates/{UPDATE}/wait", **{"for": "completed", "timeout": "PT9S"})
    )
    await asyncio.sleep(0)
    await gateway.publish(progressed(2, "testing"), progressed(3, "failed", error="soft_unicode"))
    answer = await call
    assert (answer["reached"], answer["ended"], answer["error"]) == (False, True, "soft_unicode")
    again = await gateway.get(f"/v1/updates/{UPDATE}/wait", **{"for": "closed", "timeout": "PT0S"})
    assert (again["reached"], again["ended"], again["update"]["state"]) == (False, False, "failed")


@pytest.mark.parametrize(
    ("path", "error"), [("/v1/targets?group=nosuch", "group"), ("/v1/notices?update_id=nope", "update")]
)
async def test_a_listing_of_what_there_is_not_says_so(gateway: Any, path: str, error: str) -> None:
    answer = await gateway.http.get(path)
    assert (answer.status_code, answer.json()["error"]) == (404, f"unknown-{error}")


async def test_a_listing_of_a_part_that_is_empty_is_a_listing(gateway: Any, progressed: Any) -> None:
    group = examples()[GroupRegistered].usual
    await gateway.publish(group, progressed(1, "planned"))
    assert (await gateway.get("/v1/targets", group=group.group.name))["items"] == []
    assert (await gateway.get("/v1/notices", update_id=UPDATE))["items"] == []


async def test_a_wait_names_the_waves_under_way(gateway: Any, progressed: Any) -> None:
    waves = tuple(
        WaveProgress(
            id=f"{UPDATE}.r1.w{number}", round=1, number=number, group="shop", state=state, targets_total=1
        )
        for number, state in enumerate(("verified", "soaking", "planned"), start=1)
    )
    await gateway.publish(progressed(1, "rolling-out", waves=waves))
    answer = await gateway.get(f"/v1/updates/{UPDATE}/wait", timeout="PT0S")
    assert answer["waves"] == [{"id": f"{UPDATE}.r1.w2", "number": 2, "group": "shop", "state": "soaking"}]


async def test_a_dead_letter_is_replayed_once_for_its_service_alone(gateway: Any) -> None:
    letter = examples()[DeadLettered].usual
    assert isinstance(letter, DeadLettered)
    due = examples()[WaveDue].usual
    envelope = Envelope(id="e1", source="planning", type=due.TYPE, subject=WAVE, time=at(0))
    wire = encode(due, envelope)
    record = RawRecord(
        topic=wire.topic,
        partition=0,
        offset=7,
        key=base64.b64encode(wire.key).decode(),
        headers=tuple((name, base64.b64encode(value).decode()) for name, value in wire.headers),
        value=base64.b64encode(wire.value).decode(),
    )
    await gateway.publish(letter.model_copy(update={"record": record}))
    path = f"/v1/dead-letters/{letter.letter_id}"
    assert (await gateway.get(path))["body"] == wire.value.decode()
    answer = await gateway.http.post(f"{path}/replay", json={"who": "maria"})
    assert answer.status_code == 200
    await gateway.harness.settle()
    (replayed,) = [each for each in gateway.harness.transport.records if each.topic == "waves.due"]
    assert (replayed.key, replayed.value) == (wire.key, wire.value)
    assert dict(replayed.headers) == {**dict(wire.headers), "ce_onlyfor": letter.service.encode()}
    assert (await gateway.get(path))["state"] == "replayed"
    assert (await gateway.get("/v1/dead-letters"))["items"] == []
    again = await gateway.http.post(f"{path}/discard", json={"who": "maria"})
    assert (again.status_code, again.json()["error"]) == (409, "state")


async def test_a_record_that_was_too_large_to_keep_can_only_be_discarded(gateway: Any) -> None:
    letter = examples()[DeadLettered].usual
    assert isinstance(letter, DeadLettered)
    await gateway.publish(
        letter.model_copy(update={"record": letter.record.model_copy(update={"value": ""})})
    )
    path = f"/v1/dead-letters/{letter.letter_id}"
    assert (await gateway.http.post(f"{path}/replay", json={"who": "maria"})).status_code == 409
    assert (await gateway.http.post(f"{path}/discard", json={"who": "maria"})).json()["state"] == "discarded"


async def test_a_replayed_record_that_is_still_unreadable_is_no_news_to_other_services(gateway: Any) -> None:
    marked = WireRecord("waves.due", b"k", (("ce_onlyfor", b"backup"),), b"garbage")
    await gateway.harness.transport.publish([marked])
    await gateway.harness.settle()
    assert gateway.harness.dead_letters() == []


async def test_a_fleet_file_is_checked_whole_and_replaced_whole(gateway: Any, tmp_path: Path) -> None:
    watched = tmp_path / "fleet.yaml"
    watched.write_text(FLEET)
    wrong = FLEET.replace("group: intranet", "group: intarnet")
    answer = await gateway.http.put("/v1/fleet", content=wrong)
    assert answer.status_code == 422
    assert [problem["line"] for problem in answer.json()["problems"]] == [4]
    assert watched.read_text() == FLEET
    more = FLEET.replace("low", "high") + "  - {id: forum, group: intranet, driver: sim, path: sim}\n"
    answer = (await gateway.http.put("/v1/fleet", content=more)).json()
    assert {(each["kind"], each["name"], each["change"]) for each in answer["changes"]} == {
        ("group", "intranet", "changed"),
        ("target", "forum", "added"),
    }
    assert watched.read_text() == more
    assert [path.name for path in tmp_path.glob("*fleet*")] == ["fleet.yaml"]  # noqa: ASYNC240
    assert len(await gateway.get("/v1/fleet/pending")) == 3


async def test_a_fleet_file_that_is_not_used_says_why(gateway: Any) -> None:
    refused = examples()[FleetFileRefused].usual
    await gateway.publish(refused)
    assert (await gateway.get("/v1/fleet"))["error"] == refused.error  # type: ignore[attr-defined]


async def test_every_event_leaves_the_history_and_views_as_they_are_when_it_comes_twice(gateway: Any) -> None:
    for number, pair in enumerate(examples().values()):
        for event in pair:
            await gateway.harness.publish(event, id=f"{number}-{pair.index(event)}")
    await gateway.harness.settle()
    before = await gateway.get(f"/v1/updates/{UPDATE}")
    for number, pair in enumerate(examples().values()):
        for event in pair:
            await gateway.harness.publish(event, id=f"{number}-{pair.index(event)}")
    await gateway.harness.settle()
    assert await gateway.get(f"/v1/updates/{UPDATE}") == before
    assert gateway.harness.dead_letters() == []


async def test_the_stream_shows_events_and_goes_on_after_the_last_one_seen(
    gateway: Any, progressed: Any
) -> None:
    from patchline_gateway.api.stream import _stream
    from patchline_gateway.tail import Tail

    tail = gateway.harness.handle("gateway").resource(Tail)
    stream = _stream(tail, ["updates.*"], None)
    assert (await anext(stream)).startswith("retry:")
    await gateway.publish(examples()[WaveDue].usual, progressed(1, "planned"), progressed(2, "testing"))
    first = await anext(stream)
    event = json.loads(first.split("data: ")[1])
    assert (event["topic"], event["data"]["state"], event["summary"]) == (
        "updates.progressed",
        "planned",
        "Now planned.",
    )
    await stream.aclose()
    again = _stream(tail, ["updates.*"], event["event_id"])
    await anext(again)
    assert json.loads((await anext(again)).split("data: ")[1])["data"]["state"] == "testing"
    await again.aclose()
    lost = _stream(tail, ["*"], "long-ago")
    await anext(lost)
    assert (await anext(lost)).startswith("event: gap")
    await lost.aclose()


async def test_the_api_describes_itself_and_its_page_needs_no_network(gateway: Any) -> None:
    page = (await gateway.http.get("/docs")).text
    assert "http://" not in page and "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/assets/{asset}" in page
        assert (await gateway.http.get(f"/docs/assets/{asset}")).status_code == 200
    described = await gateway.get("/openapi.json")
    assert {"/v1/updates", "/v1/updates/{update_id}", "/v1/feeds/{vendor}/updates", "/v1/events"} <= set(
        described["paths"]
    )
    for reference in re.findall(r'"\$ref": *"([^"]+)"', json.dumps(described)):
        place = described
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    undescribed = [
        f"{method} {path}"
        for path, calls in described["paths"].items()
        for method, call in calls.items()
        if not call.get("description")
    ]
    assert undescribed == []


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing"])
async def test_a_wrong_path_gets_words(gateway: Any, path: str) -> None:
    answer = await gateway.http.get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "explanation", "fix", "problems"}


async def test_cost_of_an_event_does_not_grow_with_the_history(gateway: Any, progressed: Any) -> None:
    """The documents that one event changes stay as small as they were."""
    await gateway.publish(*(progressed(number, "rolling-out") for number in range(1, 4)))
    from patchline_gateway.views import UpdateView

    small = len((await gateway.harness.document(UpdateView, UPDATE)).model_dump_json())
    await gateway.publish(*(progressed(number, "rolling-out") for number in range(4, 60)))
    large = len((await gateway.harness.document(UpdateView, UPDATE)).model_dump_json())
    assert large - small <= 4


async def test_an_explanation_of_what_a_person_rejected_says_who_and_why(
    gateway: Any, progressed: Any
) -> None:
    rejected = examples()[UpdateRejected].usual
    await gateway.publish(progressed(1, "rejected", round=rejected.round), rejected)
    explained = await gateway.get(f"/v1/updates/{UPDATE}/explain")
    assert f"Rejected by {rejected.rejected_by}: {rejected.reason}" in explained["sentences"]


async def test_an_explanation_of_a_withdrawn_version_says_where_it_is_installed(
    gateway: Any, progressed: Any
) -> None:
    withdrawn = examples()[RetractionAssessed].usual.model_copy(update={"update_id": UPDATE})
    await gateway.publish(progressed(1, "completed"), withdrawn)
    explained = await gateway.get(f"/v1/updates/{UPDATE}/explain")
    (sentence,) = (each for each in explained["sentences"] if "withdrew" in each)
    assert withdrawn.reason in sentence
    assert withdrawn.installed_on[0] in sentence


async def test_what_a_review_proposes_is_listed_shown_and_named_by_the_explanation(
    gateway: Any, progressed: Any
) -> None:
    proposed = examples()[PolicyProposed].usual.model_copy(update={"update_id": UPDATE})
    await gateway.publish(progressed(1, "failed"), proposed)
    (listed,) = (await gateway.get("/v1/proposals", group=proposed.group))["items"]
    assert (listed["patch"], listed["reason"]) == (proposed.patch, proposed.reason)
    assert await gateway.get(f"/v1/proposals/{listed['id']}") == listed
    assert (await gateway.get("/v1/proposals", group="another"))["items"] == []
    explained = await gateway.get(f"/v1/updates/{UPDATE}/explain")
    assert f"A change for group {proposed.group} is proposed: {proposed.reason}" in explained["sentences"]
    assert explained["next"][-1] == f"patchline proposals show {listed['id']}"
