"""Fixtures of the plugin's tests: libraries as setup.py builds them, the mock, a C program."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin.harness import HERE, Mock, Nursery, build_plugins, short_folder


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with both plugins, compiled as for a user but with warnings as errors."""
    return build_plugins(tmp_path_factory.mktemp("plugin"), "-Werror")


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[None]:
    """Where mock engines come from."""
    Mock.nursery = Nursery()
    yield
    Mock.nursery.close()


@pytest.fixture(scope="session")
def semantics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of cases, see semantics.c."""
    program = tmp_path_factory.mktemp("semantics") / "semantics"
    flags = ["-std=c11", "-g", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
    command = ["gcc", *flags, str(HERE / "semantics.c"), "-o", str(program)]
    subprocess.run([*command, "-lasound", "-lpthread"], check=True)
    return program


@pytest.fixture(scope="module")
def steady(libraries: Path) -> Iterator[Mock]:
    """One mock engine for all tests of a file that leave it as it was."""
    with short_folder() as folder, Mock(folder, lib_dir=libraries) as mock:
        yield mock


@pytest.fixture
def mocks(libraries: Path) -> Iterator[Callable[..., Mock]]:
    """Start any number of mock engines with given arguments; all end with the test."""
    started: list[Mock] = []
    with short_folder() as folder:

        def start(*arguments: str, lib_dir: Path = libraries) -> Mock:
            own = folder / str(len(started))
            own.mkdir()
            mock = Mock(own, *arguments, lib_dir=lib_dir)
            started.append(mock)
            return mock.start()

        yield start
        for mock in started:
            mock.close()


@pytest.fixture
def mock(mocks: Callable[..., Mock]) -> Mock:
    """One mock engine: 48 kHz, 64 channels, real time."""
    return mocks()
