"""Ids that every service derives alike."""

from __future__ import annotations

import hashlib
import re

from packaging.utils import canonicalize_version

from patchline_schemas.components import ecosystem, short_name

_SLUG_LENGTH = 80


def update_id(component: str, version: str) -> str:
    """The id of the update that brings ``component`` to ``version``, both in normal form.

    Readable, safe as a file name, and the same whoever publishes it: ``jinja2-3.1.6-`` and six digits. For
    PyPI ``2.0`` and ``2.0.0`` are one version (PEP 440, "Version matching"), so final zeros do not count.
    """
    if ecosystem(component) == "pypi":
        version = canonicalize_version(version)
    name = f"{short_name(component)}-{version}".lower()
    slug = re.sub(r"[^a-z0-9.]+", "-", name)[:_SLUG_LENGTH].strip(".-")
    digest = hashlib.sha256(f"{component}@{version}".encode()).hexdigest()[:6]
    return f"{slug}-{digest}" if slug else digest


def wave_id(update_id: str, round_number: int, wave_number: int) -> str:
    """The id of a wave; rounds and waves count from 1."""
    return f"{update_id}.r{round_number}.w{wave_number}"
