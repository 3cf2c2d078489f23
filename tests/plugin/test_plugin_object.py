"""The built libraries as objects: what they export and need, and what setup.py says and builds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from plugin.harness import ROOT, SOURCE, Mock

ENTRIES = {
    "libasound_module_pcm_aes67.so": {"_snd_pcm_aes67_open", "__snd_pcm_aes67_open_dlsym_pcm_001"},
    "libasound_module_ctl_aes67.so": {
        "_snd_ctl_aes67_open",
        "__snd_ctl_aes67_open_dlsym_control_001",
    },
}


def lines_of(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("name", ENTRIES)
def test_exports_are_the_entry_and_its_version(name: str, libraries: Path) -> None:
    lines = lines_of("nm", "-D", "--defined-only", str(libraries / name))
    assert {line.split()[-1] for line in lines} == ENTRIES[name]


@pytest.mark.parametrize("name", ENTRIES)
def test_needs_only_alsa_and_libc(name: str, libraries: Path) -> None:
    lines = lines_of("readelf", "-d", str(libraries / name))
    needed = {line.split("[")[1].rstrip("]") for line in lines if "(NEEDED)" in line}
    assert needed == {"libasound.so.2", "libc.so.6"}


def test_writes_nothing_to_the_standard_streams(mock: Mock) -> None:
    """`sox -t wav -` and the like would be corrupted."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    done = mock.run(
        "strace", "-f", "-e", "trace=write,writev", "-o", str(mock.folder / "trace"),
        "arecord", "-q", "-D", "aes67hw", "-f", "S16_LE", "-r", "48000", "-c", "2", "-d", "1",
        "-t", "raw", "/dev/null", timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    trace = (mock.folder / "trace").read_text()
    assert not [line for line in trace.splitlines() if "(1, " in line or "(2, " in line]


def test_other_compilers_warnings(tmp_path: Path) -> None:
    """Clang sees other things than GCC; neither may see anything."""
    if not shutil.which("clang"):
        pytest.skip("clang is not installed")
    flags = ["-std=c11", "-fsyntax-only", "-DPIC", "-fPIC", "-Wall", "-Wextra", "-Wshadow"]
    flags += ["-Wconversion", "-Wno-sign-conversion", "-Wpointer-arith", "-Wcast-qual", "-Werror"]
    files = [str(file) for file in sorted(SOURCE.glob("*.c"))]
    done = subprocess.run(["clang", *flags, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def build(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(tmp_path)]
    return subprocess.run(
        [*command, "--build-temp", str(tmp_path)],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_missing_compiler_names_the_package(tmp_path: Path) -> None:
    done = build(tmp_path, CC="", PATH=str(tmp_path))
    assert done.returncode != 0
    assert "apt-get install gcc libc6-dev libasound2-dev" in done.stderr
    assert "Traceback" not in done.stderr
    assert "$CC = /no/such/cc" in build(tmp_path, CC="/no/such/cc -m64").stderr


def test_missing_headers_name_the_package(tmp_path: Path) -> None:
    """A compiler that does not find alsa/asoundlib.h."""
    compiler = tmp_path / "cc"
    compiler.write_text(
        "#!/bin/sh\necho 'probe.c:1:10: fatal error: alsa/asoundlib.h: No such file' >&2\nexit 1\n"
    )
    compiler.chmod(0o755)
    done = build(tmp_path, CC=str(compiler))
    assert done.returncode != 0
    assert "apt-get install libasound2-dev" in done.stderr
    assert "alsa/asoundlib.h: No such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_wheel_holds_the_libraries_for_any_python(tmp_path: Path) -> None:
    """`py3-none-<platform>`, both libraries, the configuration, and no libasound."""
    command = [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", str(tmp_path)]
    copy = tmp_path / "source"
    names = (".*", "build", "dist", "tests", "bench", "docs", "*.so", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*names))
    (copy / "src" / "aes67" / "alsa" / "aes67.conf").unlink(missing_ok=True)
    environment = os.environ | {"CFLAGS": "-O0"}
    done = subprocess.run(
        command, cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert "-py3-none-linux_" in wheel.name
    files = zipfile.ZipFile(wheel).namelist()
    shared = {name for name in files if ".so" in name}
    assert shared == {f"aes67/alsa/{name}" for name in ENTRIES}
    assert "aes67/alsa/aes67.conf" in files
