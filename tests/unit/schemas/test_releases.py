"""Who was built on a release reads today's events, and today's code reads what was published then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from patchline_kit import catalog
from patchline_kit.catalog import schema_of
from patchline_kit.catalog_releases import release, releases
from patchline_schemas import Envelope, Event, encode, event_types
from patchline_schemas.compatibility import breaks
from patchline_schemas.envelope import read_envelope
from patchline_schemas.examples import examples
from patchline_schemas.waves import WaveVerified

SCHEMAS = Path(__file__).parents[3] / "schemas"
RELEASES = releases(SCHEMAS / "released")
SCHEMA_FILES = [
    pytest.param(file, id=f"{folder.name}-{file.stem}")
    for folder in RELEASES
    for file in sorted((folder / "schemas").glob("*.json"))
]
VERIFIED = "schemas/waves.verified.v1.json"


def on_the_topic(event: Event) -> bytes:
    """The event as Patchline publishes it today."""
    envelope = Envelope(
        id="e1",
        source="test",
        type=event.TYPE,
        subject=event.subject(),
        time=datetime(2026, 3, 1, tzinfo=UTC),
    )
    record = encode(event, envelope)
    return read_envelope(record.headers, record.value)[1]


def test_there_is_a_release_to_hold_to() -> None:
    assert "0.1.0" in [folder.name for folder in RELEASES]


@pytest.mark.parametrize("file", SCHEMA_FILES)
def test_a_consumer_that_validates_by_a_released_schema_reads_todays_events(file: Path) -> None:
    kind = event_types()[f"dev.patchline.{file.stem}"]
    validator = jsonschema.Draft202012Validator(json.loads(file.read_text()))
    for event in examples()[kind]:
        validator.validate(json.loads(on_the_topic(event)))


@pytest.mark.parametrize("file", SCHEMA_FILES)
def test_today_reads_what_was_published_by_a_release(file: Path) -> None:
    kind = event_types()[f"dev.patchline.{file.stem}"]
    for which in ("usual", "edge"):
        kind.model_validate_json((file.parents[1] / "examples" / f"{file.stem}.{which}.json").read_bytes())


class OldOrder(BaseModel):
    """What another team copied from the page of 0.1.0."""

    wave_id: str
    update_id: str
    revision: int
    component: str
    version: str


class OldResult(BaseModel):
    target_id: str
    outcome: str
    to_version: str | None = None


class OldWaveVerified(BaseModel):
    order: OldOrder
    results: list[OldResult]


class Tomorrow(WaveVerified):
    """An event that has gained a field since."""

    checked_by: str | None = None
    """Who looked at it."""


@pytest.mark.parametrize("event", examples()[WaveVerified])
def test_an_old_consumer_reads_an_event_of_today(event: WaveVerified) -> None:
    read = OldWaveVerified.model_validate_json(on_the_topic(event))
    assert (read.order.version, read.results[0].to_version) == ("3.1.6", "3.1.6")


@pytest.mark.parametrize("checked_by", ["ana", None])
def test_an_old_consumer_reads_an_event_that_gained_an_optional_field(checked_by: str | None) -> None:
    event = Tomorrow(**dict(examples()[WaveVerified].usual), checked_by=checked_by)
    assert OldWaveVerified.model_validate_json(on_the_topic(event)).order.revision == 1
    assert breaks(schema_of(WaveVerified), schema_of(Tomorrow)) == []


def test_an_old_event_is_read_by_who_knows_the_added_field() -> None:
    assert Tomorrow.model_validate_json(on_the_topic(examples()[WaveVerified].usual)).checked_by is None


@pytest.fixture
def schemas(tmp_path: Path) -> Path:
    """A copy of the schemas' folder, to change what was released."""
    for name in ("exported", "released"):
        shutil.copytree(SCHEMAS / name, tmp_path / name)
    return tmp_path


def change(schemas: Path, path: str, how: Callable[[dict[str, Any]], None]) -> None:
    file = schemas / "released" / "0.1.0" / path
    document = json.loads(file.read_text())
    how(document)
    file.write_text(json.dumps(document))


def removed(schema: dict[str, Any]) -> None:
    schema["properties"]["verdict"] = {"type": "string"}
    schema["required"].append("verdict")


def retyped(schema: dict[str, Any]) -> None:
    schema["$defs"]["WaveOrder"]["properties"]["revision"]["type"] = "string"


def reformatted(schema: dict[str, Any]) -> None:
    schema["$defs"]["WaveOrder"]["properties"]["soak"]["format"] = "date-time"


def bounded(schema: dict[str, Any]) -> None:
    schema["$defs"]["WaveOrder"]["properties"]["concurrency"]["maximum"] = 10


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (removed, "verdict: was always there, may now be absent"),
        (retyped, "order.revision: was string, is integer"),
        (reformatted, "order.soak: was in the format date-time, is in duration"),
        (bounded, "order.concurrency: was at most 10 (maximum), may now be more"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_an_existing_consumer_could_not_read_is_refused_by_name(
    schemas: Path, capsys: pytest.CaptureFixture[str], how: Callable[[dict[str, Any]], None], reason: str
) -> None:
    change(schemas, VERIFIED, how)
    before = (schemas / "exported" / VERIFIED).read_text()
    assert [catalog.main([action, str(schemas)]) for action in ("check", "write", "release")] == [1, 1, 1]
    said = capsys.readouterr().err
    assert f"0.1.0: waves.verified.v1: {reason}" in said
    assert "give the class a higher version" in said
    assert (schemas / "exported" / VERIFIED).read_text() == before


def test_an_event_that_is_gone_is_refused(schemas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    released = schemas / "released" / "0.1.0"
    for folder, ending in (("schemas", ""), ("examples", ".usual"), ("examples", ".edge")):
        file = released / folder / f"waves.verified.v1{ending}.json"
        (released / folder / f"waves.inspected.v1{ending}.json").write_text(file.read_text())
    assert catalog.main(["check", str(schemas)]) == 1
    assert "0.1.0: waves.inspected.v1: nobody publishes this type any more" in capsys.readouterr().err


def test_a_topic_that_existing_consumers_do_not_read_is_refused(
    schemas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(schemas, "asyncapi.json", lambda document: document["channels"].pop("updates.assessed.urgent"))
    assert catalog.main(["check", str(schemas)]) == 1
    said = capsys.readouterr().err
    assert "updates.assessed.v1: may now come on updates.assessed.urgent, which its consumers do not" in said


def test_a_record_that_today_cannot_read_is_refused(
    schemas: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(schemas, "examples/waves.verified.v1.edge.json", lambda body: body["order"].pop("revision"))
    assert catalog.main(["check", str(schemas)]) == 1
    said = capsys.readouterr().err
    assert "0.1.0: waves.verified.v1: its edge example cannot be read any more: order.revision" in said


def test_what_is_exported_here_is_what_the_code_says() -> None:
    assert catalog.check(SCHEMAS) == []


def test_a_release_is_kept_once(tmp_path: Path) -> None:
    assert release(SCHEMAS / "exported", tmp_path, "9.0.0") == []
    assert (tmp_path / "9.0.0" / VERIFIED).read_text() == (SCHEMAS / "exported" / VERIFIED).read_text()
    assert "9.0.0 is released already" in release(SCHEMAS / "exported", tmp_path, "9.0.0")[0]
