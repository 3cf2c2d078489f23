"""The text of the ALSA configuration, and an environment that uses it without installing it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from aes67.errors import Aes67Error

PCM_LIBRARY = "libasound_module_pcm_aes67.so"
CTL_LIBRARY = "libasound_module_ctl_aes67.so"
TEMPLATE = "aes67.conf"
SYSTEM_CONFIGURATIONS = ("/usr/share/alsa/alsa.conf", "/usr/local/share/alsa/alsa.conf")

LISTING = """
# the streams of the daemon, for `aplay -L`
@hooks.1 {{
	func load
	files [ "{}" ]
	errors false
}}
"""
"""alsa.conf has the hook 0. Hooks count only in files that ALSA_CONFIG_PATH names."""


class AlsaError(Aes67Error):
    """The plugin or alsa-lib's own configuration is not where it must be; says what to do."""


def library_dir() -> Path:
    """Folder of the two plugin libraries: the one this package is installed in.

    Raises:
        AlsaError: they have not been built.
    """
    folder = Path(__file__).parent
    for name in (PCM_LIBRARY, CTL_LIBRARY):
        if not (folder / name).is_file():
            raise AlsaError(
                f"{folder / name} does not exist: install the package (pip install .) with "
                "the C compiler and libasound2-dev in place"
            )
    return folder


def config_text(lib_dir: Path | None = None) -> str:
    """ALSA configuration that defines `aes67`, `aes67hw` and `RAVENNA` (PCM and control).

    Args:
        lib_dir: folder of the plugin libraries; by default `library_dir()`.

    Raises:
        AlsaError: the libraries have not been built, or the folder's name cannot be written in
            an ALSA configuration.
    """
    lib_dir = (library_dir() if lib_dir is None else lib_dir).absolute()
    folder = str(lib_dir)
    if any(character in folder for character in '"\\\n'):
        raise AlsaError(f"{folder!r} has a character that ALSA's configuration cannot quote")
    template = Path(__file__).parent / TEMPLATE
    if not template.is_file():
        raise AlsaError(f"{template} does not exist: install the package (pip install .)")
    return template.read_text(encoding="utf-8").replace("@LIBDIR@", folder)


def system_configuration(environment: Mapping[str, str] = os.environ) -> str:
    """Path of alsa-lib's own `alsa.conf` (or the list in `ALSA_CONFIG_PATH`).

    Raises:
        AlsaError: there is none; names the package that has it.
    """
    if named := environment.get("ALSA_CONFIG_PATH"):
        return named
    candidates: tuple[str, ...] = SYSTEM_CONFIGURATIONS
    if folder := environment.get("ALSA_CONFIG_DIR"):
        candidates = (f"{folder}/alsa.conf", *candidates)
    for path in candidates:
        if Path(path).is_file():
            return path
    raise AlsaError(
        "no alsa.conf: install alsa-lib's data files (Debian, Ubuntu: libasound2-data)"
    )


def private_environment(
    folder: Path, *, server: Path | None = None, lib_dir: Path | None = None
) -> dict[str, str]:
    """Environment in which every ALSA program knows our names, with nothing installed.

    Writes `folder/aes67.conf`; alsa-lib reads it after its own configuration.

    Args:
        folder: an existing folder of the caller's.
        server: socket of the engine to use; default: as the plugin searches.
        lib_dir: folder of the plugin libraries; by default the package's.

    Returns:
        A copy of this process's environment with `ALSA_CONFIG_PATH` (and `AES67_SERVER`) set.

    Raises:
        AlsaError: as `config_text` and `system_configuration`.
    """
    path = folder / TEMPLATE
    streams = (server.parent if server else folder) / "streams.conf"
    path.write_text(config_text(lib_dir) + LISTING.format(streams), encoding="utf-8")
    environment = dict(os.environ)
    environment["ALSA_CONFIG_PATH"] = f"{system_configuration()}:{path}"
    if server is not None:
        environment["AES67_SERVER"] = str(server)
    return environment
