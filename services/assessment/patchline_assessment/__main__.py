"""Runs the assessment service alone: ``python -m patchline_assessment``."""

from patchline_assessment.service import service
from patchline_kit.main import run

run(service)
