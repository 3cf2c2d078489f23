"""The C header: printed from the schema, committed as printed, and the same to a compiler."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from aes67.shm import header, layout

ROOT = Path(__file__).parent.parent.parent
HEADER = ROOT / "alsa_plugin" / "aes67_shm.h"
IN_HEADER = [struct for struct in layout.STRUCTS if struct.in_header]


def test_committed_header_is_the_printed_one() -> None:
    assert HEADER.read_text() == header.render()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Sizes, offsets and constants as the C compiler has them."""
    folder = tmp_path_factory.mktemp("probe")
    rows = []
    for struct in IN_HEADER:
        rows.append(f'P("{struct.name}", sizeof(struct aes67_{struct.name}));')
        for field in struct.fields:
            member = f"struct aes67_{struct.name}, {field.name}"
            rows.append(f'P("{struct.name}.{field.name}", offsetof({member}));')
            size = f"sizeof(((struct aes67_{struct.name} *)0)->{field.name})"
            rows.append(f'P("{struct.name}.{field.name} size", {size});')
    names = [name for name, value in vars(layout).items() if name.isupper() and type(value) is int]
    rows += [f'P("{name}", AES67_{name});' for name in names]
    rows += [f'P("FORMAT_{name}", AES67_FORMAT_{name});' for name in layout.FORMATS]
    source = folder / "probe.c"
    source.write_text(
        '#include <stdio.h>\n#include "aes67_shm.h"\n'
        '#define P(name, value) printf("%s\\"%s\\": %lld", first ? "" : ", ", name, '
        "(long long)(value)), first = 0\n"
        'int main(void)\n{\n\tint first = 1;\n\n\tprintf("{");\n\t'
        + "\n\t".join(rows)
        + '\n\tprintf("}");\n\treturn 0;\n}\n'
    )
    program = folder / "probe"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-Wpadded"]
    command = ["gcc", *flags, f"-I{HEADER.parent}", str(source), "-o", str(program)]
    subprocess.run(command, check=True)
    found: dict[str, int] = json.loads(subprocess.run([program], stdout=-1, check=True).stdout)
    return found


@pytest.mark.parametrize("struct", IN_HEADER, ids=lambda struct: struct.name)
def test_offsets_are_those_of_the_dtype(struct: layout.Struct, compiled: dict[str, int]) -> None:
    dtype = struct.dtype
    assert compiled[struct.name] == dtype.itemsize == struct.size
    assert dtype.fields is not None
    for field in struct.fields:
        kind, offset = dtype.fields[field.name][:2]
        assert compiled[f"{struct.name}.{field.name}"] == offset
        assert compiled[f"{struct.name}.{field.name} size"] == kind.itemsize


def test_constants_are_the_same(compiled: dict[str, int]) -> None:
    for name, value in vars(layout).items():
        if name.isupper() and type(value) is int:
            assert compiled[name] == value
    for index, name in enumerate(layout.FORMATS):
        assert compiled[f"FORMAT_{name}"] == index


@pytest.mark.parametrize("struct", layout.STRUCTS, ids=lambda struct: struct.name)
def test_fields_do_not_overlap_and_are_aligned(struct: layout.Struct) -> None:
    end = 0
    for field in struct.fields:
        size = np.dtype(field.type).itemsize
        assert field.offset >= end, field.name
        assert field.offset % size == 0, field.name
        end = field.offset + size * field.count
    assert end <= struct.size


def test_a_cache_line_has_one_writer() -> None:
    """Lines of the shared pages begin where their comments say: at multiples of 64 bytes."""
    for struct, starts in (
        (layout.CLOCK, ("media_seq", "bus_done")),
        (layout.STREAM, ("run_seq", "appl_pos", "ack_run")),
    ):
        for name in starts:
            assert struct.offset(name) % layout.CACHE_LINE == 0
    assert layout.CLOCK.offset("mono_seq") % layout.CACHE_LINE == 0


@pytest.mark.parametrize(
    "rate", [44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 352_800, 384_000]
)
def test_a_sink_may_be_delayed_as_much_as_in_configurations_of_the_aes67_daemon(rate: int) -> None:
    """4000 samples at 48 kHz, what its page and its driver know as the most."""
    assert layout.delay_limit_frames(rate) >= 4000 * max(1, rate // 48_000)
    assert layout.bus_reach_frames(rate) > rate // 2, "the usual buffer of arecord"
