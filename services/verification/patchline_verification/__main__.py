"""Runs the verification service alone: ``python -m patchline_verification``."""

from patchline_kit.main import run
from patchline_verification.service import service

run(service)
