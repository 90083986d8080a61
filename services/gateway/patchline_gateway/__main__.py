"""Runs the gateway alone: ``python -m patchline_gateway``."""

from patchline_kit.main import run

from patchline_gateway.service import service

run(service)
