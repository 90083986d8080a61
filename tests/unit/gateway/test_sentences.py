from __future__ import annotations

import pytest

from patchline_gateway.sentences import _SENTENCES, LONGEST, summary_of
from patchline_schemas import Event, event_types
from patchline_schemas.examples import examples
from patchline_schemas.examples.shared import at
from patchline_schemas.feeds import AdvisoryPublished, UpdateRetracted
from patchline_schemas.updates import Held, UpdateFailed, UpdateProgressed


@pytest.mark.parametrize("kind", event_types().values(), ids=lambda kind: kind.TOPIC)
def test_every_event_has_a_sentence_of_its_own(kind: type[Event]) -> None:
    assert kind in _SENTENCES
    for example in examples()[kind]:
        sentence = summary_of(example)
        assert sentence[0].isupper() or sentence.split()[0] in example.model_dump_json()
        assert "\n" not in sentence
        assert "None" not in sentence


def test_where_an_update_is_now_is_said_without_saying_anything_twice() -> None:
    progress = examples()[UpdateProgressed].usual
    assert isinstance(progress, UpdateProgressed)
    paused = {"state": "paused", "waves": (), "held": Held(rule="paused", since=at(0), who="anybody")}
    assert summary_of(progress.model_copy(update=paused)) == "Now paused."
    halted = paused | {"state": "scheduled", "held": Held(rule="halted", since=at(0), who="anybody")}
    assert summary_of(progress.model_copy(update=halted)) == "Now scheduled, held by halted."
    failed = paused | {"state": "failed", "held": None, "error": "2 of 2 environments failed."}
    assert summary_of(progress.model_copy(update=failed)) == "Now failed: 2 of 2 environments failed."


@pytest.mark.parametrize("kind", [AdvisoryPublished, UpdateRetracted])
def test_news_of_a_version_names_its_component(kind: type[Event]) -> None:
    example = examples()[kind].usual
    assert isinstance(example, AdvisoryPublished | UpdateRetracted)
    assert f"{example.component} {example.version}" in summary_of(example)


def test_a_long_sentence_is_cut() -> None:
    failed = examples()[UpdateFailed].usual.model_copy(update={"error": "word\n" * 500})
    assert len(summary_of(failed)) == LONGEST
