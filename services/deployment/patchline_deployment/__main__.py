"""Runs the deployment service alone: ``python -m patchline_deployment``."""

from patchline_deployment.service import service
from patchline_kit.main import run

run(service)
