"""``python -m patchline_kit.replica NAME``: one replica of an installed service, whoever wrote it."""

from __future__ import annotations

import sys

from patchline_kit.host import HostError, discover_services
from patchline_kit.main import run

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m patchline_kit.replica NAME")
    try:
        (service,) = discover_services(sys.argv[1:])
    except HostError as error:
        sys.stderr.write(f"patchline: {error}\n")
        sys.exit(2)
    run(service)
