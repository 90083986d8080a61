"""Runs the gateway alone: ``python -m patchline_gateway``."""

from patchline_gateway.service import service
from patchline_kit.main import run

run(service)
