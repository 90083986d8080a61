"""What a running Patchline shows of itself: traces in Zipkin, and the figures that alerts rest on."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from whole import Whole, running

from patchline_schemas.ids import update_id

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "infra/grafana/patchline.json"
RULES = ROOT / "infra/prometheus/patchline-alerts.yaml"
METRIC = re.compile(r"\bpatchline_[a-z_]+\b")
FLEET = """\
groups:
  - {name: intranet, criticality: low, window: always, contacts: ["file:it.log"], policies: {soak: PT0S}}
targets:
  - id: wiki
    group: intranet
    driver: sim
    path: sim
    settings: {packages: "pkg:pypi/jinja2@3.1.2 pkg:pypi/click@8.0.0", missing: "pkg:pypi/click@8.9.9"}
"""
WORKS = update_id("pkg:pypi/jinja2", "3.1.6")
FAILS = update_id("pkg:pypi/click", "8.9.9")
EVERY_SERVICE = {
    "assessment",
    "backup",
    "communication",
    "deployment",
    "documentation",
    "feeds",
    "gateway",
    "planning",
    "review",
    "testing",
    "verification",
}
SECONDS = 90


def publish_and_wait(whole: Whole) -> None:
    """Two updates, one of which fails in testing, until both are closed."""
    items = [
        {
            "vendor": "acme",
            "component": f"pkg:pypi/{name}",
            "version": version,
            "kind": "bugfix",
            "released_at": "2026-03-05T20:05:00Z",
        }
        for name, version in (("jinja2", "3.1.6"), ("click", "8.9.9"))
    ]
    answer = httpx.post(f"{whole.url}/v1/feeds/updates", json=items, params={"who": "dana"}, timeout=60)
    assert answer.status_code == 200, answer.text
    for update in (WORKS, FAILS):
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            wait = httpx.get(f"{whole.url}/v1/updates/{update}/wait", params={"timeout": "PT5S"}, timeout=30)
            if wait.status_code == 200 and wait.json()["reached"]:
                break
        else:
            raise AssertionError(f"{update} was not closed: {wait.text}")


@pytest.fixture(scope="module")
def patchline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with running(tmp_path_factory.mktemp("observed"), FLEET) as whole:
        publish_and_wait(whole)
        yield whole


def test_the_dashboard_and_the_alerts_name_only_metrics_that_there_are(patchline: Whole):
    exposed = set(METRIC.findall(httpx.get(f"{patchline.url}/metrics", timeout=30).text))
    for file in (DASHBOARD, RULES):
        named = set(METRIC.findall(file.read_text()))
        assert named, f"{file.name} names no metric"
        assert named <= exposed, f"{file.name} names what no Patchline exposes: {sorted(named - exposed)}"


def test_the_docs_explain_every_metric(patchline: Whole):
    text = httpx.get(f"{patchline.url}/metrics", timeout=30).text
    families = set(re.findall(r"^# TYPE (patchline_\w+)", text, flags=re.MULTILINE))
    explained = set(METRIC.findall((ROOT / "docs/observability.md").read_text()))
    assert {name for name in families if not name.endswith("_created")} <= explained


def test_the_alert_rules_are_as_prometheus_reads_them():
    seen = set()
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        assert set(group) <= {"name", "interval", "rules"}
        for rule in group["rules"]:
            assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
            assert re.fullmatch(r"\d+[smh]", rule["for"])
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert {"summary", "description"} <= set(rule["annotations"])
            assert rule["expr"].count("(") == rule["expr"].count(")")
            assert rule["alert"] not in seen
            seen.add(rule["alert"])


def test_the_docs_say_what_to_do_about_each_alert():
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    rows = re.findall(
        r"^\| `(Patchline\w+)` \| (\w+) \|", (ROOT / "docs/operations.md").read_text(), flags=re.MULTILINE
    )
    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in rules]


def test_the_dashboard_is_as_grafana_reads_it():
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["schemaVersion"] >= 39
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} overlaps another panel"
        assert max(x for x, _ in cells) < 24
        taken |= cells
        assert panel["type"] == "row" or panel["targets"]


@pytest.mark.native
def test_an_update_is_one_trace_in_zipkin_with_spans_of_every_service(
    zipkin_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    monkeypatch.setenv("OTEL_EXPORTER_ZIPKIN_ENDPOINT", f"{zipkin_url}/api/v2/spans")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    with running(tmp_path, FLEET) as whole:
        publish_and_wait(whole)
        shown = whole.shell(f"patchline update show {WORKS} -o json")
        for_people = whole.shell(f"patchline update show {WORKS}").stdout
    detail = json.loads(shown.stdout)
    (link,) = [each for each in detail["trace_links"] if each.endswith(detail["traces"][-1])]
    assert link == f"{zipkin_url}/zipkin/traces/{detail['traces'][-1]}"
    assert link in for_people.replace("\n", "")

    spans = trace_in_zipkin(zipkin_url, detail["traces"][-1])
    assert {span["localEndpoint"]["serviceName"] for span in spans} == EVERY_SERVICE
    tags = [span.get("tags", {}) for span in spans]
    assert {each["update.id"] for each in tags if "update.id" in each} == {WORKS}
    assert {each["wave.id"] for each in tags if "wave.id" in each} == {f"{WORKS}.r1.w1"}
    assert {each["target.id"] for each in tags if "target.id" in each} == {"wiki"}
    assert {"deploy target", "verify target", "backup target", "rehearse trial"} <= {s["name"] for s in spans}
    assert not [each for each in tags if "error" in each]

    failed = traces_of(zipkin_url, FAILS)
    assert len(failed) == 1
    errors = [span for span in failed[0] if "error" in span.get("tags", {})]
    assert {span["name"] for span in errors} >= {"rehearse trial", "test failed updates.test-failed"}
    assert all("there is no version of pkg:pypi/click==8.9.9" in span["tags"]["error"] for span in errors)


def trace_in_zipkin(url: str, trace_id: str) -> list[dict[str, Any]]:
    answer = httpx.get(f"{url}/api/v2/trace/{trace_id}", timeout=30)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


def traces_of(url: str, update: str) -> list[list[dict[str, Any]]]:
    """All traces that Zipkin finds by the update's id, as a person would search for them."""
    query = {"annotationQuery": f"update.id={update}", "limit": 100, "lookback": 3_600_000}
    found: list[list[dict[str, Any]]] = httpx.get(f"{url}/api/v2/traces", params=query, timeout=30).json()
    return found
