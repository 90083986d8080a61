"""The ``patchline`` command: its groups, and how it ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from patchline_cli import (
    dead_letters,
    decisions,
    doctor,
    events,
    exit_codes,
    feed,
    fleet,
    halt,
    ledger,
    new_service,
    notices,
    proposals,
    rebuild,
    reports,
    services,
    state,
    targets,
    topics,
    up,
    updates,
    versions,
    waits,
    waves,
)
from patchline_cli.failures import Failure
from patchline_cli.faults import write_down
from patchline_cli.output import Output
from patchline_cli.session import Given, Token, Url, examples_text

app = typer.Typer(
    name="patchline",
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


def group(help: str, *, examples: Sequence[str]) -> typer.Typer:
    """Commands that belong together; the help shows what they are used for most."""
    return typer.Typer(no_args_is_help=True, help=help, epilog=examples_text(examples))


updates_group = group(
    "Show one update, wait for it, decide about it.",
    examples=[
        "patchline update show jinja2-3.1.6-1a2b3c",
        'patchline update approve jinja2-3.1.6-1a2b3c --as maria --reason "tested in the shop"',
        "patchline update wait jinja2-3.1.6-1a2b3c",
    ],
)
for module in (updates, waits, decisions):
    module.register_for_one(updates_group)
feeds_group = group(
    "Publish what vendors say.",
    examples=["patchline feed publish item.json", "cat items.json | patchline feed publish -"],
)
feed.register(feeds_group)
ledger_group = group(
    "Check and export the record of everything that happened.",
    examples=[
        "patchline ledger verify --dir state",
        "patchline ledger export --to ledger.jsonl",
        "patchline ledger verify ledger.jsonl",
    ],
)
ledger.register(ledger_group)
letters_group = group(
    "Records that a service gave up: look, replay, discard.",
    examples=[
        "patchline dead-letters list",
        "patchline dead-letters show ID",
        "patchline dead-letters replay ID --as maria",
    ],
)
dead_letters.register(letters_group)
proposals_group = group(
    "Changes to the fleet file that reviews propose.",
    examples=["patchline proposals list", "patchline proposals show ID | patch -p0"],
)
proposals.register(proposals_group)
fleet_group = group(
    "Check a fleet file, or put it in effect.",
    examples=["patchline fleet check fleet.yaml", "patchline fleet apply fleet.yaml"],
)
fleet.register(fleet_group)
state_group = group(
    "Back Patchline's own state up, and put it back.",
    examples=[
        "patchline state backup patchline.tgz --dir state",
        "patchline state restore patchline.tgz --dir new-state",
    ],
)
state.register(state_group)
service_group = group(
    "Services in processes of their own.",
    examples=["patchline service list", "patchline service run planning gateway --dir state"],
)
services.register(service_group)
topics_group = group(
    "Kafka's topics: look, check, create.",
    examples=["patchline topics check", "patchline topics create --kafka broker:9092"],
)
topics.register(topics_group)
events_group = group(
    "Watch events as they happen.",
    examples=["patchline events tail", "patchline events tail --topic 'waves.*'"],
)
events.register(events_group)

up.register(app)
app.add_typer(feeds_group, name="feed")
updates.register(app)
app.add_typer(updates_group, name="update")
for part in (targets, waves, reports, notices):
    part.register(app)
app.add_typer(ledger_group, name="ledger")
app.add_typer(state_group, name="state")
app.add_typer(letters_group, name="dead-letters")
app.add_typer(proposals_group, name="proposals")
app.add_typer(fleet_group, name="fleet")
app.add_typer(events_group, name="events")
app.add_typer(service_group, name="service")
app.add_typer(topics_group, name="topics")
for part in (doctor, halt, new_service, rebuild, versions):
    part.register(app)


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
