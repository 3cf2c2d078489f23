"""aplay and arecord of aarch64 with an engine of this machine: every sample, over one memory.

`try-aarch64.sh` runs it as `.venv/bin/python packaging/try_aarch64_sound.py ROOT PLUGINS`: the
root folder of the emulated machine, and the folder of the plugins as seen from in there. The
engine is the mock of tests/plugin; its media time goes slowly, for emulated programs are slow.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TREE = Path(__file__).parent.parent
sys.path.insert(0, str(TREE / "tests"))

from plugin.harness import Mock, Nursery  # noqa: E402
from plugin.test_plugin_bits import LIMITS, PAIRWISE, find, payload  # noqa: E402

SPEED = 0.2
TRIES = 3
"""A busy machine may be too late even so."""


def exchange(mock: Mock, root: Path, case: tuple, folder: Path) -> None:
    """Play and record one case; AssertionError when not every bit comes back."""
    form, rate, channels, play, record, device = case
    inside = f"/{folder.relative_to(root)}"
    sent = payload(form, rate // 10, channels)
    (folder / "sent.raw").write_bytes(sent)
    recorded = folder / "recorded.raw"
    common = ["-q", "-t", "raw", "-D", device, "-f", form, "-r", str(rate), "-c", str(channels)]
    recorder = mock.popen(
        ["chroot", str(root), "/usr/bin/arecord", *common, *LIMITS, *record,
         f"{inside}/recorded.raw"]
    )  # fmt: skip
    end = time.monotonic() + 60
    while not (recorded.exists() and recorded.stat().st_size):
        assert recorder.poll() is None, "arecord ended"
        assert time.monotonic() < end, "arecord records nothing"
        time.sleep(0.05)
    done = mock.run(
        "chroot", str(root), "/usr/bin/aplay", *common, *LIMITS, *play, f"{inside}/sent.raw",
        timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    time.sleep(0.2 / SPEED)
    recorder.send_signal(signal.SIGINT)
    recorder.communicate(timeout=60)
    find(recorded.read_bytes(), sent)


def attempt(root: Path, plugins: str, case: tuple) -> str:
    """One case on an engine of its own; what went wrong, or nothing."""
    with tempfile.TemporaryDirectory(dir=root / "tmp") as name:
        folder = Path(name)
        inside = f"/{folder.relative_to(root)}"
        mock = Mock(folder, "--rate", str(case[1]), "--speed", str(SPEED))
        text = (TREE / "alsa_plugin" / "aes67.conf").read_text(encoding="utf-8")
        (folder / "aes67.conf").write_text(text.replace("@LIBDIR@", plugins), encoding="utf-8")
        mock.environment |= {
            "ALSA_CONFIG_PATH": f"/usr/share/alsa/alsa.conf:{inside}/aes67.conf",
            "AES67_SERVER": f"{inside}/alsa.sock",
        }
        with mock:
            try:
                exchange(mock, root, case, folder)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                return str(error).splitlines()[0]
    return ""


def main() -> int:
    """0 when all cases are exact."""
    root, plugins = Path(sys.argv[1]), sys.argv[2]
    Mock.nursery = Nursery()
    bad = 0
    for case in PAIRWISE:
        said = "no try"
        for _ in range(TRIES):
            said = attempt(root, plugins, case)
            if not said:
                break
        bad += bool(said)
        print(f"{'FAILED: ' + said if said else 'exact'}  {case}", flush=True)
    Mock.nursery.close()
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
