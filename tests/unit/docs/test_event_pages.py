"""Every event has a page that answers what a consumer asks, made from the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from patchline_kit.catalog import schema_of, services
from patchline_kit.event_cautions import CAUTIONS
from patchline_kit.event_page import made_of, page, retention
from patchline_kit.event_pages import pages
from patchline_kit.testing import ServiceHarness
from patchline_kit.transport.topics import Topic
from patchline_schemas import Event, event_types
from patchline_schemas.examples import examples
from patchline_schemas.fleet import TargetRegistered
from patchline_schemas.updates import UpdateAssessed
from patchline_schemas.waves import WaveVerified

ALL = services()
OURS = [kind for kind in event_types().values() if kind.__module__.startswith("patchline_schemas.")]
EACH = pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.TOPIC) for kind in OURS])


def fields_without_meaning(kind: type[Event]) -> list[str]:
    schema = schema_of(kind)
    return [
        f"{part['title']}.{name}"
        for part in (schema, *schema.get("$defs", {}).values())
        for name, field in part.get("properties", {}).items()
        if not field.get("description")
    ]


@EACH
def test_every_field_of_an_event_has_a_meaning(kind: type[Event]) -> None:
    assert fields_without_meaning(kind) == []


def test_every_event_says_what_in_particular_one_may_not_assume() -> None:
    assert {kind.TOPIC for kind in OURS} == CAUTIONS.keys()


def test_a_page_answers_what_a_consumer_asks() -> None:
    text = page(WaveVerified, ALL)
    assert text.startswith("# waves.verified\n\nThe checks passed through the whole soak time.\n")
    for answer in (
        "| topic | `waves.verified`",
        "| key | `order.update_id` |",
        "| subject | `order.wave_id` |",
        "| order | events of one key keep their order",
        "| retention | 30 days",
        "| published by | verification |",
        "| handled by | communication, documentation, gateway, planning, review |",
        "| type | `dev.patchline.waves.verified.v1` |",
        "| `soak` | duration (ISO 8601) | How long the wave is watched after its checks passed. |",
        "| `results` | list of [TargetResult](#targetresult) |",
        "## Do not assume",
        "one with a lower `order.revision` than you have seen is old news",
    ):
        assert answer in text


def test_a_page_names_what_its_declaration_brings_with_it() -> None:
    assert "an urgent one is on `updates.assessed.urgent` instead" in page(UpdateAssessed, ALL)
    assert "it is page `page` of `pages`" in page(UpdateAssessed, ALL)
    assert "of each key only the newest is kept for ever" in page(TargetRegistered, ALL)


def test_retention_is_said_in_words() -> None:
    assert retention(Topic("a", 1, None)) == "for ever"


def test_a_key_that_no_expression_tells_needs_a_docstring() -> None:
    class Odd:
        def key(self) -> str:
            if self:
                return "a"
            return "b"

    with pytest.raises(TypeError, match="needs a docstring"):
        made_of(Odd.key)


def test_the_index_leads_to_every_page() -> None:
    texts = pages(ALL)
    assert set(re.findall(r"\]\((events/[^)]+)\)", texts["events.md"])) == texts.keys() - {"events.md"}


@EACH
async def test_the_subscriber_of_a_page_handles_its_examples(
    kind: type[Event], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [code] = re.findall(r"```python\n(.*?)```", page(kind, ALL), re.DOTALL)
    module = ModuleType("copied_subscriber")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code, module.__dict__)
    async with ServiceHarness(module.service, tmp_path=tmp_path) as harness:
        for event in examples()[kind]:
            await harness.publish(event)
        await harness.settle()
        notes = await harness.documents(module.Note)
        assert sum(note.times for note in notes) == 2
