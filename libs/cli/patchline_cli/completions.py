"""What the shell offers for an id: those that begin so, asked from the Patchline that would be spoken to."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import typer

from patchline_cli.client import DEFAULT_URL, Client
from patchline_cli.failures import Failure

OFFERED = 50
"""At most so many: more than that nobody reads."""

_PATIENCE = 2.0
"""Seconds. Who has pressed Tab waits at the prompt."""


def ids_of(listing: str, **narrowed: str) -> Callable[[typer.Context, str], list[str]]:
    """An ``autocompletion`` for ids of ``listing``, a path whose items come by ascending id.

    ``narrowed`` is its query. Nothing is offered where nobody answers: a prompt has no room for an error.
    """

    def offer(context: typer.Context, incomplete: str) -> list[str]:
        url = _option(context, "url") or os.environ.get("PATCHLINE_URL") or DEFAULT_URL
        token = _option(context, "token") or os.environ.get("PATCHLINE_TOKEN") or None
        # ids come after the last that is smaller than all that begin so
        before = incomplete[:-1] + chr(ord(incomplete[-1]) - 1) + "\uffff" if incomplete else ""
        try:
            with Client(url, token, patience=_PATIENCE) as client:
                found = client.get(listing, {**narrowed, "after": before, "limit": OFFERED})["items"]
        except Failure:
            return []
        return [item["id"] for item in found if item["id"].startswith(incomplete)]

    return offer


def _option(context: Any, name: str) -> str | None:
    """An option's value, given behind the command or before it."""
    while context is not None:
        if given := context.params.get(name):
            return str(given)
        context = context.parent
    return None
