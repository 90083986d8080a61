"""The files of a new service: templates filled in, and written where nothing is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import jinja2

from patchline_cli.failures import Failure, wrong_use
from patchline_cli.new_service_blueprint import Blueprint, snake
from patchline_schemas import Event

LINE_LENGTH = 110
SUFFIX = ".j2"


def files(wanted: Blueprint) -> dict[str, str]:
    """Every file of the service: its path below the folder, and its text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("patchline_cli", "new_service_templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(snake=snake, summary=summary)
    names = {
        "imports": imports,
        "by_module": by_module,
        "listing": listing,
        "handled_type": handled_type(wanted.handled),
        "line_length": LINE_LENGTH,
        "wanted": wanted,
    }
    texts: dict[str, str] = {}
    for template in environment.list_templates(extensions=["j2"]):
        if template == "package/events.py.j2" and not wanted.own:
            continue
        if template == "package/rules.py.j2" and not (wanted.own or wanted.published):
            continue
        path = template.removesuffix(SUFFIX).replace("package/", f"{wanted.module}/").replace("dot.", ".")
        texts[path] = environment.get_template(template).render(names)
    return texts


def write(texts: Mapping[str, str], folder: Path) -> None:
    """Write the files into a folder that is new or empty. Raises :class:`Failure` otherwise."""
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise wrong_use(
                f"{folder} is not an empty folder, and nothing in it is overwritten.",
                fix="Name another one with --dir.",
            )
        for path, text in texts.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{folder} cannot be written: {error.strerror} ({error.filename}).") from error


def summary(kind: type[Event]) -> str:
    """When an event happens, in the first line of its docstring."""
    return re.sub(r":\w+:`+([^`]+)`+", r"\1", (inspect.getdoc(kind) or "").partition("\n")[0])


def handled_type(kinds: Iterable[type[Event]]) -> str:
    """The type of any of the events, as an annotation."""
    names = [kind.__name__ for kind in kinds]
    return " | ".join(names) if len(names) <= 2 else "Event"


def by_module(*groups: Iterable[type[Event]]) -> dict[str, list[str]]:
    """Names of event classes by the module to import them from."""
    found: dict[str, list[str]] = {}
    for kind in dict.fromkeys(kind for group in groups for kind in group):
        found.setdefault(kind.__module__, []).append(kind.__name__)
    return found


def imports(*sources: Mapping[str, Iterable[str]]) -> str:
    """``from … import …`` lines in the order that isort wants."""
    names: dict[str, set[str]] = {}
    for source in sources:
        for module, some in source.items():
            names.setdefault(module, set()).update(some)
    return "\n".join(
        listing(f"from {module} import ", sorted(names[module], key=str.lower), "()", always=False)
        for module in sorted(names)
        if names[module]
    )


def listing(
    before: str, items: Iterable[str], brackets: str, after: str = "", *, always: bool = True, indent: int = 0
) -> str:
    """Items on one line, or one a line where that is too long; in brackets ``always`` or only then.

    The text stands ``indent`` spaces in, which the caller has written before its first line.
    """
    names = list(items)
    opening, closing = brackets[0], brackets[1]
    line = ", ".join(names)
    whole = f"{before}{opening}{line}{closing}{after}" if always else f"{before}{line}{after}"
    if indent + len(whole) <= LINE_LENGTH:
        return whole
    lines = [f"{before}{opening}", *(f"    {name}," for name in names), f"{closing}{after}"]
    return f"\n{' ' * indent}".join(lines)
