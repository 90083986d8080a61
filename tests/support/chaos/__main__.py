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

from chaos.run import Run


def main() -> int:
    """Run it; 1 if anything is wrong, and then what the run left stays for a look."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="repeats what a run did")
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--pace", type=float, default=3.0, help="seconds between acts, on average")
    parser.add_argument("--sqlite", action="store_true", help="no database server: documents lie in SQLite")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if given.seed is None else given.seed
    for noisy in ("aiokafka", "kafka"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end, too
    folder = Path(tempfile.mkdtemp(prefix="patchline-chaos-"))
    print(f"seed {seed}, {given.updates} updates, in {folder}", flush=True)
    run = Run(folder, seed=seed, updates=given.updates, pace=given.pace, mongo=not given.sqlite)
    try:
        result = run()
    except AssertionError as error:
        print(error)
        return 1
    print("\n".join(result.lines()))
    if not result.violations:
        shutil.rmtree(folder)
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
