"""Installing our names into an ALSA configuration, and taking exactly that away again."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.alsa import config
from aes67.alsa import install as alsa

TEMPLATE = Path(__file__).parent.parent.parent / "alsa_plugin" / config.TEMPLATE


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that looks like the package's: both libraries and the configuration."""
    folder = tmp_path / "package"
    folder.mkdir()
    for name in (config.PCM_LIBRARY, config.CTL_LIBRARY):
        (folder / name).write_bytes(b"\x7fELF")
    shutil.copy(TEMPLATE, folder)
    monkeypatch.setattr(config, "__file__", str(folder / "config.py"))
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def test_text_names_the_libraries(libraries: Path) -> None:
    text = config.config_text()
    assert f'lib "{libraries}/{config.PCM_LIBRARY}"' in text
    assert f'lib "{libraries}/{config.CTL_LIBRARY}"' in text
    assert "@LIBDIR@" not in text


def test_text_for_another_folder(libraries: Path, tmp_path: Path) -> None:
    assert f'lib "{tmp_path}/x y/{config.PCM_LIBRARY}"' in config.config_text(tmp_path / "x y")
    with pytest.raises(config.AlsaError, match="cannot quote"):
        config.config_text(tmp_path / 'a"b')


def test_missing_libraries_say_what_to_do(libraries: Path) -> None:
    (libraries / config.CTL_LIBRARY).unlink()
    with pytest.raises(config.AlsaError, match=r"libasound2-dev"):
        config.config_text()


def test_missing_alsa_configuration_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "SYSTEM_CONFIGURATIONS", ("/nowhere/alsa.conf",))
    with pytest.raises(config.AlsaError, match="libasound2-data"):
        config.system_configuration({})
    assert config.system_configuration({"ALSA_CONFIG_PATH": "/a:/b"}) == "/a:/b"


def test_private_environment(libraries: Path, tmp_path: Path) -> None:
    environment = config.private_environment(tmp_path, server=tmp_path / "alsa.sock")
    paths = environment["ALSA_CONFIG_PATH"].split(":")
    assert paths[-1] == str(tmp_path / config.TEMPLATE)
    assert Path(paths[0]).is_file()
    assert environment["AES67_SERVER"] == str(tmp_path / "alsa.sock")


def test_system_file_is_written_and_removed(libraries: Path, tmp_path: Path, home: Path) -> None:
    file = tmp_path / "etc" / "alsa" / "conf.d" / "60-aes67.conf"
    assert alsa.install(True, system_file=file) == [f"wrote {file}"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert alsa.install(True, system_file=file) == [f"{file} is up to date"]
    found = alsa.status(system_file=file)
    assert found == alsa.Status(file, None, ())
    assert found.is_installed
    assert alsa.remove(system_file=file) == [f"deleted {file}"]
    assert alsa.remove(system_file=file) == []
    assert not file.exists()
    assert not alsa.status(system_file=file).is_installed


def test_foreign_system_file_is_not_touched(libraries: Path, tmp_path: Path, home: Path) -> None:
    file = tmp_path / "60-aes67.conf"
    file.write_text("pcm.aes67 { type null }\n")
    with pytest.raises(config.AlsaError, match="not written by us"):
        alsa.install(True, system_file=file)
    assert alsa.remove(system_file=file) == []
    assert file.read_text() == "pcm.aes67 { type null }\n"


def test_moved_package_is_noticed_and_renewed(
    libraries: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "60-aes67.conf"
    alsa.install(True, system_file=file)
    moved = tmp_path / "moved"
    shutil.move(libraries, moved)
    found = alsa.status(system_file=file)
    assert not found.is_installed
    assert found.missing_libraries == (
        str(libraries / config.CTL_LIBRARY),
        str(libraries / config.PCM_LIBRARY),
    )
    monkeypatch.setattr(config, "__file__", str(moved / "config.py"))
    assert alsa.install(True, system_file=file) == [f"wrote {file}"]
    assert alsa.status(system_file=file).is_installed


def test_user_without_a_file(libraries: Path, home: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "none"
    file = home / ".asoundrc"
    assert alsa.install(False) == [f"added our block to {file}"]
    assert alsa.status(system_file=nothing).user_file == file
    assert alsa.remove(system_file=nothing) == [f"took our block out of {file}"]
    assert not file.exists()


CONTENT = st.one_of(
    st.binary(max_size=200),
    st.text(alphabet="pcm.!{}#\n\"'<> ", max_size=80).map(str.encode),
)


@given(before=CONTENT, after=CONTENT)
def test_users_content_survives_byte_for_byte(
    before: bytes, after: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever stood there, also when the user wrote below our block since."""
    if alsa.BEGIN.encode() in before + after:
        return
    folder = tmp_path_factory.mktemp("user")
    file, none = folder / ".asoundrc", folder / "none"
    file.write_bytes(before)
    alsa.install(False, lib_dir=folder, own_file=file)
    alsa.install(False, lib_dir=folder / "renewed", own_file=file)
    content = file.read_bytes()
    assert content.startswith(before)
    assert content.count(alsa.BEGIN.encode()) == 1
    file.write_bytes(content + after)
    alsa.remove(system_file=none, own_file=file)
    end = b"" if not before or before.endswith(b"\n") else b"\n"
    left = file.read_bytes() if file.exists() else b""
    assert left == before + end + after


def test_link_and_mode_of_the_users_file_stay(libraries: Path, home: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles-asoundrc"
    target.write_text("defaults.pcm.card 1\n")
    target.chmod(0o600)
    (home / ".asoundrc").symlink_to(target)
    alsa.install(False)
    assert (home / ".asoundrc").is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    alsa.remove(system_file=tmp_path / "none")
    assert target.read_text() == "defaults.pcm.card 1\n"


def test_failed_write_changes_nothing(
    libraries: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / ".asoundrc"
    file.write_text("defaults.pcm.card 1\n")

    def fail(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        alsa.install(False)
    assert [path.name for path in home.iterdir()] == [".asoundrc"]
    assert file.read_text() == "defaults.pcm.card 1\n"


def listing(environment: dict[str, str]) -> list[str]:
    bare = {key: value for key, value in os.environ.items() if not key.startswith("ALSA_")}
    done = subprocess.run(
        ["aplay", "-L"], env=bare | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.peer("aplay")
def test_alsa_lib_reads_what_is_installed_for_a_user(home: Path, tmp_path: Path) -> None:
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}
    before = listing(own)
    alsa.install(False, lib_dir=tmp_path)
    assert {"aes67", "aes67hw", "RAVENNA"} <= set(listing(own))
    alsa.remove(system_file=tmp_path / "none")
    assert listing(own) == before


@pytest.mark.peer("aplay", "unshare")
@pytest.mark.root
def test_alsa_lib_reads_what_is_installed_for_all(
    tmp_path: Path, in_mount_namespace: Callable[[str], list[str]]
) -> None:
    """With the real path, on a copy of /etc that only this test sees."""
    lines = in_mount_namespace(
        "from aes67.alsa import install as alsa; from pathlib import Path; "
        f"print(alsa.install(True, lib_dir=Path('{tmp_path}')))"
    )
    assert {"aes67", "aes67hw", "RAVENNA"} <= set(lines)
    assert not alsa.SYSTEM_FILE.exists()


def test_a_home_that_cannot_be_written_is_named(libraries: Path, home: Path) -> None:
    """The file the user knows, not the temporary one beside it."""
    home.rmdir()
    with pytest.raises(OSError, match="cannot be written") as caught:
        alsa.install(False)
    assert caught.value.filename == str(home / ".asoundrc")


def test_a_users_block_goes_though_the_systems_file_is_roots(
    libraries: Path, home: Path, tmp_path: Path
) -> None:
    """As a user: root without its capabilities meets the same "permission denied"."""
    file = tmp_path / "conf.d" / "60-aes67.conf"
    alsa.install(True, system_file=file)
    alsa.install(False)
    file.parent.chmod(0o500)
    statement = (
        "import pathlib, aes67.alsa.install as alsa\n"
        f"print(*alsa.remove(system_file=pathlib.Path({str(file)!r})), sep='\\n')"
    )
    bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*bare, sys.executable, "-c", statement], capture_output=True, text=True, check=False
    )
    file.parent.chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"took our block out of {home / '.asoundrc'}",
        f"{file} stays: root takes it away (sudo aes67 alsa remove)",
    ]
    assert file.exists()
    assert not (home / ".asoundrc").exists()
