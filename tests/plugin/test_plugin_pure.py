"""Clock, position and sample arithmetic of the plugin, called directly, against exact integers."""

from __future__ import annotations

import math
import subprocess
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from cffi import FFI
from hypothesis import given
from hypothesis import strategies as st

from aes67.shm import layout
from plugin.harness import HERE, SOURCE

RATES = [44100, 48000, 88200, 96000, 176400, 192000, 352800, 384000]
UNIT = 1 << layout.RATE_FRACTION_BITS
NEVER = 2**63 - 1
LIMIT = 2**62
I64 = st.integers(-(2**63), 2**63 - 1)
TAI = st.integers(0, 4 * 10**18)
RATE = st.sampled_from(RATES)


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The functions, with undefined behaviour made fatal."""
    library = tmp_path_factory.mktemp("pure") / "pure.so"
    flags = ["-std=c11", "-O1", "-shared", "-fPIC", "-Wall", "-Wextra", "-Wshadow", "-Werror"]
    flags += ["-fsanitize=undefined", "-fno-sanitize-recover=all", "-static-libubsan"]
    source = [f"-I{SOURCE}", str(HERE / "pure.c")]
    subprocess.run(["gcc", *flags, *source, "-o", str(library)], check=True)
    ffi = FFI()
    ffi.cdef(
        """
        struct clock_line { int64_t raw_ns, media_ns, rate_q40, epoch, state, mono_ns,
                            mono_raw_ns, tick_ns, heartbeat_ns; };
        int64_t pure_media_ns(const struct clock_line *, int64_t);
        int64_t pure_mono_ns(const struct clock_line *, int64_t);
        int64_t pure_frame(int64_t, int64_t);
        int64_t pure_frame_ns(int64_t, int64_t);
        int64_t pure_grid_frame(int64_t, int64_t, int64_t);
        int pure_read(const void *, struct clock_line *);
        int64_t pure_linear(int64_t, uint64_t, uint64_t);
        int64_t pure_reported(int64_t, int64_t, int64_t, int64_t);
        int64_t pure_power_of_two(int64_t);
        void pure_in(unsigned, int32_t *, const void *, size_t);
        void pure_out(unsigned, void *, size_t, const int32_t *, size_t);
        """
    )
    lib = ffi.dlopen(str(library))
    lib_and_ffi = type("Pure", (), {"lib": lib, "ffi": ffi})
    return lib_and_ffi


def line_of(pure: Any, raw: int, media: int, rate: int, mono: int, mono_raw: int) -> Any:
    line = pure.ffi.new("struct clock_line *")
    line.raw_ns, line.media_ns, line.rate_q40 = raw, media, rate
    line.mono_ns, line.mono_raw_ns = mono, mono_raw
    return line


LINES = st.tuples(
    st.integers(0, 10**16),
    st.integers(10**18, 3 * 10**18),
    st.integers(-(2**30), 2**30),
    st.integers(0, 10**16),
    st.integers(0, 10**16),
)


@given(LINES, st.integers(-(10**12), 10**12))
def test_media_time_is_the_documented_line(pure: Any, values: Any, offset: int) -> None:
    raw, media, rate, mono, mono_raw = values
    now = mono + offset
    since = now + mono_raw - mono - raw
    expected = media + since + (since * rate >> layout.RATE_FRACTION_BITS)
    expected = min(max(expected, 0), LIMIT)
    assert pure.lib.pure_media_ns(line_of(pure, *values), now) == expected


@given(LINES, st.integers(-(10**10), 10**10))
def test_wake_up_is_the_first_instant_that_is_late_enough(
    pure: Any, values: Any, offset: int
) -> None:
    line = line_of(pure, *values)
    media = max(0, pure.lib.pure_media_ns(line, values[3]) + offset)
    mono = pure.lib.pure_mono_ns(line, media)
    if mono > 0:
        assert pure.lib.pure_media_ns(line, mono) >= media
        assert pure.lib.pure_media_ns(line, mono - 1) < media


@given(st.tuples(I64, I64, I64, I64, I64), I64)
def test_no_page_makes_the_arithmetic_overflow(pure: Any, values: Any, instant: int) -> None:
    line = line_of(pure, *values)
    assert 0 <= pure.lib.pure_media_ns(line, instant) <= LIMIT
    assert 0 <= pure.lib.pure_mono_ns(line, instant) <= NEVER


def test_a_clock_that_stands_still_never_wakes(pure: Any) -> None:
    line = line_of(pure, 0, 10**18, -UNIT, 0, 0)
    assert pure.lib.pure_media_ns(line, 10**12) == 10**18
    assert pure.lib.pure_mono_ns(line, 10**18 + 1) == NEVER


@given(TAI, RATE)
def test_frame_is_the_exact_floor(pure: Any, media: int, rate: int) -> None:
    frame = pure.lib.pure_frame(media, rate)
    assert frame == math.floor(Fraction(media * rate, 10**9))
    begin = pure.lib.pure_frame_ns(frame, rate)
    assert begin <= media
    assert pure.lib.pure_frame(begin, rate) == frame
    assert begin == 0 or pure.lib.pure_frame(begin - 1, rate) == frame - 1


@given(TAI, st.sampled_from([125_000, 250_000, 1_000_000, 333_333, 1]), RATE)
def test_starts_lie_on_the_grid(pure: Any, media: int, grid: int, rate: int) -> None:
    frame = pure.lib.pure_grid_frame(media, grid, rate)
    instant = (media // grid + 1) * grid
    assert frame == math.ceil(Fraction(instant * rate, 10**9))


@given(
    st.integers(0, 2**62), st.integers(-(2**20), 2**20),
    st.sampled_from([2**30 // 4800 * 4800, 4800 << 49, 12, 48000 << 40]),
)  # fmt: skip
def test_linear_position_over_the_boundary(
    pure: Any, position: int, moved: int, boundary: int
) -> None:
    target = position + moved
    if target >= 0 and abs(moved) <= (boundary - 1) // 2:
        assert pure.lib.pure_linear(position, target % boundary, boundary) == target


@given(
    st.integers(-(10**6), 10**15), st.integers(0, 10**15), st.integers(0, 10**15),
    st.integers(1, 48),
)  # fmt: skip
def test_reported_position(pure: Any, exact: int, last: int, target: int, quantum: int) -> None:
    position = pure.lib.pure_reported(exact, last, target, quantum)
    assert position >= last
    assert position <= max(exact, last)
    assert exact - position < quantum or position == last
    if target <= exact:
        assert position >= target


@given(st.integers(1, 2**40))
def test_power_of_two(pure: Any, frames: int) -> None:
    assert pure.lib.pure_power_of_two(frames) == 1 << (frames - 1).bit_length()


INT32 = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=70)


def to_ring(pure: Any, form: str, data: bytes, count: int) -> list[int]:
    out = pure.ffi.new("int32_t[]", count)
    pure.lib.pure_in(layout.FORMATS.index(form), out, pure.ffi.from_buffer(data), count)
    return list(out)


def from_ring(pure: Any, form: str, values: list[int], width: int, stride: int) -> bytes:
    out = pure.ffi.new("char[]", len(values) * stride)
    samples = pure.ffi.new("int32_t[]", values)
    pure.lib.pure_out(layout.FORMATS.index(form), out, stride, samples, len(values))
    whole = bytes(pure.ffi.buffer(out))
    return b"".join(whole[i * stride : i * stride + width] for i in range(len(values)))


@given(INT32, st.integers(0, 9))
def test_integer_formats(pure: Any, values: list[int], gap: int) -> None:
    expected = {
        "S16_LE": b"".join((v >> 16).to_bytes(2, "little", signed=True) for v in values),
        "S24_3LE": b"".join((v >> 8).to_bytes(3, "little", signed=True) for v in values),
        "S24_LE": b"".join((v >> 8).to_bytes(4, "little", signed=True) for v in values),
        "S32_LE": b"".join(v.to_bytes(4, "little", signed=True) for v in values),
    }
    lost = {"S16_LE": 16, "S24_3LE": 8, "S24_LE": 8, "S32_LE": 0}
    for form, data in expected.items():
        width = len(data) // len(values)
        assert from_ring(pure, form, values, width, width + gap) == data
        kept = [v >> lost[form] << lost[form] for v in values]
        assert to_ring(pure, form, data, len(values)) == kept


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=70))
def test_s24_in_four_bytes_ignores_the_top_byte(pure: Any, words: list[int]) -> None:
    data = np.array(words, "<u4").tobytes()
    expected = [((w & 0xFFFFFF) << 8) - ((w & 0x800000) << 9) for w in words]
    assert to_ring(pure, "S24_LE", data, len(words)) == expected


@given(st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=70))
def test_24_bits_survive_float(pure: Any, values: list[int]) -> None:
    ring = [v << 8 for v in values]
    data = from_ring(pure, "FLOAT_LE", ring, 4, 4)
    assert np.frombuffer(data, "<f4").tolist() == [v / 2**23 for v in values]
    assert to_ring(pure, "FLOAT_LE", data, len(values)) == ring


@given(st.lists(st.floats(width=32), min_size=1, max_size=70))
def test_float_saturates_and_never_traps(pure: Any, values: list[float]) -> None:
    got = to_ring(pure, "FLOAT_LE", np.array(values, "<f4").tobytes(), len(values))
    for value, sample in zip(values, got, strict=True):
        if math.isnan(value):
            assert sample == 0
        elif value >= 1:
            assert sample == 2**31 - 1
        elif value <= -1:
            assert sample == -(2**31)
        else:
            assert abs(sample - value * 2**31) <= 1


@given(st.integers(0, 2**62), st.integers(0, 2**62))
def test_page_is_read_only_when_nobody_writes_it(pure: Any, media_seq: int, mono_seq: int) -> None:
    page = np.zeros(1, dtype=layout.CLOCK.dtype)
    page["media_seq"], page["mono_seq"] = media_seq, mono_seq
    page["media_ns"], page["mono_ns"], page["epoch"] = 5, 6, 7
    line = line_of(pure, 1, 1, 1, 1, 1)
    done = pure.lib.pure_read(pure.ffi.from_buffer(page), line)
    assert bool(done) == (media_seq % 2 == 0 and mono_seq % 2 == 0)
    assert line.media_ns == (1 if media_seq % 2 else 5)
    assert line.epoch == (0 if media_seq % 2 else 7)
    assert line.mono_ns == (1 if mono_seq % 2 else 6)
