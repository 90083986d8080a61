"""``python -m patchline_planning`` runs planning as a process of its own."""

from patchline_kit.main import run
from patchline_planning.service import service

if __name__ == "__main__":
    run(service)
