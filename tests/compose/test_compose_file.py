"""What docker-compose.yml promises, read from the file; no container is needed."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
import yaml
from compose_stack import COMPOSE_FILE, HOUSE, read_env
from pydantic import TypeAdapter

from patchline_kit.settings import ServiceSettings

COMPOSE = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
HOUSE_SERVICES = sorted(path.name for path in (HOUSE / "services").iterdir() if path.is_dir())
AT_THE_FLEET = ("assessment", "testing", "backup", "deployment", "verification")


def test_every_service_of_the_house_has_a_container() -> None:
    assert set(HOUSE_SERVICES) <= set(OURS)


@pytest.mark.parametrize("name", HOUSE_SERVICES)
def test_a_service_is_built_from_the_one_dockerfile(name: str) -> None:
    build = OURS[name]["build"]
    assert (build["context"], build["dockerfile"]) == (".", "infra/docker/Dockerfile")
    assert build["args"]["SERVICE"] == name


@pytest.mark.parametrize("name", HOUSE_SERVICES)
def test_an_image_shares_the_layer_of_what_its_service_needs(name: str) -> None:
    project = tomllib.loads((HOUSE / "services" / name / "pyproject.toml").read_text())["project"]
    needed = "fleet" if "patchline-fleet" in project["dependencies"] else "kit"
    assert OURS[name]["build"]["args"].get("COMMON", "kit") == needed


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_an_image_has_a_pinned_tag(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert re.fullmatch(r"\d+\.\d+\.\d+|\$\{PATCHLINE_VERSION:-\d+\.\d+\.\d+\}", tag)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_has_limits(name: str) -> None:
    assert SERVICES[name]["mem_limit"]
    assert SERVICES[name]["cpus"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_container_of_ours_may_do_nothing_that_it_needs_not(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["pids_limit"] <= 256
    assert service["tmpfs"]
    assert "privileged" not in service
    assert "user" not in service  # the image's own, which is not root


def test_the_image_is_not_run_by_root() -> None:
    dockerfile = (HOUSE / "infra" / "docker" / "Dockerfile").read_text()
    assert re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize("name", HOUSE_SERVICES)
def test_compose_waits_longer_for_a_stop_than_the_service_takes(name: str) -> None:
    grace: timedelta = TypeAdapter(timedelta).validate_python(read_env()["PATCHLINE_GRACE"])
    waits = int(OURS[name]["stop_grace_period"].removesuffix("s"))
    assert waits >= grace.total_seconds() + 10


@pytest.mark.parametrize("name", AT_THE_FLEET)
def test_what_touches_targets_is_where_they_are(name: str) -> None:
    assert SERVICES[name]["network_mode"] == "service:demo-fleet"
    assert "fleet:/srv/fleet" in SERVICES[name]["volumes"]


def test_containers_on_one_network_serve_health_on_ports_of_their_own() -> None:
    ports = [SERVICES[name]["environment"]["PATCHLINE_HEALTH_PORT"] for name in AT_THE_FLEET]
    assert len(set(ports)) == len(ports)


def test_only_this_machine_reaches_what_is_published() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    for port in published:
        assert re.search(r":-127\.0\.0\.1:\d+\}", port), port
    for name, value in read_env().items():
        if name.endswith("_PUBLISH"):
            assert value.startswith("127.0.0.1:"), name


def test_the_settings_hold_no_secret() -> None:
    settings = read_env()
    assert settings["PATCHLINE_TOKEN"] == "local-only-change-me"
    for name, value in settings.items():
        if "PASSWORD" in name or "SECRET" in name:
            assert value == "", name
    assert "@" not in settings["PATCHLINE_MONGO"]


def test_every_setting_is_one_that_somebody_reads() -> None:
    known = {f"PATCHLINE_{field.upper()}" for kind in _all_settings() for field in kind.model_fields}
    known |= set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_FILE.read_text()))
    unknown = [
        name for name in read_env() if name not in known and not name.startswith(("OTEL_", "COMPOSE_"))
    ]
    assert unknown == []


def test_every_variable_of_the_compose_file_is_set_in_the_settings() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_FILE.read_text())) - {"PATCHLINE_ENV_FILE"}
    assert used <= set(read_env())


def _all_settings() -> list[type[ServiceSettings]]:
    modules = (import_module(f"patchline_{name}.settings") for name in HOUSE_SERVICES if _has_settings(name))
    return [ServiceSettings, *(module.Settings for module in modules)]


def _has_settings(name: str) -> bool:
    return (HOUSE / "services" / name / f"patchline_{name}" / "settings.py").is_file()
