"""Runs the feeds service alone: ``python -m patchline_feeds``."""

from patchline_feeds.service import service
from patchline_kit.main import run

run(service)
