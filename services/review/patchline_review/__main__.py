"""The review service as a process of its own."""

from patchline_kit.main import run
from patchline_review.service import service

run(service)
