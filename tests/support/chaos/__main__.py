"""``python -m chaos --seed 7 --updates 300``: one run, with one line of counts at its end."""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from chaos.progress import Plan, Progress
from chaos.run import Run


def main() -> int:
    """Run it; 1 if anything is wrong, and then what the run left stays for a look."""
    for noisy in ("aiokafka", "kafka"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers end, too
    progress = _progress(_parser())
    plan, folder = progress.plan, progress.folder
    print(f"seed {plan.seed}, {plan.updates} updates, in {folder}", flush=True)
    try:
        result = Run(progress)()
    except AssertionError as error:
        print(error)
        return 1
    except KeyboardInterrupt:
        print(f"\nended in its midst; it goes on with:  make chaos DIR={folder}", flush=True)
        return 130
    print("\n".join(result.lines()))
    if not result.violations:
        shutil.rmtree(folder)
    return 1 if result.violations else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="repeats what a run did")
    parser.add_argument("--updates", type=int, help="300 without it")
    parser.add_argument(
        "--pace", type=float, default=Plan.pace, help="seconds between acts at first, on average"
    )
    parser.add_argument("--decks", type=int, help="how often each act is done at most")
    parser.add_argument("--sqlite", action="store_true", help="no database server: documents lie in SQLite")
    parser.add_argument(
        "--dir",
        type=Path,
        help="of the run, gone when it was sound; one that was ended in its midst goes on",
    )
    return parser


def _progress(parser: argparse.ArgumentParser) -> Progress:
    """Of the run in the folder that is named, or of a new one."""
    given = parser.parse_args()
    folder: Path | None = given.dir and given.dir.resolve()
    if folder is not None and folder.exists() and any(folder.iterdir()):
        try:
            progress = Progress.read(folder)
        except FileNotFoundError:
            parser.error(f"{folder} holds no run of chaos; name an empty folder or a new one")
        if given.seed is not None or given.updates is not None:
            parser.error(f"the run in {folder} has its seed and its updates; leave --seed and --updates out")
        progress.acts["go on"] += 1
        return progress
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="patchline-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    plan = Plan(seed, given.updates or 300, given.pace, given.decks, given.sqlite)
    return Progress(folder, plan)


if __name__ == "__main__":
    sys.exit(main())
