"""The pages of all events for people: ``python -m patchline_kit.event_pages write|check DOCS``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from patchline_kit.catalog import services
from patchline_kit.event_page import file_stem, page, summary
from patchline_kit.service import Service
from patchline_schemas import event_types

INDEX = "events.md"
FOLDER = "events"
HEAD = """\
# Events

Made from the code by `make docs`, with a page per event. Each is a CloudEvent in Kafka's binary mode:
attributes in `ce_` headers, JSON as the value. Topics are without the installation's prefix. Delivery is at
least once: the same event has the same `ce_id`. Events of one key keep their order within a topic; between
topics nothing is promised. A field that is null is absent. Fields are added; what an existing consumer could
not read gets a type of its own.

To handle one: the [tutorial](tutorial-new-service.md), or [without the kit](without-the-kit.md).

| event | when it happens |
|---|---|
"""


def pages(of: Iterable[Service]) -> dict[str, str]:
    """Every page: its path below the docs, and its text."""
    all_services = tuple(of)
    kinds = sorted(event_types().values(), key=lambda kind: kind.TYPE)
    paths = {kind: f"{FOLDER}/{file_stem(kind).removesuffix('.v1')}.md" for kind in kinds}
    rows = "".join(f"| [{kind.TOPIC}]({path}) | {summary(kind)} |\n" for kind, path in paths.items())
    return {INDEX: HEAD + rows} | {path: page(kind, all_services) for kind, path in paths.items()}


def write(docs: Path) -> None:
    """Write every page, and remove those of events that are no more."""
    texts = pages(services())
    (docs / FOLDER).mkdir(exist_ok=True)
    for path in _there(docs) - texts.keys():
        (docs / path).unlink()
    for path, text in texts.items():
        (docs / path).write_text(text)


def drift(docs: Path) -> list[str]:
    """Pages that are not what the code says."""
    texts = pages(services())
    there = _there(docs)
    return [
        *(f"{docs / path}: no event has it any more" for path in sorted(there - texts.keys())),
        *(f"{docs / path}: missing" for path in texts.keys() - there),
        *(
            f"{docs / path}: differs"
            for path in texts.keys() & there
            if (docs / path).read_text() != texts[path]
        ),
    ]


def _there(docs: Path) -> set[str]:
    return {
        str(path.relative_to(docs)) for path in (docs / INDEX, *docs.glob(f"{FOLDER}/*.md")) if path.exists()
    }


def main(arguments: list[str]) -> int:
    """``write DOCS`` or ``check DOCS``; 0 when the pages are as the code says."""
    action, folder = arguments
    if action == "write":
        write(Path(folder))
        return 0
    problems = drift(Path(folder))
    for problem in sorted(problems):
        print(problem, file=sys.stderr)  # noqa: T201
    if problems:
        print("Run `make docs` and look at the difference.", file=sys.stderr)  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
