from __future__ import annotations

import pytest

from patchline_gateway.sentences import _SENTENCES, LONGEST, summary_of
from patchline_schemas import Event, event_types
from patchline_schemas.examples import examples
from patchline_schemas.updates import UpdateFailed


@pytest.mark.parametrize("kind", event_types().values(), ids=lambda kind: kind.TOPIC)
def test_every_event_has_a_sentence_of_its_own(kind: type[Event]) -> None:
    assert kind in _SENTENCES
    for example in examples()[kind]:
        sentence = summary_of(example)
        assert sentence[0].isupper() or sentence.split()[0] in example.model_dump_json()
        assert "\n" not in sentence
        assert "None" not in sentence


def test_a_long_sentence_is_cut() -> None:
    failed = examples()[UpdateFailed].usual.model_copy(update={"error": "word\n" * 500})
    assert len(summary_of(failed)) == LONGEST
