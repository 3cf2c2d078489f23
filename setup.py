"""Builds the two ALSA plugins into the package and tags the wheel `py3-none-<platform>`.

They are plain shared libraries loaded by libasound, not Python extensions: no Python header, no
Python ABI in the name, libasound itself never bundled. Everything else is in pyproject.toml.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

PLUGIN = "alsa_plugin"
SHARED = ["grant.c", "link.c", "params.c"]
LIBRARIES = {
    "libasound_module_pcm_aes67": [
        "pcm_aes67.c", "callbacks.c", "chmap.c", "hw_params.c", "life.c", "motion.c", "names.c",
        "samples.c", *SHARED,
    ],
    "libasound_module_ctl_aes67": ["ctl_aes67.c", *SHARED],
}
CONFIGURATION = "aes67.conf"
FLAGS = [
    "-std=c11", "-O2", "-g", "-fPIC", "-DPIC", "-shared", "-fvisibility=hidden",
    "-Wall", "-Wextra", "-Wshadow",
]

NO_COMPILER = """
No C compiler was found (tried: {compiler}). The ALSA plugin is C.
  Debian, Ubuntu:  apt-get install gcc libc6-dev libasound2-dev
  Fedora:          dnf install gcc alsa-lib-devel
"""
NO_HEADERS = """
The headers of alsa-lib are missing; the ALSA plugin needs them.
  Debian, Ubuntu:  apt-get install libasound2-dev
  Fedora:          dnf install alsa-lib-devel
The compiler said:
{error}
"""


def compiler() -> list[str]:
    """$CC with its arguments, else cc, gcc or clang; SystemExit with the packages to install."""
    if named := os.environ.get("CC"):
        command = shlex.split(named)
        if shutil.which(command[0]):
            return command
        raise SystemExit(NO_COMPILER.format(compiler=f"$CC = {named}"))
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    raise SystemExit(NO_COMPILER.format(compiler="cc, gcc, clang"))


def check_headers(command: list[str]) -> None:
    """SystemExit with the package to install when a program cannot include and link alsa-lib."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text(
            "#include <alsa/asoundlib.h>\n#include <alsa/pcm_external.h>\n"
            "int main(void) { return !snd_asoundlib_version(); }\n"
        )
        probe = [*command, str(source), "-o", str(Path(folder) / "probe"), "-lasound"]
        done = subprocess.run(probe, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(NO_HEADERS.format(error=done.stderr.strip()))


class BuildPlugins(build_ext):
    """Compiles with one call of the C compiler for each library."""

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", os.sep) + ".so"

    def run(self) -> None:
        check_headers(compiler())
        super().run()
        folder = Path(self.get_ext_fullpath(self.extensions[0].name)).parent
        shutil.copyfile(Path(PLUGIN) / CONFIGURATION, folder / CONFIGURATION)

    def build_extension(self, ext: Extension) -> None:
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        compile_flags = shlex.split(os.environ.get("CFLAGS", ""))
        link_flags = shlex.split(os.environ.get("LDFLAGS", ""))
        command = [*compiler(), *FLAGS, *compile_flags, *ext.sources, "-o", str(target)]
        # --no-undefined: a missing symbol fails here, not inside an application
        command += [*link_flags, "-Wl,--no-undefined", "-lasound", "-lpthread"]
        print(shlex.join(command))
        if subprocess.run(command, check=False).returncode != 0:
            raise SystemExit(f"the ALSA plugin did not compile: {ext.name}")

    def get_outputs(self) -> list[str]:
        outputs = super().get_outputs()
        return [*outputs, str(Path(outputs[0]).parent / CONFIGURATION)]

    def get_output_mapping(self) -> dict[str, str]:
        mapping = super().get_output_mapping()
        if mapping:
            built, source = next(iter(mapping.items()))
            mapping[str(Path(built).parent / CONFIGURATION)] = str(
                Path(source).parent / CONFIGURATION
            )
        return mapping


class PlatformWheel(bdist_wheel):
    """Any Python 3, this platform: the libraries know no Python."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[
        Extension(f"aes67.alsa.{name}", [f"{PLUGIN}/{file}" for file in files])
        for name, files in LIBRARIES.items()
    ],
    cmdclass={"build_ext": BuildPlugins, "bdist_wheel": PlatformWheel},
)
