"""A report as HTML, Markdown and JSON, and the files that hold them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from patchline_documentation.report import Report, TargetLine
from patchline_documentation.wording import length, moment, package_name, sentence, size
from patchline_schemas.updates import Report as ReportFile

Format = Literal["html", "md", "json"]
FORMATS: tuple[Format, ...] = ("html", "md", "json")
MARKDOWN = re.compile(r"([\\`*_\[\]<>|#])")
TONES = {
    "completed": "good",
    "not-applicable": "good",
    "failed": "bad",
    "rejected": "warn",
    "cancelled": "warn",
}


def render(report: Report) -> Mapping[Format, str]:
    """The report in every format. HTML is escaped throughout and needs nothing from outside."""
    tone = TONES.get(report.outcome, "plain")
    return {
        "html": _HTML.get_template("report.html.j2").render(r=report, tone=tone),
        "md": _squeezed(_MARKDOWN.get_template("report.md.j2").render(r=report)),
        "json": report.model_dump_json(indent=2) + "\n",
    }


def write_report(report: Report, folder: Path) -> tuple[ReportFile, ...]:
    """Write the report's files below ``folder`` and say where they are, with their digests.

    Each file appears whole or not at all. Raises :class:`OSError` if one cannot be written.
    """
    place = folder / report.update_id
    place.mkdir(parents=True, exist_ok=True)
    written = []
    for format_, text in render(report).items():
        data = text.encode()
        path = place / f"round-{report.round}.{format_}"
        _replace(path, data)
        address = f"file:{folder.name}/{report.update_id}/{path.name}"
        written.append(ReportFile(format=format_, address=address, sha256=hashlib.sha256(data).hexdigest()))
    return tuple(written)


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _environment(*, html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("patchline_documentation"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": moment,
        "short": _short,
        "clock": _clock,
        "seconds": _seconds,
        "length_of": length,
        "size": size,
        "package": package_name,
        "sentence": sentence,
        "words": _words,
        "md": _md,
        "cell": _cell,
        "block": _block,
        "remarks": _remarks,
    }
    return environment


def _short(instant: datetime | None) -> str:
    return "–" if instant is None else f"{instant:%Y-%m-%d %H:%M:%S}"


def _clock(instant: datetime) -> str:
    return f"{instant:%d %b %H:%M:%S}"


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.1f} s"


def _words(name: str) -> str:
    return name.replace("-", " ")


def _md(text: str) -> str:
    return MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def _cell(text: str) -> str:
    return _md(text) or "–"


def _block(text: str, indent: int = 4) -> str:
    """Indented as code, which no content of the text can end."""
    return "\n".join(" " * indent + line for line in text.splitlines())


def _remarks(target: TargetLine) -> str:
    parts = ["restarted"] if target.restarted else []
    parts += [
        f"{package_name(change.component)} {change.before or 'absent'} → {change.after or 'absent'}"
        for change in target.changes
    ]
    parts += target.notes
    if target.error and target.outcome != "succeeded":
        parts.append(target.error)
    return "; ".join(parts)


def _squeezed(markdown: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", markdown).strip() + "\n"


_HTML = _environment(html=True)
_MARKDOWN = _environment(html=False)
