"""The programs people use, with their exit codes: playing, recording, both, and no engine."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plugin.harness import Mock, random_frames

RAW = "-t raw -f S16_LE -r 48000 -c 2"
GST = "gst-launch-1.0 -q"
FFMPEG = "ffmpeg -hide_banner -loglevel error -nostdin -y"
SINK = "alsasink device=aes67hw buffer-time=600000 latency-time=50000"
CAPS = "audio/x-raw,format=S16LE,rate=48000,channels=2"

# name of the test, command (DIR is a folder with in.raw and in.wav), text that must not come
TOOLS = {
    "aplay": f"aplay -q -D aes67hw {RAW} DIR/in.raw",
    "aplay wav through plug": "aplay -q -D aes67 DIR/in.wav",
    "aplay mmap nonblock": f"aplay -q -M -N -D aes67hw {RAW} DIR/in.raw",
    "aplay test-position": f"aplay -q --test-position -D aes67hw {RAW} DIR/in.raw",
    "aplay chmap": f"aplay -q --chmap=FL,FR -D aes67hw {RAW} DIR/in.raw",
    "aplay small": f"aplay -q --period-size=96 --buffer-size=9600 -D aes67hw {RAW} DIR/in.raw",
    "arecord": f"arecord -q -D aes67hw {RAW} -d 1 DIR/out.raw",
    "arecord mmap": f"arecord -q -M -D aes67hw {RAW} -d 1 DIR/out.raw",
    "arecord through plug": "arecord -q -t raw -D aes67 -f FLOAT_BE -r 44100 -c 6 -d 1 DIR/out.raw",
    "sox out": "sox -q -t raw -e signed -b 16 -r 48000 -c 2 DIR/in.raw -t alsa aes67",
    "sox in": "sox -q -t alsa -r 48000 -c 2 aes67 DIR/out.wav trim 0 0.5",
    "ffmpeg out": f"{FFMPEG} -f s16le -ar 48000 -ac 2 -i DIR/in.raw -f alsa aes67hw",
    "ffmpeg in": f"{FFMPEG} -f alsa -sample_rate 48000 -channels 2 -i aes67hw -t 0.5 DIR/out.wav",
    "gst out": f"{GST} filesrc location=DIR/in.wav ! wavparse ! alsasink device=aes67hw",
    "gst in": f"{GST} alsasrc device=aes67hw num-buffers=40 ! {CAPS} ! fakesink",
    "gst test": f"{GST} audiotestsrc num-buffers=20 ! alsasink device=aes67",
}


@pytest.fixture(scope="module")
def folder(steady: Mock) -> Path:
    """The steady mock's folder with half a second of sound in it."""
    (steady.folder / "in.raw").write_bytes(random_frames(24000, 4))
    if shutil.which("sox"):
        subprocess.run(
            ["sox", "-q", "-t", "raw", "-e", "signed", "-b", "16", "-r", "48000", "-c", "2"]
            + [str(steady.folder / "in.raw"), str(steady.folder / "in.wav")],
            check=True,
        )
    return steady.folder


@pytest.mark.parametrize("name", TOOLS)
def test_tool(name: str, steady: Mock, folder: Path) -> None:
    command = TOOLS[name].replace("DIR", str(folder)).split()
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    if "in.wav" in TOOLS[name] and not (folder / "in.wav").exists():
        pytest.skip("sox is not installed")
    done = steady.run(*command)
    assert done.returncode == 0, done.stderr
    assert "ALSA lib" not in done.stderr
    assert "xrun" not in done.stderr
    steady.wait_for(lambda stats: not stats["clients"])


def test_alsaloop_between_two_names(steady: Mock) -> None:
    if not shutil.which("alsaloop"):
        pytest.skip("alsaloop is not installed")
    process = steady.popen(["alsaloop", "-C", "aes67hw:2", "-P", "aes67hw:2,2", "-t", "50000"])
    steady.wait_for(lambda stats: stats["streams"] and stats["streams"][0]["played"] > 9600)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


@pytest.mark.parametrize("frames", [256, 64])
def test_jackd(frames: int, steady: Mock) -> None:
    """Runs, full duplex, opens the control device by the PCM's name, and stops on SIGTERM."""
    if not shutil.which("jackd"):
        pytest.skip("jackd is not installed")
    environment = {"JACK_NO_AUDIO_RESERVATION": "1", "JACK_PROMISCUOUS_SERVER": ""}
    name = f"aes67test{frames}"
    process = steady.popen(
        ["jackd", "-n", name, "-r", "-d", "alsa", "-d", "aes67hw:8", "-r", "48000"]
        + ["-p", str(frames), "-n", "4", "-S", "-s"],
        extra=environment,
    )
    try:
        steady.wait_for(lambda stats: stats["streams"] and stats["streams"][0]["played"] > 24000)
        hellos = steady.do("stats")["hellos"]
        assert sorted(hello["direction"] for hello in hellos if not hello["is_control"]) == [0, 1]
    finally:
        process.terminate()
    out, err = process.communicate(timeout=60)
    assert b"control open" not in err
    steady.wait_for(lambda stats: not stats["clients"])


def test_pyalsaaudio(steady: Mock) -> None:
    """Blocking write and read in one process, its own list of names, its mixer."""
    program = """
import alsaaudio as a
assert {"aes67", "aes67hw", "RAVENNA"} <= set(a.pcms(a.PCM_PLAYBACK))
common = dict(device="aes67hw", rate=48000, channels=2, format=a.PCM_FORMAT_S16_LE,
              periodsize=480, periods=8)
out = a.PCM(a.PCM_PLAYBACK, **common)
record = a.PCM(a.PCM_CAPTURE, **common)
for i in range(4):
    assert out.write(bytes(480 * 4)) == 480
for i in range(20):
    assert out.write(bytes(480 * 4)) == 480
    count, data = record.read()
    assert count == 480, count
out.drain() if hasattr(out, "drain") else None
out.close(); record.close()
mixer = a.Mixer("Master", device="aes67")
mixer.setvolume(50)
assert mixer.getmute() == [0]
"""
    pytest.importorskip("alsaaudio")
    done = steady.run(sys.executable, "-c", program)
    assert (done.returncode, done.stderr) == (0, "")


def test_sound_between_different_programs(steady: Mock, folder: Path) -> None:
    """GStreamer plays, ffmpeg records: the bits are the same.

    GStreamer's thread begins with what its ring holds at that moment, and skips as much as it was
    late when it goes by the clock; without one it ends before its ring is empty. So no clock is
    asked, and silence leads in and out.
    """
    if not shutil.which("gst-launch-1.0") or not shutil.which("ffmpeg"):
        pytest.skip("GStreamer or ffmpeg is not installed")
    recorded = folder / "between.raw"
    recorder = steady.popen(
        f"{FFMPEG} -f alsa -sample_rate 48000 -channels 2 -i aes67hw -f s16le {recorded}".split()
    )
    steady.wait_for(lambda _: recorded.exists() and recorded.stat().st_size > 0)
    sent = (folder / "in.raw").read_bytes()
    silence = bytes(4 * 2 * 48000)  # longer than both rings, GStreamer's and the device's
    (folder / "led.raw").write_bytes(silence + sent + silence)
    source = f"filesrc location={folder}/led.raw ! {CAPS},layout=interleaved"
    play = f"{GST} {source} ! {SINK} sync=false"
    assert steady.run(*play.split()).returncode == 0
    steady.wait_for(lambda _: sent in recorded.read_bytes())
    recorder.send_signal(signal.SIGINT)
    recorder.communicate(timeout=60)
