"""All commands, as a table. What one needs is imported when it is asked for, so that it answers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from patchline_cli.examples import examples_text


@dataclass(frozen=True, slots=True)
class Alone:
    """Commands that stand by themselves, all from one module of this package, which has a ``register``."""

    module: str
    names: Sequence[str]

    def load(self) -> Mapping[str, Any]:
        """The commands by name."""
        return _registered(typer.Typer(rich_markup_mode="rich"), f"{self.module}:register").commands


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that belong together under one name; the help shows what they are used for most."""

    name: str
    help: str
    examples: Sequence[str]
    registers: Sequence[str]
    """What adds them, each as ``module:function``."""

    @property
    def names(self) -> Sequence[str]:
        """The one name that they are under."""
        return (self.name,)

    def load(self) -> Mapping[str, Any]:
        """The group by its name."""
        app = typer.Typer(
            name=self.name,
            no_args_is_help=True,
            help=self.help,
            epilog=examples_text(self.examples),
            rich_markup_mode="rich",
        )
        return {self.name: _registered(app, *self.registers)}


PARTS: Sequence[Alone | Group] = (
    Alone("up", ["up"]),
    Group(
        "feed",
        "Publish what vendors say.",
        ["patchline feed publish item.json", "cat items.json | patchline feed publish -"],
        ["feed:register"],
    ),
    Alone("updates", ["updates", "explain"]),
    Group(
        "update",
        "Show one update, wait for it, decide about it.",
        [
            "patchline update show jinja2-3.1.6-1a2b3c",
            'patchline update approve jinja2-3.1.6-1a2b3c --as maria --reason "tested in the shop"',
            "patchline update wait jinja2-3.1.6-1a2b3c",
        ],
        ["updates:register_for_one", "waits:register_for_one", "decisions:register_for_one"],
    ),
    Alone("targets", ["groups", "targets", "inventory"]),
    Alone("waves", ["waves"]),
    Alone("reports", ["report"]),
    Alone("notices", ["notices"]),
    Group(
        "ledger",
        "Check and export the record of everything that happened.",
        [
            "patchline ledger verify --dir state",
            "patchline ledger export --to ledger.jsonl",
            "patchline ledger verify ledger.jsonl",
        ],
        ["ledger:register"],
    ),
    Group(
        "state",
        "Back Patchline's own state up, and put it back.",
        [
            "patchline state backup patchline.tgz --dir state",
            "patchline state restore patchline.tgz --dir new-state",
        ],
        ["state:register"],
    ),
    Group(
        "dead-letters",
        "Records that a service gave up: look, replay, discard.",
        [
            "patchline dead-letters list",
            "patchline dead-letters show ID",
            "patchline dead-letters replay ID --as maria",
        ],
        ["dead_letters:register"],
    ),
    Group(
        "proposals",
        "Changes to the fleet file that reviews propose.",
        ["patchline proposals list", "patchline proposals show ID | patch -p0"],
        ["proposals:register"],
    ),
    Group(
        "fleet",
        "Check a fleet file, or put it in effect.",
        ["patchline fleet check fleet.yaml", "patchline fleet apply fleet.yaml"],
        ["fleet:register"],
    ),
    Group(
        "events",
        "Watch events as they happen.",
        ["patchline events tail", "patchline events tail --topic 'waves.*'"],
        ["events:register"],
    ),
    Group(
        "service",
        "Services in processes of their own.",
        ["patchline service list", "patchline service run planning gateway --dir state"],
        ["services:register"],
    ),
    Group(
        "topics",
        "Kafka's topics: look, check, create.",
        ["patchline topics check", "patchline topics create --kafka broker:9092"],
        ["topics:register"],
    ),
    Alone("doctor", ["doctor"]),
    Alone("halt", ["halt", "resume"]),
    Alone("new_service", ["new-service"]),
    Alone("rebuild", ["rebuild"]),
    Alone("versions", ["version"]),
)
_PART_OF = {name: part for part in PARTS for name in part.names}


class Commands(TyperGroup):
    """The commands of the table, each loaded when it is asked for by its name."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the table's order."""
        return list(_PART_OF)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; None if there is none, with all loaded so that a similar name can be offered."""
        part = _PART_OF.get(cmd_name)
        for each in (part,) if part else PARTS:
            if not set(each.names) <= set(self.commands):
                self.commands.update(each.load())
        return super().get_command(ctx, cmd_name)


def _registered(app: typer.Typer, *registers: str) -> TyperGroup:
    for place in registers:
        module, _, function = place.partition(":")
        getattr(import_module(f"patchline_cli.{module}"), function)(app)
    return get_group(app)
