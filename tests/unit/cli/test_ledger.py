"""The ledger's commands find the ledger of the Patchline that is named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from patchline_cli import exit_codes
from patchline_kit.folder import NAME_FILE
from patchline_kit.ledger import ORIGIN, LedgerLine, entry_hash, to_json

URL = "http://patchline.example.org"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PATCHLINE_MONGO", raising=False)


def answer(api, folder, documents="sqlite"):
    installation = {"version": "1", "state_folder": str(folder), "documents": documents}
    api.answer("/v1/installation", installation)


def test_the_folder_of_the_running_patchline_is_read(api, patchline, tmp_path):
    answer(api, tmp_path)
    ended = patchline("ledger", "verify", "--url", URL)
    assert ended.code == exit_codes.WRONG_USE
    assert f"There is no Patchline in {tmp_path}" in ended.err


def test_a_folder_that_is_named_is_read_without_asking(api, patchline, tmp_path):
    ended = patchline("ledger", "verify", "--url", URL, "--dir", str(tmp_path))
    assert (ended.code, api.asked) == (exit_codes.WRONG_USE, [])


def test_the_folder_here_comes_before_an_address_that_nobody_named(api, patchline, tmp_path):
    (tmp_path / ".patchline").mkdir()
    assert "There is no Patchline in .patchline" in patchline("ledger", "export").err
    assert api.asked == []


def test_a_folder_whose_documents_lie_elsewhere_is_not_called_empty(patchline, tmp_path):
    (tmp_path / ".patchline").mkdir()
    (tmp_path / ".patchline" / NAME_FILE).write_text("d181ae8a")
    ended = patchline("ledger", "verify")
    assert ended.code == exit_codes.WRONG_USE
    assert "The Patchline of .patchline keeps its documents in MongoDB" in ended.err
    assert "PATCHLINE_MONGO" in ended.err


def test_without_any_sign_of_a_patchline_the_folder_is_asked_for(patchline):
    ended = patchline("ledger", "verify")
    assert ended.code == exit_codes.WRONG_USE
    assert "--dir or PATCHLINE_DIR" in ended.err


def test_a_patchline_that_is_named_and_does_not_answer_is_said(patchline, tmp_path):
    (tmp_path / ".patchline").mkdir()
    ended = patchline("ledger", "verify", "--url", URL)
    assert (ended.code, URL in ended.err) == (exit_codes.UNREACHABLE, True)


@pytest.mark.parametrize(
    ("documents", "said"),
    [("sqlite", "which is not on this machine"), ("mongodb", "PATCHLINE_MONGO")],
)
def test_a_ledger_that_is_not_to_be_had_here_is_said_with_a_way_to_it(
    api, patchline, tmp_path, documents, said
):
    answer(api, tmp_path / "elsewhere", documents)
    ended = patchline("ledger", "verify", "--url", URL)
    assert (ended.code, said in ended.err) == (exit_codes.WRONG_USE, True)


def test_a_ledger_without_a_seal_is_said_to_show_no_cut(patchline, tmp_path):
    line = LedgerLine(
        chain="update/a", sequence=1, previous=ORIGIN, hash="", event_id="a-1", topic="updates.progressed",
        recorded_at=datetime(2026, 3, 3, tzinfo=UTC), key="a", headers=(), body="{}",
    )  # fmt: skip
    file = tmp_path / "ledger.jsonl"
    file.write_text(to_json(line.model_copy(update={"hash": entry_hash(line)})) + "\n")
    ended = patchline("ledger", "verify", str(file))
    assert (ended.code, ended.out) == (0, "1 entry in 1 chain under 0 seals, 1 not sealed yet: whole.\n")
    assert "if the end had been cut off" in ended.err
