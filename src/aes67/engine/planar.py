"""Payloads to rows of the bus in one pass: four channels of four frames a step, in vectors.

`media.pcm.unpack`, `media.meters.peak_of` and `media.playout.spread` say what is to be done to a
packet's samples, in three passes. `place_payload` does the same at once for the packets that have
nothing special about them: four samples are loaded together, their octets shuffled into place, and
four such loads transposed, so that the four frames of a channel go to memory together. No compiler
makes that of a loop, so it is written as LLVM's vector instructions, which every processor has.
"""

from __future__ import annotations

from typing import Any

from aes67.jit import inner  # before Numba: it names the cache directory

# isort: split
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from aes67.media.pcm import sample_bytes
from aes67.shm.layout import CODEC_AM824, CODEC_L16, CODEC_L24

BLOCK = 4
"""Channels, and frames, of a step."""
READ_BEYOND = 4
"""Octets that may be read beyond a payload, at most."""

_OCTET = ir.IntType(8)
_WORD = ir.IntType(32)
_LONG = ir.IntType(64)
_FOUR = ir.VectorType(_WORD, BLOCK)
_PEAK_SHIFT = 8
_SAMPLE_BYTES = 4


def _octets(codec: int) -> list[int]:
    """For each octet of four left-justified samples in memory: its place in the payload, or -1."""
    width = sample_bytes(codec)
    return [
        width * sample + 3 - octet if 3 - octet < width else -1
        for sample in range(BLOCK)
        for octet in range(_SAMPLE_BYTES)
    ]


def _shuffle(builder: Any, one: Any, other: Any, places: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_WORD, len(places)), places)
    return builder.shuffle_vector(one, other, mask)


def _load(builder: Any, address: Any, codec: int) -> Any:
    """Four samples of a payload, left-justified."""
    octets = ir.VectorType(_OCTET, 8 if codec == CODEC_L16 else 16)
    found = builder.load(builder.inttoptr(address, octets.as_pointer()), align=1)
    zero = ir.Constant(octets, None)
    places = [octets.count if place < 0 else place for place in _octets(codec)]
    return builder.bitcast(_shuffle(builder, found, zero, places), _FOUR)


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Four vectors of four: element i of vector j becomes element j of vector i."""
    halves = [
        _shuffle(builder, rows[pair], rows[pair + 1], places)
        for places in ([0, 4, 1, 5], [2, 6, 3, 7])
        for pair in (0, 2)
    ]
    return [
        _shuffle(builder, halves[half], halves[half + 1], places)
        for half in (0, 2)
        for places in ([0, 1, 4, 5], [2, 3, 6, 7])
    ]


def _extreme(builder: Any, relation: str, one: Any, other: Any) -> Any:
    return builder.select(builder.icmp_signed(relation, one, other), one, other)


def _build(builder: Any, arguments: Any, codec: int) -> Any:
    """The loop over blocks of frames; the last one ends with the last frame, whatever its begin."""
    source, frame_bytes, frames, *targets = arguments
    low = cgutils.alloca_once_value(builder, ir.Constant(_FOUR, None))
    high = cgutils.alloca_once_value(builder, ir.Constant(_FOUR, None))
    last = builder.sub(frames, _LONG(BLOCK))
    steps = builder.sdiv(builder.add(frames, _LONG(BLOCK - 1)), _LONG(BLOCK))
    with cgutils.for_range(builder, steps, intp=_LONG) as loop:
        begin = builder.mul(loop.index, _LONG(BLOCK))
        frame = _extreme(builder, "<", begin, last)
        address = builder.add(source, builder.mul(frame, frame_bytes))
        rows = []
        for _ in range(BLOCK):
            rows.append(_load(builder, address, codec))
            address = builder.add(address, frame_bytes)
        for row in rows:
            builder.store(_extreme(builder, "<", row, builder.load(low)), low)
            builder.store(_extreme(builder, ">", row, builder.load(high)), high)
        for target, column in zip(targets, _transpose(builder, rows), strict=True):
            at = builder.add(target, builder.mul(frame, _LONG(_SAMPLE_BYTES)))
            builder.store(column, builder.inttoptr(at, _FOUR.as_pointer()), align=_SAMPLE_BYTES)
    peak = _LONG(0)
    for lane in range(BLOCK):
        down = builder.sext(builder.extract_element(builder.load(low), _WORD(lane)), _LONG)
        up = builder.sext(builder.extract_element(builder.load(high), _WORD(lane)), _LONG)
        peak = _extreme(builder, ">", _extreme(builder, ">", up, builder.neg(down)), peak)
    return builder.ashr(peak, _LONG(_PEAK_SHIFT))


def _four_channels(codec: int) -> Any:
    """Numba's function for one codec: addresses and sizes in, the peak out."""

    @intrinsic  # type: ignore[untyped-decorator,unused-ignore]
    def four_channels(
        typing_context: Any,
        source: Any, frame_bytes: Any, frames: Any, row_0: Any, row_1: Any, row_2: Any, row_3: Any,
    ) -> Any:  # fmt: skip
        def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _build(builder, arguments, codec)

        return types.int64(*[types.int64] * 7), build

    return four_channels


_FOUR_L16 = _four_channels(CODEC_L16)
_FOUR_L24 = _four_channels(CODEC_L24)
_FOUR_AM824 = _four_channels(CODEC_AM824)


@inner
def place_payload(
    codec: int, source: int, frames: int, channel_map: Any, channels: int,
    bus: Any, first: int, spare: int,
) -> int:  # fmt: skip
    """Write a payload's frames to the rows its map names; returns their peak as `peak_of` does.

    Args:
        codec: not CODEC_AM824_AES3.
        source: address of the payload, with READ_BEYOND octets after it.
        frames: BLOCK or more.
        channel_map: row of each channel, -1: none.
        channels: BLOCK or more.
        bus: [device channels][frames].
        first: bus frame of the payload's first one; from there on none wraps.
        spare: address of room for `frames` samples, where channels without a row go.
    """
    width = sample_bytes(codec)
    row_bytes = _SAMPLE_BYTES * bus.shape[1]
    to = bus.ctypes.data + _SAMPLE_BYTES * (first & (bus.shape[1] - 1))
    peak = 0
    for block in range(0, channels, BLOCK):
        c = min(block, channels - BLOCK)
        row_0, row_1 = int(channel_map[c]), int(channel_map[c + 1])
        row_2, row_3 = int(channel_map[c + 2]), int(channel_map[c + 3])
        to_0 = to + row_0 * row_bytes if row_0 >= 0 else spare
        to_1 = to + row_1 * row_bytes if row_1 >= 0 else spare
        to_2 = to + row_2 * row_bytes if row_2 >= 0 else spare
        to_3 = to + row_3 * row_bytes if row_3 >= 0 else spare
        at = source + c * width
        step = channels * width
        if codec == CODEC_L16:
            found = _FOUR_L16(at, step, frames, to_0, to_1, to_2, to_3)
        elif codec == CODEC_L24:
            found = _FOUR_L24(at, step, frames, to_0, to_1, to_2, to_3)
        else:
            found = _FOUR_AM824(at, step, frames, to_0, to_1, to_2, to_3)
        peak = max(peak, found)
    return peak
