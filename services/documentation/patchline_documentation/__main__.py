"""The documentation service as a process of its own."""

from patchline_documentation.service import service
from patchline_kit.main import run

run(service)
