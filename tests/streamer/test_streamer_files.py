"""The ring of files and the frames in it, for every length of file and frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.streamer import adts
from aes67.streamer.files import FileRing


@given(
    files_num=st.integers(4, 16),
    file_samples=st.integers(1024, 40_000),
    frames=st.integers(0, 400),
)
def test_files_joined_are_the_frames(files_num: int, file_samples: int, frames: int) -> None:
    ring = FileRing(files_num, file_samples, 1024)
    files: list[bytes] = []
    for number in range(frames):
        if ring.add(b"%06d" % number):
            newest = ring.after(ring.current - 2)
            assert newest is not None
            assert newest.number == len(files) == ring.current - 1
            files.append(newest.content)
    joined = b"".join(files)
    assert joined == b"".join(b"%06d" % n for n in range(len(joined) // 6))
    # a file holds the frames that begin within its time
    for number, content in enumerate(files):
        begins = [int(content[at : at + 6]) * 1024 for at in range(0, len(content), 6)]
        assert all(number * file_samples <= at < (number + 1) * file_samples for at in begins)


def filled(complete: int, files_num: int = 4) -> FileRing:
    """A ring of one frame a file, with so many complete files."""
    ring = FileRing(files_num, 1024, 1024)
    for number in range(complete + 1):
        ring.add(bytes([number]))
    return ring


@pytest.mark.parametrize(("complete", "ready"), [(0, False), (2, False), (3, True), (9, True)])
def test_a_player_may_begin_when_all_but_one_are_there(complete: int, ready: bool) -> None:
    assert filled(complete).ready is ready


def test_places_in_the_ring() -> None:
    ring = filled(9)
    assert (ring.current, ring.current_id, ring.start_id) == (9, 1, 3)
    newest = {place: ring.at(place) for place in range(4)}
    assert {place: file and file.number for place, file in newest.items()} == {
        0: 8,
        1: 5,
        2: 6,
        3: 7,
    }
    assert ring.at(4) is None
    assert filled(2).at(2) is None


def test_a_live_listener_begins_with_the_oldest_complete_file_but_the_recorded_place() -> None:
    ring = filled(9)
    file = ring.after(ring.first())
    assert file is not None
    assert file.number == 6  # the place of number 5 is being recorded
    assert ring.after(8) is None
    young = filled(1)
    file = young.after(young.first())
    assert file is not None
    assert file.number == 0


def fields(head: bytes) -> list[int]:
    """An ADTS header's fields, read bit by bit (ISO/IEC 13818-7, 6.2)."""
    bits = "".join(f"{byte:08b}" for byte in head)
    widths = (12, 1, 2, 1, 2, 4, 1, 3, 1, 1, 1, 1, 13, 11, 2)
    found, at = [], 0
    for width in widths:
        found.append(int(bits[at : at + width], 2))
        at += width
    assert at == len(bits)
    return found


@given(
    rate=st.sampled_from(adts.RATES),
    channels=st.sampled_from(sorted(adts.LAYOUTS)),
    size=st.integers(1, 8184),
)
def test_an_adts_header_says_what_it_was_given(rate: int, channels: int, size: int) -> None:
    found = fields(adts.header(rate, channels, size))
    index = adts.RATES.index(rate)
    config = channels if channels < 6 else 0  # an element says it
    assert found == [0xFFF, 0, 0, 1, 1, index, 0, config, 0, 0, 0, 0, size + 7, 0x7FF, 0]


def test_what_adts_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="8192"):
        adts.header(48000, 2, 8185)
    with pytest.raises(ValueError, match="192000"):
        adts.header(192000, 2, 100)
    with pytest.raises(KeyError):
        adts.header(48000, 9, 100)
