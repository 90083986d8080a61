from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

METRICS = """\
# TYPE patchline_lag_records gauge
patchline_lag_records{service="planning"} 3.0
# TYPE patchline_oldest_unhandled_seconds gauge
patchline_oldest_unhandled_seconds{service="planning"} %s
"""


def healthy(api: Any, *, behind: float = 0.0, apart: timedelta = timedelta(0)) -> None:
    empty = {"items": [], "next": None}
    for path in ("/v1/updates", "/v1/targets", "/v1/dead-letters", "/v1/notices"):
        api.answer(path, empty)
    api.answer(
        "/v1/fleet", {"file": "/f.yaml", "digest": "d", "error": None, "groups_total": 1, "targets_total": 2}
    )
    api.answer("/ready", {"ready": True, "reasons": [], "services": {"planning": {"stuck": []}}})
    api.answer("/metrics", lambda _: httpx.Response(200, text=METRICS % behind))
    date = {"Date": format_datetime(datetime.now(UTC) + apart, usegmt=True)}
    api.answer("/live", lambda _: httpx.Response(200, text="live\n", headers=date))


def results(ended: Any) -> dict[str, str]:
    assert all(set(each) == {"check", "result", "what", "fix"} for each in ended.json)
    assert all(each["fix"] for each in ended.json if each["result"] in ("warn", "fail"))
    return {each["check"]: each["result"] for each in ended.json}


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_patchline_its_checks_are_skipped(patchline: Any, tmp_path: Path) -> None:
    ended = patchline("doctor", "--dir", str(tmp_path), "-o", "json")
    assert ended.code == 0
    found = results(ended)
    assert (found["python"], found["uv"], found["state-folder"]) == ("pass", "pass", "pass")
    assert {
        found[name] for name in ("gateway", "services", "lag", "clock", "fleet", "targets", "contacts")
    } == {"skip"}


def test_a_patchline_that_was_asked_for_and_is_away_fails(patchline: Any) -> None:
    ended = patchline("doctor", "--url", "http://127.0.0.1:1", "-o", "json")
    assert (ended.code, results(ended)["gateway"]) == (1, "fail")


def test_a_healthy_patchline_passes(patchline: Any, api: Any) -> None:
    healthy(api)
    found = results(patchline("doctor", "-o", "json"))
    names = ("gateway", "services", "lag", "clock", "fleet", "targets", "dead-letters", "contacts", "updates")
    assert {found[name] for name in names} == {"pass"}


def test_services_in_processes_of_their_own_are_not_counted_as_healthy(patchline: Any, api: Any) -> None:
    healthy(api)
    api.answer("/ready", {"ready": True, "reasons": [], "services": {"gateway": {"stuck": []}}})
    found = {each["check"]: each["what"] for each in patchline("doctor", "-o", "json").json}
    assert found["services"].startswith("The gateway is at work; the others say it at /ready")
    assert found["lag"] == "3 records waiting to be handled by 1 service."


def test_what_is_wrong_is_found_and_named(patchline: Any, api: Any) -> None:
    healthy(api, behind=300.0, apart=timedelta(seconds=30))
    page = lambda item: {"items": [item], "next": None}  # noqa: E731
    api.answer("/v1/targets", page({"id": "wiki", "inventory_error": "no environment"}))
    api.answer("/v1/dead-letters", page({"service": "backup"}))
    api.answer("/v1/notices", page({"contact": "mailto://x", "error": "refused"}))
    api.answer("/v1/updates", page({"id": "jinja2"}))
    api.answer(
        "/v1/fleet",
        {"file": "/f.yaml", "digest": "d", "error": "f.yaml:3: bad", "groups_total": 1, "targets_total": 2},
    )
    api.answer("/ready", {"ready": False, "reasons": ["planning: broken"], "services": {}}, status=503)
    ended = patchline("doctor", "-o", "json")
    assert ended.code == 1
    found = results(ended)
    assert {name for name, result in found.items() if result == "fail"} == {"services", "clock", "fleet"}
    assert {name for name, result in found.items() if result == "warn"} >= {
        "lag", "targets", "dead-letters", "contacts", "updates",
    }  # fmt: skip
    said = {each["check"]: each["what"] for each in ended.json}
    assert "planning: broken" in said["services"] and "wiki (no environment)" in said["targets"]
    assert "fix: " in patchline("doctor").out


def test_notices_that_are_still_tried_are_named(patchline: Any, api: Any) -> None:
    healthy(api)

    def retrying(request: httpx.Request) -> httpx.Response:
        item = {"contact": "json://127.0.0.1/…", "error": "refused"}
        items = [item] if request.url.params["state"] == "retrying" else []
        return httpx.Response(200, json={"items": items, "next": None})

    api.answer("/v1/notices", retrying)
    ended = patchline("doctor", "-o", "json")
    assert results(ended)["contacts"] == "warn"
    (what,) = [each["what"] for each in ended.json if each["check"] == "contacts"]
    assert what == "1 notice could not be delivered yet: json://127.0.0.1/… (refused)."


def test_a_fleet_file_and_an_exporter_that_are_wrong_are_told(
    patchline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("groups: 5\n")
    ended = patchline("doctor", "--fleet", str(fleet), "-o", "json")
    found = results(ended)
    assert (found["fleet-file"], found["traces"], ended.code) == ("fail", "warn", 1)


def test_a_mongodb_that_is_away_fails_and_its_password_stays_hidden(
    patchline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATCHLINE_MONGO", "mongodb://me:s3cret@127.0.0.1:1/db?serverSelectionTimeoutMS=100")
    ended = patchline("doctor", "--dir", str(tmp_path), "-o", "json")
    assert (results(ended)["store"], ended.code) == ("fail", 1)
    assert "127.0.0.1:1, database db, does not answer" in ended.out
    assert "s3cret" not in ended.out


def test_a_state_folder_that_is_none_fails(patchline: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert results(patchline("doctor", "--dir", str(file), "-o", "json"))["state-folder"] == "fail"
    assert (
        results(patchline("doctor", "--dir", str(tmp_path / "none"), "-o", "json"))["state-folder"] == "skip"
    )
