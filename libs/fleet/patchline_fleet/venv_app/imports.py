"""Imports what an update could break: modules of the packages concerned and of the application."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from patchline_fleet import supervised
from patchline_fleet.venv_app.environment import Distribution, Environment

NO_API = frozenset({"test", "tests", "testing", "doc", "docs", "example", "examples", "benchmarks"})
"""Top-level names that packages install by mistake; importing them proves nothing."""
NOT_IMPORTED = frozenset({"setup", "conftest"})
RESTARTS = 20
"""How many modules may take the interpreter down with them before the rest is given up."""
IMPORT = r"""
import importlib, json, sys, traceback
out, sys.stdout = sys.stdout, sys.stderr
for name in sys.argv[1:]:
    print("?" + name, file=out, flush=True)
    try:
        importlib.import_module(name)
    except BaseException as error:
        said = "".join(traceback.format_exception_only(type(error), error)).strip()
        frames = traceback.extract_tb(error.__traceback__)
        where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        print("-" + json.dumps([name, said + where]), file=out, flush=True)
    else:
        print("+" + name, file=out, flush=True)
"""


def concerned(environment: Environment, changed: Collection[str]) -> list[Distribution]:
    """The packages that changed and those that depend on them, directly or not."""
    needs = {each.name: _requirements(each) for each in environment.distributions}
    found = set(changed)
    while True:
        more = {name for name, required in needs.items() if name not in found and required & found}
        if not more:
            return [each for each in environment.distributions if each.name in found]
        found |= more


def modules_of(distribution: Distribution) -> list[str]:
    """The modules by which a package is imported: the outermost ones that are no mere namespace."""
    paths = [Path(os.path.relpath(path, distribution.site)) for path in distribution.files() or ()]
    packages = {path.parent for path in paths if path.name == "__init__.py" and path.parent != Path()}
    outer = [path for path in packages if not packages & set(path.parents)]
    single = [
        Path(path.name.partition(".")[0])
        for path in paths
        if len(path.parts) == 1 and path.suffix in (".py", ".so") and path.name != "__init__.py"
    ]
    names = {".".join(path.parts) for path in (*outer, *single)}
    return sorted(name for name in names if _importable(name) and name.partition(".")[0] not in NO_API)


def modules_of_application(folder: Path, *, without: Collection[Path]) -> list[str]:
    """The application's own packages and modules at the top of its folder.

    A module that does work when it is imported (a script without a ``__main__`` guard) is left out:
    importing it would run the program.
    """
    found = []
    for path in sorted(folder.iterdir()):
        if path in without or path.stem in NOT_IMPORTED | NO_API or path.name.startswith((".", "test_")):
            continue
        is_package = path.is_dir() and (path / "__init__.py").is_file()
        source = path / "__init__.py" if is_package else path
        if (is_package or path.suffix == ".py") and path.stem.isidentifier() and _only_defines(source):
            found.append(path.stem)
    return found


def import_all(
    environment: Environment, folder: Path, modules: Sequence[str], env: Mapping[str, str]
) -> dict[str, str]:
    """Import each module in the environment's interpreter; those that fail, with their own words."""
    failed: dict[str, str] = {}
    left = list(modules)
    for _ in range(RESTARTS):
        if not left:
            break
        done = supervised.run(
            [str(environment.python), "-c", IMPORT, *left], cwd=folder, env=env, keep=1024 * 1024
        )
        lost = _read_progress(done.stdout.splitlines(), failed)
        if lost is None:
            break
        failed[lost] = f"the interpreter ended with {done.returncode}: {done.output.strip()[-500:]}"
        left = left[left.index(lost) + 1 :]
    return failed


def _read_progress(lines: Iterable[str], failed: dict[str, str]) -> str | None:
    """Note failures; the module whose import never came back, if there is one."""
    begun = None
    for line in lines:
        match line[:1]:
            case "?":
                begun = line[1:]
            case "+":
                begun = None
            case "-":
                name, words = json.loads(line[1:])
                failed[name] = words
                begun = None
    return begun


def _requirements(distribution: Distribution) -> set[str]:
    try:
        text = (distribution.info / "METADATA").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    names = set()
    for line in HeaderParser().parsestr(text).get_all("Requires-Dist") or ():
        try:
            names.add(str(canonicalize_name(Requirement(line).name)))
        except InvalidRequirement:
            found = re.match(r"[A-Za-z0-9._-]+", line)
            if found:
                names.add(str(canonicalize_name(found.group())))
    return names


def _importable(name: str) -> bool:
    return all(part.isidentifier() for part in name.split(".")) and not name.endswith("__main__")


def _only_defines(source: Path) -> bool:
    """Whether importing the file does nothing but define things."""
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError):
        return False
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant):
            return False
        if isinstance(statement, ast.For | ast.While | ast.With | ast.AsyncFor | ast.AsyncWith):
            return False
    return True
