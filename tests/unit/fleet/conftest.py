from __future__ import annotations

from pathlib import Path

import pytest
from driver_worlds import IDNA, OLD, SIX, VenvWorld, build_environment

from patchline_fleet.venv_app.driver import VenvDriver


@pytest.fixture(scope="session")
def base_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    return build_environment(folder / ".venv", [f"idna=={OLD[IDNA]}", f"six=={OLD[SIX]}"])


@pytest.fixture
def apps(tmp_path: Path, base_environment: Path) -> VenvWorld:
    """Makes applications with idna and six in their environment."""
    return VenvWorld(tmp_path / "apps", base_environment, VenvDriver())
