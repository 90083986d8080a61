"""Run the communication service alone."""

from patchline_communication.service import service
from patchline_kit.main import run

run(service)
