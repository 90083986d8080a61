"""What a new service is to be, judged before anything is written: names and events."""

from __future__ import annotations

import difflib
import importlib.util
import keyword
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

from patchline_cli.failures import wrong_use
from patchline_schemas import Event, event_types

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST_NAME = 40
"""A name is part of topics, file names and containers' names."""
CLASS_NAME = re.compile(r"([A-Z][a-z0-9]*)+")
TYPING_ERROR = 0.9
"""A new event's name that is so near to a known one (difflib's ratio) is taken for a typing error."""
TAKEN = frozenset({"Context", "Ctx", "Document", "Event", "Path", "Service", "ServiceHarness", "Watched"})
"""Names that the written code uses itself."""


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """An event that the service itself declares."""

    class_name: str
    topic: str


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What to write."""

    name: str
    handled: tuple[type[Event], ...]
    published: tuple[type[Event], ...]
    """Events of Patchline that the service publishes too."""
    own: tuple[OwnEvent, ...]

    @property
    def module(self) -> str:
        """The name to import it by."""
        return self.name.replace("-", "_")


def blueprint(name: str, on: Sequence[str], emits: Sequence[str]) -> Blueprint:
    """A blueprint from what was typed. Raises :class:`patchline_cli.failures.Failure`,
    which says what is wrong.

    An event is named by its class or its topic. What ``emits`` names and nobody knows becomes an event of the
    service's own, on the topic ``NAME.EVENT``.
    """
    _check_name(name)
    published: list[type[Event]] = []
    own: list[OwnEvent] = []
    for text in dict.fromkeys(emits):
        kind = _known(text)
        if kind is not None:
            published.append(kind)
        else:
            own.append(_own(name, text))
    handled = tuple(dict.fromkeys(_handled(text) for text in on))
    return Blueprint(name, handled, tuple(dict.fromkeys(published)), tuple(own))


def snake(class_name: str) -> str:
    """``WaveVerified`` as a function is called: ``wave_verified``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", class_name).lower()


def _check_name(name: str) -> None:
    module = name.replace("-", "_")
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise wrong_use(
            f"{name!r} cannot be a service's name.",
            fix="Use lower-case words of letters and digits, joined by '-' (patch-diary), in all at most"
            f" {LONGEST_NAME} characters.",
        )
    if name in entry_points(group="patchline.services").names:
        raise wrong_use(
            f"A service {name!r} is installed already, and two of one name would share a consumer group.",
            fix="Choose another name.",
        )
    if (
        name.startswith("patchline")
        or module == "tests"
        or keyword.iskeyword(module)
        or module in sys.stdlib_module_names
        or importlib.util.find_spec(module) is not None
    ):
        raise wrong_use(
            f"{module!r} is taken: Python, Patchline or an installed package has a module of that name.",
            fix=f"Choose another name, for example my-{name.removeprefix('patchline-')}.",
        )


def _handled(text: str) -> type[Event]:
    kind = _known(text)
    if kind is None:
        raise wrong_use(f"No event is {text!r}.", fix=_hint(text))
    return kind


def _own(service: str, text: str) -> OwnEvent:
    classes = [kind.__name__ for kind in event_types().values()]
    if not CLASS_NAME.fullmatch(text):
        raise wrong_use(
            f"No event is {text!r}.",
            fix=f"{_hint(text)} A new event of your own is named like a class: PageWritten.",
        )
    near = difflib.get_close_matches(text, classes, n=1, cutoff=TYPING_ERROR)
    if near:
        raise wrong_use(
            f"No event is {text!r}.",
            fix=f"Did you mean {near[0]}? An event of your own needs a name that nobody takes for another.",
        )
    if text in TAKEN or keyword.iskeyword(snake(text)):
        raise wrong_use(
            f"{text!r} cannot be an event's name: the written code uses it.", fix="Choose another."
        )
    if len(text) > LONGEST_NAME:
        raise wrong_use(f"{text!r} is too long.", fix=f"Use at most {LONGEST_NAME} characters.")
    return OwnEvent(text, f"{service}.{snake(text).replace('_', '-')}")


def _known(text: str) -> type[Event] | None:
    for kind in event_types().values():
        if text in (kind.__name__, kind.TYPE, *kind.topics()):
            return kind
    return None


def _hint(text: str) -> str:
    kinds = event_types().values()
    names = {kind.TOPIC if text.islower() else kind.__name__ for kind in kinds}
    near = _nearest(text, names)
    return f"Near to it: {', '.join(near)}." if near else "docs/events.md lists all events."


def _nearest(text: str, names: Collection[str]) -> list[str]:
    spelled = {name.lower(): name for name in sorted(names)}
    return [spelled[near] for near in difflib.get_close_matches(text.lower(), spelled, n=3)]
