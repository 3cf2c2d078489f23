"""Starting and stopping the tick: rights, the cache of compiled code, index checks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import aes67
from aes67.engine.clock_page import ClockPage, MediaRecord
from aes67.engine.engine import Engine
from aes67.shm.layout import CLOCK, CLOCK_MAGIC, PAGE_BYTES, TELEMETRY_MAGIC
from aes67.shm.region import create, telemetry_views

ROOT = Path(__file__).parent.parent.parent


def environment(**changes: str) -> dict[str, str]:
    """Ours, without the cache directory that this process has chosen for itself."""
    return {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | changes


def python(code: str, prefix: tuple[str, ...] = (), **changes: str) -> str:
    """Output of a fresh interpreter that runs `code`."""
    done = subprocess.run(
        [*prefix, sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_pages_are_valid_before_anything_runs() -> None:
    engine = Engine(lock_memory=False)
    page = engine.clock.view(CLOCK)[0]
    assert page["magic"] == CLOCK_MAGIC
    assert page["generation"] == engine.generation != 0
    record = engine.clock_page.media()
    assert record.epoch == 1
    assert abs(record.media_ns - record.raw_ns) > 0
    assert page["mono_ns"] > 0
    assert page["tick_ns"] == 250_000
    assert telemetry_views(engine.telemetry)["engine"][0]["magic"] == TELEMETRY_MAGIC
    assert (engine.plan, engine.bus, engine.realtime, engine.warnings) == (None, None, False, [])


def test_two_engines_have_two_generations() -> None:
    assert Engine(lock_memory=False).generation != Engine(lock_memory=False).generation


@pytest.mark.timeout(600)
def test_the_tick_keeps_the_clock_page_alive_and_ends_when_told() -> None:
    engine = Engine(lock_memory=False)
    for _ in range(2):
        engine.start()
        page = engine.clock.view(CLOCK)[0]
        before = int(page["mono_ns"])
        counters = telemetry_views(engine.telemetry)["engine"][0]
        ticks = int(counters["ticks"])
        while counters["ticks"] < ticks + 10:
            time.sleep(0.001)
        assert page["mono_ns"] > before
        assert page["mono_seq"] % 2 == 0
        engine.stop()
        ticks = int(counters["ticks"])
        assert "aes67-tick" not in [thread.name for thread in threading.enumerate()]
        assert counters["ticks"] == ticks


def test_a_program_that_forgets_to_stop_the_engine_ends_all_the_same() -> None:
    python(
        "from aes67.engine.engine import Engine; Engine(lock_memory=False).start(); print('end')"
    )


def test_readers_never_see_a_mixture_of_two_records() -> None:
    region = create("test-clock", PAGE_BYTES, read_only_for_others=True)
    page = ClockPage(region, 1)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            page.publish_media(MediaRecord(*[number] * 7))

    page.publish_media(MediaRecord(*[0] * 7))
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3000):
            record = page.media()
            assert len({record.raw_ns, record.media_ns, record.rate_q40, record.session_epoch}) == 1
    finally:
        stop.set()
        writer.join()


@pytest.mark.root
def test_without_the_rights_there_is_one_clear_warning() -> None:
    dropped = ("setpriv", "--bounding-set=-sys_nice,-ipc_lock")
    code = """
import resource
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
from aes67.engine.engine import Engine
engine = Engine()
engine.start()
print(engine.realtime, len(engine.warnings), *engine.warnings)
engine.stop()
"""
    words = python(code, dropped)
    assert words.startswith("False 1 ")
    for part in ("SCHED_FIFO", "65536 bytes", "CAP_SYS_NICE", "CAP_IPC_LOCK"):
        assert part in words


@pytest.mark.root
def test_with_the_rights_there_is_no_warning() -> None:
    code = """
import os, threading
from aes67.engine.engine import Engine
engine = Engine(priority=42)
engine.start()
for task in os.listdir('/proc/self/task'):
    if open(f'/proc/self/task/{task}/comm').read() == 'aes67-tick\\n':
        print(os.sched_getscheduler(int(task)) == os.SCHED_FIFO,
              os.sched_getparam(int(task)).sched_priority)
print(engine.realtime, engine.warnings)
print([line for line in open('/proc/self/status') if line.startswith('VmLck')])
engine.stop()
"""
    words = python(code).splitlines()
    assert words[:2] == ["True 42", "True []"]
    assert "VmLck:\t       0 kB" not in words[2]


@pytest.mark.root
@pytest.mark.peer("prlimit", "setpriv")
def test_the_rights_of_the_unit_are_enough() -> None:
    """Its limits, where root may raise limits (not in every container), and its capabilities."""
    unit = dict(
        line.split("=", 1) for line in (ROOT / "packaging/aes67.service").read_text().splitlines()
        if line[:1].isalpha() and "=" in line
    )  # fmt: skip
    limits = ["prlimit", f"--rtprio={unit['LimitRTPRIO']}",
              f"--memlock={unit['LimitMEMLOCK'].replace('infinity', 'unlimited')}"]  # fmt: skip
    raised = not subprocess.run([*limits, "true"], capture_output=True, check=False).returncode
    names = unit["CapabilityBoundingSet"].lower().replace("cap_", "+").replace(" ", ",")
    rights = [*(limits if raised else []), "setpriv", f"--bounding-set=-all,{names}"]
    code = """
import json, resource
from aes67.engine.engine import Engine
engine = Engine()
engine.start()
lines = dict(line.split(":", 1) for line in open("/proc/self/status") if line[:1].isalpha())
limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
print(json.dumps({"warnings": engine.warnings, "realtime": engine.realtime,
                  "effective": lines["CapEff"].strip(), "locked": int(lines["VmLck"].split()[0]),
                  "unlimited": limit == resource.RLIM_INFINITY}))
engine.stop()
"""
    found = json.loads(python(code, tuple(rights)))
    assert found["effective"] == f"{1 << 10 | 1 << 23:016x}", "net_bind_service, sys_nice"
    assert found["realtime"]
    if found["unlimited"]:
        assert found["warnings"] == []
        assert found["locked"] > 0
    else:
        assert not raised
        [warning] = found["warnings"]
        assert "locked memory is limited" in warning
        assert "SCHED_FIFO" not in warning


def test_a_second_start_compiles_nothing() -> None:
    """The first Engine of this run has filled the cache; another process only reads it."""
    Engine(lock_memory=False).start()
    code = """
from aes67.engine.engine import Engine
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, event): compiled.append(event.data['dispatcher'].py_func.__qualname__)
    def on_end(self, event): pass
event.register('numba:compile', Listener())
engine = Engine(lock_memory=False)
engine.start()
engine.clock_page.media()
engine.stop()
print(compiled)
"""
    assert python(code).strip() == "[]"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package that may be edited."""
    package = tmp_path / "aes67"
    source = Path(aes67.__file__).parent
    shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    return package


def test_an_edited_kernel_is_never_stale(copy: Path) -> None:
    """`pack` stands in pcm.py, what is edited in words.py, which Numba's own cache cannot see."""
    code = f"""
import sys
sys.path.insert(0, {str(copy.parent)!r})
import numpy as np
from aes67.media import pcm
assert pcm.__file__.startswith({str(copy)!r})
words = np.zeros(4, np.int32)
pcm.pack_l24(words, np.array([0x01020304], np.int32))
print(words.tobytes()[:3].hex(), pcm.pack_l24.stats.cache_hits)
"""
    cache = str(copy.parent / "cache")
    assert python(code, AES67_CACHE_DIR=cache) == "010203 Counter()\n"
    assert python(code, AES67_CACHE_DIR=cache).startswith("010203 Counter({(")
    file = copy / "media" / "words.py"
    edited = file.read_text().replace("((value >> 24) & 0xFF)", "((value >> 25) & 0x7F)")
    assert edited != file.read_text()
    file.write_text(edited)
    assert python(code, AES67_CACHE_DIR=cache) == "000203 Counter()\n"


@pytest.mark.root
@pytest.mark.skipif("NUMBA_BOUNDSCHECK" in os.environ, reason="already inside")
@pytest.mark.timeout(600)
def test_no_index_of_the_tick_is_out_of_bounds() -> None:
    """Samples, wild tables, hostile clients and datagrams: a violation would end the tick."""
    here = Path(__file__).parent
    files = [str(here / f"test_tick_{name}.py") for name in ("samples", "swap", "wire")]
    chosen = "played or summed or maps or wild or hostile or legs or several or jump"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider",
         "--hypothesis-profile=quick", "-k", chosen, *files],
        cwd=ROOT, env=environment(NUMBA_BOUNDSCHECK="1"), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
