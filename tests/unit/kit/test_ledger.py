"""The ledger's format and its verification, on exported lines."""

import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from patchline_kit.ledger import (
    ORIGIN,
    LedgerFormatError,
    LedgerLine,
    SealLine,
    Verifier,
    entry_hash,
    read_lines,
    seal_hash,
    to_json,
    verify,
)
from patchline_schemas.ledger import ChainHead

NOW = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


def chain(name: str, length: int) -> list[LedgerLine]:
    lines, previous = [], ORIGIN
    for sequence in range(1, length + 1):
        line = LedgerLine(
            chain=name,
            sequence=sequence,
            previous=previous,
            hash="",
            event_id=f"{name}-{sequence}",
            recorded_at=NOW + timedelta(seconds=sequence),
            topic="updates.progressed",
            key=name,
            headers=(("ce_id", f"{name}-{sequence}"), ("ce_subject", 'Übermut \u007f\t"quoted" \\ \u2028')),
            body='{"state":"planned"}',
        )
        line = line.model_copy(update={"hash": entry_hash(line)})
        previous = line.hash
        lines.append(line)
    return lines


def seal(number: int, previous: str, *heads: LedgerLine) -> SealLine:
    covered = tuple(ChainHead(chain=h.chain, sequence=h.sequence, hash=h.hash) for h in heads)
    return SealLine(
        number=number,
        previous=previous,
        hash=seal_hash(number, previous, covered),
        heads=covered,
        sealed_at=NOW,
    )


@pytest.fixture
def entries():
    return chain("update/a", 5) + chain("fleet/wiki", 3)


@pytest.fixture
def seals(entries):
    first = seal(1, ORIGIN, entries[2])
    return [first, seal(2, first.hash, entries[4], entries[7])]


def kinds(problems):
    return [(problem.kind, problem.chain, problem.sequence) for problem in problems]


def test_a_whole_ledger_has_no_problem(entries, seals):
    assert verify(entries, seals) == []


@pytest.mark.parametrize("field", ["body", "event_id", "topic", "key", "chain"])
def test_a_changed_entry_is_found(entries, seals, field):
    entries[1] = entries[1].model_copy(update={field: getattr(entries[1], field) + "x"})
    assert any(problem.sequence == 2 for problem in verify(entries, seals))


def test_a_changed_time_or_header_is_found(entries, seals):
    for change in ({"recorded_at": NOW}, {"headers": ()}):
        changed = [*entries]
        changed[1] = entries[1].model_copy(update=change)
        assert kinds(verify(changed, seals)) == [("changed", "update/a", 2)]


def test_an_entry_that_was_changed_and_hashed_anew_breaks_its_chain(entries, seals):
    forged = entries[1].model_copy(update={"body": "{}"})
    entries[1] = forged.model_copy(update={"hash": entry_hash(forged)})
    assert kinds(verify(entries, seals)) == [("changed", "update/a", 3)]


def test_a_chain_that_was_forged_to_its_end_does_not_fit_its_seal(seals):
    forged = chain("update/a", 5)
    previous = ORIGIN
    for place, line in enumerate(forged):
        line = line.model_copy(update={"body": "{}", "previous": previous})
        forged[place] = line.model_copy(update={"hash": entry_hash(line)})
        previous = forged[place].hash
    found = verify(forged + chain("fleet/wiki", 3), seals)
    assert kinds(found) == [("rewritten", "update/a", 3), ("rewritten", "update/a", 5)]


def test_a_missing_entry_is_found(entries, seals):
    del entries[1]
    assert ("missing", "update/a", 2) in kinds(verify(entries, seals))


def test_missing_first_entries_are_found(entries, seals):
    problem = verify(entries[2:], seals)[0]
    assert (problem.kind, problem.sequence) == ("missing", 1) and "1 to 2" in problem.explanation


def test_a_cut_tail_is_found_by_the_seal(entries, seals):
    del entries[4]
    assert kinds(verify(entries, seals)) == [("cut", "update/a", 5)]


def test_a_cut_tail_leaves_nothing_unsealed(entries, seals):
    verifier = Verifier(seals)
    for line in entries[:2]:
        verifier.check(line)
    assert verifier.unsealed_total == 0


def test_a_chain_that_is_gone_is_found_by_the_seal(entries, seals):
    (problem,) = verify(entries[:5], seals)
    assert problem.kind == "cut" and "is gone" in problem.explanation


def test_entries_newer_than_the_last_seal_are_no_problem_and_are_counted(entries, seals):
    verifier = Verifier(seals)
    for line in [*entries[5:], *chain("update/a", 7)]:
        verifier.check(line)
    assert verifier.finish() == []
    assert (verifier.entries_total, verifier.chains_total, verifier.unsealed_total) == (10, 2, 2)


def test_a_missing_seal_is_found(entries, seals):
    assert kinds(verify(entries, seals[1:])) == [("seal-missing", "seals", 1)]


def test_a_changed_seal_is_found(entries, seals):
    cut = seals[0].model_copy(update={"heads": ()})
    assert kinds(verify(entries, [cut, seals[1]])) == [("seal-changed", "seals", 1)]


def test_a_seal_that_was_hashed_anew_does_not_fit_the_next(entries, seals):
    assert kinds(verify(entries, [seal(1, ORIGIN), seals[1]])) == [("seal-changed", "seals", 2)]


def test_an_export_reads_back_as_it_was(entries, seals):
    lines = [*seals, *entries]
    assert list(read_lines(to_json(line) for line in lines)) == lines


@pytest.mark.parametrize("text", ["no json", "[]", '{"kind":"other"}', '{"kind":"entry","chain":"a"}', "{}"])
def test_a_line_that_is_none_is_named(text):
    with pytest.raises(LedgerFormatError, match="line 2"):
        list(read_lines(["", text]))


def verifier_of_the_docs():
    page = Path(__file__).parents[3] / "docs" / "ledger.md"
    section = page.read_text().partition("## Verifying without Patchline")[2].partition("Seals come first")[0]
    return textwrap.dedent(section)


def test_the_verifier_in_the_docs_accepts_a_whole_export_and_no_other(entries, seals, tmp_path):
    (tmp_path / "verifier.py").write_text(verifier_of_the_docs())

    def accepts(lines):
        (tmp_path / "ledger.jsonl").write_text("".join(to_json(line) + "\n" for line in lines))
        command = [sys.executable, "verifier.py", "ledger.jsonl"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0

    changed = entries[1].model_copy(update={"body": "{}"})
    assert accepts([*seals, *entries])
    assert not accepts([*seals, *entries[:4], *entries[5:]])
    assert not accepts([*seals, entries[0], changed, *entries[2:]])
    assert not accepts([seals[1], *entries])
