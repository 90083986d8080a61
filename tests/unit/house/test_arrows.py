"""Arrows point from services to libs to schemas, and from domain code to nothing that does I/O."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVICES = sorted((ROOT / "services").iterdir())
LIBS = sorted((ROOT / "libs").iterdir())
PACKAGES = [ROOT / "schemas", *LIBS, *SERVICES]

# Composition needs the services; it finds them by entry points, never by import.
EDGES = {"service.py", "settings.py", "__main__.py"}


def module_files(package: Path) -> list[Path]:
    return sorted(next(package.glob("patchline_*")).rglob("*.py"))


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
    return found


def own(package: Path) -> set[str]:
    return {
        name.partition(".")[0]
        for file in module_files(package)
        for name in imports(file)
        if name.startswith("patchline_")
    } - {next(package.glob("patchline_*")).name}


def imported_name(package: Path) -> str:
    return next(package.glob("patchline_*")).name


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_a_service_imports_only_libs_and_schemas(service):
    assert own(service) <= {"patchline_schemas", "patchline_kit", "patchline_fleet"}


@pytest.mark.parametrize("lib", LIBS, ids=lambda path: path.name)
def test_a_lib_imports_no_service(lib):
    assert own(lib).isdisjoint(imported_name(service) for service in SERVICES)


def test_the_schemas_import_nothing_of_ours():
    assert own(ROOT / "schemas") == set()


def test_the_kit_imports_only_the_schemas():
    assert own(ROOT / "libs" / "kit") <= {"patchline_schemas"}


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_domain_modules_know_neither_a_broker_nor_a_store(service):
    forbidden = (
        "faststream",
        "aiokafka",
        "motor",
        "sqlite3",
        "patchline_kit.store",
        "patchline_kit.transport",
    )
    guilty = {
        f"{file.name}: {name}"
        for file in module_files(service)
        for name in imports(file)
        if name.startswith(forbidden) and file.name not in EDGES
    }
    assert guilty == set()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_one_module_of_the_mongo_adapter_alone_knows_motor(package):
    guilty = [
        file for file in module_files(package) if "motor" in {n.partition(".")[0] for n in imports(file)}
    ]
    assert [file.name for file in guilty] in ([], ["mongo_client.py"])


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_distribution_declares_what_it_imports_of_ours(package):
    declared = tomllib.loads((package / "pyproject.toml").read_text())["project"]["dependencies"]
    assert {name.replace("_", "-") for name in own(package)} <= {line.split("[")[0] for line in declared}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_a_module_can_be_read_in_one_sitting(package):
    long = {
        f"{file.name}: {count}"
        for file in module_files(package)
        if (count := len(file.read_text().splitlines())) > 450
    }
    assert long == set()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_no_module_has_a_name_that_says_nothing(package):
    empty = {"utils", "util", "helpers", "helper", "manager", "common", "misc"}
    assert {file.stem for file in module_files(package)}.isdisjoint(empty)
