"""The demo from beginning to end."""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from patchline_demo.build import App, DemoError, build_fleet, free_ports, open_fleet
from patchline_demo.command import OwnPatchline, Patchline
from patchline_demo.narrator import Narrator
from patchline_demo.scenario import APPROVED_BY_HAND, WAYS, Fleet, Way

PATIENCE_SECONDS = 240
"""How long the updates may take by default; they take about 110 on two free cores."""
MARK = ".patchline-demo"


@dataclass(frozen=True, slots=True)
class Ending:
    """How one update ended, and what is wrong with that."""

    way: Way
    update_id: str
    update: Mapping[str, Any]
    problems: list[str]


def main() -> int:
    """Run the demo; 0 only if every update ended as it should, in the targets' own words."""
    arguments = _arguments()
    console = Console(soft_wrap=True)
    folder = arguments.dir.resolve()
    try:
        with ExitStack() as cleanup, Narrator(console) as narrator:
            if arguments.url:
                narrator.say(f"using the fleet in {folder} and the Patchline at {arguments.url}")
                fleet = Fleet.before_updates(open_fleet(folder))
                patchline = Patchline(arguments.url, arguments.token)
                cleanup.callback(patchline.stop)
            else:
                fleet, patchline = _everything(folder, arguments, narrator, cleanup)
            endings = _carry(patchline, fleet, narrator, arguments.patience)
            _summarise(console, patchline, endings)
    except DemoError as error:
        console.print(f"The demo stopped: {error}", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130
    return 1 if any(ending.problems for ending in endings) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="patchline_demo", description=__doc__)
    parser.add_argument("--dir", type=Path, default=Path(".demo"), help="folder of the demo, made anew")
    parser.add_argument("--kafka", metavar="BOOTSTRAP", help="use this Kafka instead of the embedded log")
    parser.add_argument("--keep", action="store_true", help="leave the applications and Patchline running")
    parser.add_argument(
        "--url", help="use the Patchline that runs there, and the fleet in --dir as it is, just built"
    )
    parser.add_argument(
        "--token",
        default=os.environ.get("PATCHLINE_TOKEN") or None,
        help="API token of that Patchline (env: PATCHLINE_TOKEN)",
    )
    parser.add_argument(
        "--patience", type=int, metavar="SECONDS", default=PATIENCE_SECONDS, help="how long it may take"
    )
    return parser.parse_args()


def _everything(
    folder: Path, arguments: argparse.Namespace, narrator: Narrator, cleanup: ExitStack
) -> tuple[Fleet, Patchline]:
    """A fleet made anew, running, and a Patchline of its own; ``cleanup`` stops both."""
    _empty(folder)
    narrator.say(f"building eight applications with old packages in {folder}")
    apps = build_fleet(folder, progress=narrator.say)
    fleet = Fleet.before_updates(apps)
    for app in apps:
        if not arguments.keep:
            cleanup.callback(app.control, "stop")
        app.control("start")
    narrator.say("all applications answer; starting `patchline up`")
    patchline = OwnPatchline(folder, free_ports(1)[0], kafka=arguments.kafka)
    if not arguments.keep:
        cleanup.callback(patchline.stop)
    return fleet, patchline


def _carry(patchline: Patchline, fleet: Fleet, narrator: Narrator, patience: int) -> list[Ending]:
    """Publish the feed and follow the updates to their end."""
    patchline.wait_until_ready()
    narrator.say(f"Patchline is ready at {patchline.url}; publishing the vendors' feed")
    ids = _publish(patchline)
    _follow(patchline, ids, narrator, seconds=patience)
    return [_ending(way, ids[way.component], patchline, fleet) for way in WAYS]


def _empty(folder: Path) -> None:
    """Remove what an earlier demo left, and nothing that is not a demo's."""
    if folder.exists() and not (folder / MARK).exists() and any(folder.iterdir()):
        raise DemoError(f"{folder} is not empty and no demo's folder. Choose another with --dir.")
    for control in folder.glob("apps/*/control.py"):
        python = control.parent / ".venv" / "bin" / "python"
        if python.exists():
            App.stop_folder(control.parent, python)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def _publish(patchline: Patchline) -> dict[str, str]:
    """Publish the feed; the update's id by component."""
    with resources.as_file(resources.files("patchline_demo") / "feed.json") as feed:
        published = patchline.json("feed", "publish", str(feed))
    listed = {update["id"]: update["component"] for update in patchline.json("updates")}
    return {listed[item["update_id"]]: item["update_id"] for item in published}


def _follow(patchline: Patchline, ids: Mapping[str, str], narrator: Narrator, *, seconds: int) -> None:
    """Watch until every update is closed, approving the one that waits for a person."""
    approved = False
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        updates = {update_id: patchline.update(update_id) for update_id in ids.values()}
        narrator.show(updates)
        waiting = updates[ids[APPROVED_BY_HAND]]
        if not approved and waiting is not None and waiting["state"] == "awaiting-approval":
            narrator.say("approving idna by hand: patchline update approve … --as dana")
            patchline.run(
                *(
                    "update",
                    "approve",
                    ids[APPROVED_BY_HAND],
                    "--as",
                    "dana",
                    "--reason",
                    "read the release notes",
                )
            )
            approved = True
        if all(update is not None and update["closed"] for update in updates.values()):
            return
        time.sleep(0.5)
    open_ones = [each for each in ids.values() if not (patchline.update(each) or {}).get("closed")]
    raise DemoError(
        f"after {seconds} s these are not closed:\n"
        + "\n".join(patchline.run("explain", update_id, allowed=(0, 1)) for update_id in open_ones)
    )


def _ending(way: Way, update_id: str, patchline: Patchline, fleet: Fleet) -> Ending:
    update = patchline.json("update", "show", update_id)
    problems = way.problems(fleet, update)
    if update["state"] != way.ends:
        problems.insert(0, f"it ended as {update['state']}, not as {way.ends}")
    return Ending(way, update_id, update, problems)


def _summarise(console: Console, patchline: Patchline, endings: list[Ending]) -> None:
    table = Table("update", "what it does", "ended", "as the targets say", title="Updates")
    table.columns[0].no_wrap = True
    for ending in endings:
        said = "[green]right[/]" if not ending.problems else "[red]" + "\n".join(ending.problems) + "[/]"
        table.add_row(ending.update_id, ending.way.story, ending.update["state"], said)
    console.print(table)
    console.print(patchline.run("notices"), markup=False, highlight=False)
    console.print("Reports:")
    for ending in endings:
        for report in patchline.reports(ending.update_id):
            console.print(f"  {report}", highlight=False)
    if (verified := patchline.ledger()) is not None:
        console.print(verified, markup=False, highlight=False)
    wrong = [ending.update_id for ending in endings if ending.problems]
    verdict = f"[red]not as they should: {', '.join(wrong)}[/]" if wrong else "[green]as they should[/]"
    console.print(f"{len(endings)} updates ended {verdict}.")
