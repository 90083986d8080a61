"""The documentation service as a process of its own."""

from patchline_kit.main import run

from patchline_documentation.service import service

run(service)
