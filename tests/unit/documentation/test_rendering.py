"""Reports as files."""

import hashlib
import json
from datetime import UTC, datetime

import pytest

from patchline_documentation.building import build_report
from patchline_documentation.rendering import render, write_report

NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)


@pytest.fixture
def report(completed_life):
    return build_report(completed_life.ledger.facts, completed_life.last, written_at=NOW)


def test_html_loads_nothing_from_outside(report):
    html = render(report)["html"]
    assert "src=" not in html and "@import" not in html and "url(" not in html and "<script" not in html
    assert "href=" not in html


def test_html_escapes_what_vendors_and_tools_say(life):
    words = "<script>alert(1)</script>"
    life.published()
    life.deployed()
    life.rolled_back(error=words)
    life.failed(words)
    html = render(build_report(life.ledger.facts, life.last, written_at=NOW))["html"]
    assert words not in html and "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_markdown_tables_survive_what_tools_say(life):
    life.published()
    life.deployed()
    life.rolled_back(error="a | b\n# no heading")
    life.failed("a | b")
    text = render(build_report(life.ledger.facts, life.last, written_at=NOW))["md"]
    assert "a \\| b" in text
    assert "\n# no heading" not in text


def test_a_request_is_told_in_whole_sentences(report):
    said = render(report)["md"]
    assert "ada asked to publish (“vendor feed”). No answer is known." in said
    assert "bea asked to approve (“read the notes”). Carried out: It may roll out." in said


def test_json_is_the_whole_report(report):
    assert json.loads(render(report)["json"])["headline"] == report.headline


def test_files_are_where_the_event_says_with_the_digests_it_says(report, tmp_path):
    written = write_report(report, tmp_path / "reports")
    assert [file.format for file in written] == ["html", "md", "json"]
    for file in written:
        path = tmp_path / file.address.removeprefix("file:")
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    assert len(list((tmp_path / "reports" / report.update_id).iterdir())) == 3


def test_a_round_is_written_again_to_the_same_bytes(report, tmp_path):
    assert write_report(report, tmp_path / "reports") == write_report(report, tmp_path / "reports")
