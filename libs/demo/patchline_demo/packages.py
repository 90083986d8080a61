"""Every package that the demo's applications need, before and after: ``python -m patchline_demo.packages``.

One line for each round of ``pip wheel``, which takes one version of a package at a time.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from importlib import resources

from patchline_demo.blueprint import FLEET


def rounds() -> list[list[str]]:
    """``name==version`` of all packages, no name twice in a round."""
    versions: dict[str, list[str]] = defaultdict(list)
    feed = json.loads((resources.files("patchline_demo") / "feed.json").read_text())
    updates = [f"{item['component'].removeprefix('pkg:pypi/')}=={item['version']}" for item in feed]
    for requirement in [*(each for app in FLEET for each in app.packages), *updates]:
        name, _, version = requirement.partition("==")
        if version not in versions[name]:
            versions[name].append(version)
    most = max(len(each) for each in versions.values())
    return [
        [f"{name}=={known[number]}" for name, known in versions.items() if number < len(known)]
        for number in range(most)
    ]


if __name__ == "__main__":
    for packages in rounds():
        sys.stdout.write(f"{' '.join(packages)}\n")
