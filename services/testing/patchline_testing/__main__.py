"""Runs the testing service alone: ``python -m patchline_testing``."""

from patchline_kit.main import run
from patchline_testing.service import service

run(service)
