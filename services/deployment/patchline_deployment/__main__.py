"""Runs the deployment service alone: ``python -m patchline_deployment``."""

from patchline_kit.main import run

from patchline_deployment.service import service

run(service)
