"""Runs the backup service alone: ``python -m patchline_backup``."""

from patchline_backup.service import service
from patchline_kit.main import run

run(service)
