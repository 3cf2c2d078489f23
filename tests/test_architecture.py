"""The import table of the house: a row changes only with a decision record in docs/decisions."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "aes67"

ABOVE_ENGINE = {
    "errors",
    "wire",
    "shm",
    "clock",
    "net",
    "ptp",
    "media",
    "config",
    "session",
    "discovery",
    "services",
}

# package -> (ours it may import besides itself, third parties it may import)
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "jit": (set(), {"numba"}),
    "wire": ({"errors"}, set()),
    "shm": ({"errors"}, {"numpy"}),
    "clock": ({"errors", "jit"}, {"numpy"}),
    "net": ({"errors"}, set()),
    "ptp": ({"errors", "wire", "clock"}, set()),
    "media": ({"jit", "wire", "shm"}, {"numpy"}),
    "engine": (
        {"errors", "jit", "wire", "shm", "clock", "ptp", "media", "net"},
        {"numpy", "numba", "llvmlite"},
    ),
    "config": ({"errors", "ptp"}, {"pydantic"}),
    "session": ({"errors", "wire", "config", "shm"}, {"pydantic", "numpy"}),
    "discovery": ({"errors", "wire", "session"}, set()),
    "services": (ABOVE_ENGINE | {"streamer"}, {"numpy", "zeroconf"}),
    "control": (ABOVE_ENGINE | {"streamer"}, {"numpy"}),
    "streamer": ({"errors", "shm", "net"}, {"numpy", "av"}),
    "daemon": ({"errors"}, set()),
    "client": ({"errors"}, set()),
    "selftest": ({"errors", "session", "alsa", "client"}, {"numpy", "cffi"}),
    "alsa": ({"errors"}, set()),
    "cli": ({"errors", "wire", "session", "alsa", "client"}, set()),
    "aes67_api": (
        {"errors", "config", "session", "services", "control", "shm", "streamer", "wire"},
        {"fastapi", "starlette", "uvicorn", "pydantic", "prometheus_client"},
    ),
}

PURE = {"errors", "wire", "clock", "ptp", "media", "config", "session", "discovery"}
"""Packages without effects, but for the files named in IMPURE."""
IMPURE = {"session/store.py"}
EFFECTS = {
    "socket",
    "asyncio",
    "threading",
    "time",
    "random",
    "os",
    "subprocess",
    "logging",
    "signal",
    "select",
    "multiprocessing",
}

STANDARD = set(sys.stdlib_module_names)


def modules() -> list[tuple[str, Path]]:
    """(package of the table, file) of every module."""
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        relative = file.relative_to(SOURCE)
        if relative == Path("__init__.py"):
            continue
        package = relative.parts[0].removesuffix(".py")
        found.append((package, file))
    found += [("aes67_api", file) for file in sorted((ROOT / "api").rglob("*.py"))]
    return found


def imports(file: Path) -> set[str]:
    """Dotted names a file imports, at any depth of nesting."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            assert node.module is not None
            if node.module == "aes67":
                names |= {f"aes67.{alias.name}" for alias in node.names}
            else:
                names.add(node.module)
    return names


def ids(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


@pytest.mark.parametrize(("package", "file"), modules(), ids=ids)
def test_imports_point_downward(package: str, file: Path) -> None:
    assert package in TABLE, f"{package} has no row in the import table"
    ours, third_party = TABLE[package]
    for name in imports(file):
        top = name.split(".")[0]
        if top == "aes67":
            target = name.split(".")[1]
            assert target in ours | {package}, f"{file} imports {name}"
        elif top == "aes67_api":
            assert package == "aes67_api", f"{file} imports {name}"
        elif top not in STANDARD:
            assert top in third_party, f"{file} imports {name}"


@pytest.mark.parametrize(("package", "file"), [row for row in modules() if row[0] in PURE], ids=ids)
def test_pure_packages_have_no_effects(package: str, file: Path) -> None:
    if str(file.relative_to(SOURCE)) in IMPURE:
        return
    for name in imports(file):
        assert name.split(".")[0] not in EFFECTS, f"{file} imports {name}"


@pytest.mark.parametrize("file", sorted(SOURCE.rglob("__init__.py")), ids=ids)
def test_init_files_hold_no_code(file: Path) -> None:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    for node in body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert is_docstring or isinstance(node, ast.ImportFrom), f"{file}: code in __init__"
