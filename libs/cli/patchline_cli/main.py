"""The ``patchline`` command: its groups, and how it ends."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from patchline_cli import exit_codes, versions
from patchline_cli.commands import Commands
from patchline_cli.examples import examples_text
from patchline_cli.failures import Failure
from patchline_cli.faults import write_down
from patchline_cli.output import Output
from patchline_cli.session import Given, Token, Url

app = typer.Typer(
    name="patchline",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=examples_text(
        [
            "patchline up --dir state --fleet fleet.yaml   start it",
            "patchline feed publish item.json              publish an update",
            "patchline updates                             where all updates are",
            "patchline explain ID                          why one is where it is",
        ]
    ),
)


@app.callback()
def root(
    context: typer.Context,
    url: Url = None,
    token: Token = None,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=versions.print_and_exit),
    ] = False,
) -> None:
    """Carry software updates from a vendor's feed to verified on every machine that needs them.

    Exit codes: 0 done; 1 the work failed or is not possible in this state; 2 wrong use or refused input;
    3 a policy refuses; 4 no Patchline reachable; 5 timed out with work still running.
    """
    context.obj = Given(url, token)


def main() -> None:
    """Run the command. Whatever happens, a person gets a sentence and never a traceback."""
    try:
        app(prog_name="patchline")
    except Failure as failure:
        _report(failure)
        sys.exit(failure.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(exit_codes.DONE)
    except Exception as error:
        log = write_down(error)
        Output().say(f"patchline met a fault of its own ({type(error).__name__}); the details are in {log}")
        sys.exit(exit_codes.FAILED)


def _report(failure: Failure) -> None:
    output = Output()
    output.say(f"Error: {failure.explanation}", style="red" if output.err.is_terminal else "")
    for detail in failure.details:
        output.say(f"  {detail}")
    if failure.fix:
        output.say(f"Fix: {failure.fix}")
