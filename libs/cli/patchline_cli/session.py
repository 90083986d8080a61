"""What every command shares: where Patchline is, the token, the form of the output."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from patchline_cli.client import DEFAULT_URL, Client
from patchline_cli.examples import examples_text
from patchline_cli.output import Format, Output
from patchline_cli.readers import ends_when_nobody_reads

P = ParamSpec("P")

Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help=f"Where Patchline is. (env: PATCHLINE_URL; default: {DEFAULT_URL})"
    ),
]
Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", help="API token, where one is set. (env: PATCHLINE_TOKEN)"),
]
Form = Annotated[Format, typer.Option("--output", "-o", help="How to print it.")]


@dataclass
class Given:
    """Options given before the command's name."""

    url: str | None = None
    token: str | None = None


@dataclass
class Session:
    """One run of one command."""

    url: str
    token: str | None
    output: Output
    url_given: bool = False
    """Whether somebody named the address, rather than leaving it to the default."""
    _client: Client | None = field(default=None, repr=False)

    @property
    def client(self) -> Client:
        """Calls to the Patchline that the options name."""
        if self._client is None:
            self._client = Client(self.url, self.token)
        return self._client

    def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            self._client.__exit__(None, None, None)


def command(
    app: typer.Typer, name: str, *, examples: Sequence[str] = (), form: Format | None = Format.TABLE
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Register a command that gets a :class:`Session` first.

    ``--url`` and ``--token`` are added to its options, and ``--output`` with ``form`` as the default unless
    that is None.
    """

    def register(
        function: Callable[Concatenate[Session, P], None],
    ) -> Callable[Concatenate[Session, P], None]:
        @functools.wraps(function)
        def run(context: typer.Context, **values: Any) -> None:
            given = context.find_object(Given) or Given()
            url = values.pop("url") or given.url or os.environ.get("PATCHLINE_URL")
            token = values.pop("token") or given.token or os.environ.get("PATCHLINE_TOKEN") or None
            session = Session(
                url or DEFAULT_URL, token, Output(values.pop("output", Format.TABLE)), url_given=bool(url)
            )
            try:
                with ends_when_nobody_reads():
                    function(session, **values)  # type: ignore[call-arg]
            finally:
                session.close()

        added = {"url": (Url, None), "token": (Token, None)}
        if form is not None:
            added["output"] = (Form, form)  # type: ignore[assignment]
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        parameters = [
            inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
            *(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own),
            *(
                inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
                for key, (kind, default) in added.items()
            ),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        app.command(name, epilog=examples_text(examples))(run)
        return function

    return register
