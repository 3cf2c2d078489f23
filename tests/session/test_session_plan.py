"""The plan: rows an engine can trust whatever the streams, and streams that stay what they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aes67.config.model import RATES, Config
from aes67.engine.plan import Plan as EnginePlan
from aes67.engine.tables import check_owners, read_tables
from aes67.errors import Refused
from aes67.session.network import Network
from aes67.session.plan import Plan, plan
from aes67.session.tick_grid import speed_factor, tick_frames
from aes67.shm.layout import (
    CODEC_AM824,
    CODEC_AM824_AES3,
    CODEC_L16,
    MAX_SINKS,
    MAX_SOURCES,
    SINK_ROW,
    SOURCE_ROW,
    TIMING_DIRECT,
    TIMING_LATCHED,
    early_limit_frames,
)
from sim.session_samples import NETWORK, SINKS, SOURCES, sdp_of, sink, source, state


def rows_of(made: Plan) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Source rows and sink rows as the engine cuts them out of the tables."""
    size = MAX_SOURCES * SOURCE_ROW.size
    assert len(made.tables) == size + MAX_SINKS * SINK_ROW.size
    sources = np.frombuffer(made.tables[:size], SOURCE_ROW.dtype)
    return sources, np.frombuffer(made.tables[size:], SINK_ROW.dtype)


def test_a_source_and_a_sink_become_rows_and_a_message() -> None:
    made = plan(
        state(
            sources=[source(3, map=(4, 5), dscp=46, ttl=9)],
            sinks=[sink(7, sdp_of(extra="a=sync-time:5\n"), map=(8, 9), delay=480)],
        )
    )
    sources, sinks = rows_of(made)
    assert made.message == {
        "type": "plan", "rate": 48000, "tick_frames": 48, "device_channels": 512,
        "rate_follows_app": False, "playback_delay_frames": 0, "sender_name": "",
        "cpu_latency_us": None,
        "sockets": [{"interface": "eth0", "port": 5004}],
        "memberships": [{"interface": "eth0", "group": "239.5.0.1", "source": None}],
        "clock": {
            "mode": "ptp-slave", "interface": "eth0", "domain": 0, "dscp": 46, "priority1": 250,
            "priority2": 128, "sync_interval": None, "announce_interval": None,
            "allowed_masters": [], "asymmetry_ns": 0,
            "card_timestamps": "auto", "link_delay_limit_ns": 0,
            "ports": [{"interface": "eth0", "profile": "aes67"}],
        },
    }  # fmt: skip
    row = sources[3]
    assert row["enabled"] == 1
    assert row["channels"] == 2
    assert row["frames_per_packet"] == 48
    assert row["dest_ip"][0] == int.from_bytes(bytes([239, 1, 0, 4]), "big")
    assert row["dest_port"][0] == 5004
    assert (row["ttl"], row["dscp"], row["leg_count"]) == (9, 46, 1)
    assert list(row["map"][:2]) == [4, 5]
    row = sinks[7]
    assert row["group_ip"][0] == int.from_bytes(bytes([239, 5, 0, 1]), "big")
    assert (row["channels"], row["delay_frames"], row["payload_type"]) == (2, 480, 98)
    assert row["timing"] == TIMING_DIRECT
    assert list(row["map"][:3]) == [8, 9, -1]
    assert set(sources["enabled"]) == {0, 1}
    assert set(sinks["enabled"]) == {0, 1}


@given(st.lists(SOURCES, max_size=5), st.lists(SINKS, max_size=5), st.sampled_from(RATES))
@settings(max_examples=60, deadline=None)
def test_no_row_points_outside(sources: list[Any], sinks: list[Any], rate: int) -> None:
    try:
        made = plan(state(sources=sources, sinks=sinks, rate=rate))
    except Refused:
        return
    count = len(made.message["sockets"])
    channels = made.message["device_channels"]
    source_rows, sink_rows = rows_of(made)
    for row in source_rows[source_rows["enabled"] == 1]:
        n = int(row["channels"])
        size = {1: 2, 2: 3, 3: 4, 4: 4}[int(row["codec"])]
        assert 1 <= n <= 64
        assert 1 <= int(row["frames_per_packet"]) * n * size <= 1460
        assert all(0 <= each < channels for each in row["map"][:n])
        assert 0 <= row["socket"][0] < count
        assert 0 <= row["ssrc"] < 2**32
        assert row["identity"] > 0
        assert 1 <= row["ttl"] <= 255
    owned: list[int] = []
    for row in sink_rows[sink_rows["enabled"] == 1]:
        n = int(row["channels"])
        assert 1 <= n <= 64
        assert all(-1 <= each < channels for each in row["map"])
        assert all(each == -1 for each in row["map"][n:])
        owned += [int(each) for each in row["map"] if each >= 0]
        assert 0 <= row["socket"][0] < count
        assert row["timing"] in (TIMING_DIRECT, TIMING_LATCHED)
        assert 0 <= row["delay_frames"] <= early_limit_frames(rate) // 2
        assert 1 <= row["frames_per_packet"] <= 1460
    assert len(owned) == len(set(owned)), "a device channel has two owners"


@given(
    st.sampled_from(RATES),
    st.lists(st.integers(1, 1460), max_size=8),
    st.lists(st.integers(-2000, 100_000), max_size=4),
)
def test_the_tick_divides_all_packets_where_it_can(
    rate: int, lengths: list[int], spare: list[int]
) -> None:
    tick = tick_frames(rate, tuple(lengths), tuple(spare))
    least, most = -(-rate // 8000), 48 * speed_factor(rate)
    most = max(least, min([most, *(each // 3 for each in spare)]))
    assert least <= tick <= most
    dividing = [t for t in range(least, most + 1) if all(length % t == 0 for length in lengths)]
    if dividing:
        assert tick == max(dividing)
    else:
        assert tick == least


@pytest.mark.parametrize(
    ("rate", "lengths", "tick"),
    [
        (48000, (), 48), (48000, (48,), 48), (48000, (6,), 6), (48000, (16,), 16),
        (48000, (48, 16), 16), (48000, (192,), 48), (96000, (96,), 96), (44100, (48,), 48),
        (48000, (47,), 47), (48000, (48, 47), 6), (44100, (), 48), (48000, (53,), 6),
    ],
)  # fmt: skip
def test_ticks_of_known_packet_times(rate: int, lengths: tuple[int, ...], tick: int) -> None:
    assert tick_frames(rate, lengths) == tick


@pytest.mark.parametrize(
    ("delay", "tick"), [(576, 48), (192, 48), (191, 24), (84, 12), (83, 8), (66, 6), (48, 6)]
)
def test_a_sink_that_cannot_wait_makes_the_tick_shorter(delay: int, tick: int) -> None:
    made = plan(state(sources=[source(3)], sinks=[sink(7, sdp_of(), delay=delay)]))
    assert made.message["tick_frames"] == tick


@given(st.lists(SOURCES, min_size=1, max_size=3), SOURCES, st.lists(SINKS, max_size=3), SINKS)
@settings(max_examples=40, deadline=None)
def test_a_change_of_one_stream_leaves_the_rows_of_all_others(
    sources: list[Any], other: Any, sinks: list[Any], other_sink: Any
) -> None:
    assume(other.id not in {each.id for each in sources})
    assume(other_sink.id > max((each.id for each in sinks), default=-1))
    try:
        before = plan(state(sources=sources, sinks=sinks))
        after = plan(state(sources=[*sources, other], sinks=[*sinks, other_sink]))
    except Refused:
        return
    for old, new, keys in (
        (rows_of(before)[0], rows_of(after)[0], {each.id for each in sources}),
        (rows_of(before)[1], rows_of(after)[1], {each.id for each in sinks}),
    ):
        for key in keys:
            for name in set(old.dtype.names or ()) - {"socket"}:
                assert np.array_equal(old[key][name], new[key][name]), name


def test_identity_follows_what_a_receiver_would_notice() -> None:
    def numbers(**changes: Any) -> tuple[int, int]:
        row = rows_of(plan(state(sources=[source(0, **changes)])))[0][0]
        return int(row["ssrc"]), int(row["identity"])

    same = numbers()
    for unnoticed in ({"name": "x"}, {"io": "y"}, {"map": (8, 9)}, {"dscp": 0}, {"ttl": 3}):
        assert numbers(**unnoticed) == same, unnoticed
    for other in ({"codec": "L16"}, {"map": (0,)}, {"max_samples_per_packet": 6}):
        assert numbers(**other)[0] != same[0], other
    for other in ({"address": "239.9.9.9"}, {"payload_type": 97}):
        assert numbers(**other)[0] == same[0], other
        assert numbers(**other)[1] != same[1], other


def test_the_ssrc_is_that_of_a_twin_and_of_no_neighbour() -> None:
    def ssrc(number: int, node: str) -> int:
        config = Config(custom_node_id=node)
        made = plan(state(sources=[source(number)], config=config))
        return int(rows_of(made)[0][number]["ssrc"])

    assert ssrc(0, "A") == ssrc(0, "A")
    assert len({ssrc(n, name) for n in range(64) for name in "AB"}) == 128


def test_too_large_a_packet_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(Refused) as caught:
        plan(state(sources=[source(0, map=tuple(range(64)))]))
    assert caught.value.field == "max_samples_per_packet"
    assert "48 samples x 64 channels x 3 bytes = 9216 bytes" in caught.value.rule
    assert "at most 7 samples" in caught.value.rule
    plan(state(sources=[source(0, map=tuple(range(64)), max_samples_per_packet=7)]))


@pytest.mark.parametrize(
    ("streams", "field"),
    [
        ({"sources": [source(0, map=(0, 512))]}, "map"),
        ({"sources": [source(0, address="0.0.0.0")]}, "address"),
        ({"sources": [source(0, ttl=0)]}, "ttl"),
        ({"sinks": [sink(0, map=(512,))]}, "map"),
        ({"sinks": [sink(0, delay=47)]}, "delay"),
        ({"sinks": [sink(0, delay=4537)]}, "delay"),
        ({"sinks": [sink(0, "")]}, "sdp"),
        ({"sinks": [sink(0, sdp_of(codec="opus"))]}, "sdp"),
        ({"sinks": [sink(0, sdp_of(port=0))]}, "sdp"),
        ({"sinks": [sink(0, sdp_of(channels=65))]}, "sdp"),
        ({"sinks": [sink(n, sdp_of(port=5000 + n)) for n in range(17)]}, "port"),
    ],
)
def test_what_cannot_be_done_is_refused(streams: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as caught:
        plan(state(**streams))
    assert caught.value.field == field


def test_the_lower_sink_owns_a_channel_and_the_other_is_told() -> None:
    made = plan(state(sinks=[sink(4, map=(0, 1)), sink(2, map=(1, 2))]))
    rows = rows_of(made)[1]
    assert list(rows[2]["map"][:2]) == [1, 2]
    assert list(rows[4]["map"][:2]) == [0, -1]
    assert made.sink_notes[4] == (
        "device channel 1 belongs to sink 2 (Sink 2) and is not filled by this sink: "
        "map it to other channels, or remove sink 2",
    )
    assert made.sink_notes[2] == ()
    twice = plan(state(sinks=[sink(0, map=(3, 3))]))
    assert twice.sink_notes[0] == (
        "device channel 3 is in the map twice: it carries what the map names first",
    )


def test_the_stream_decides_how_a_packet_is_cut_not_the_map() -> None:
    made = plan(state(sinks=[sink(0, sdp_of(channels=4), map=(0, 1)), sink(1, map=(2, 3, 4))]))
    rows = rows_of(made)[1]
    assert rows[0]["channels"] == 4
    assert list(rows[0]["map"][:4]) == [0, 1, -1, -1]
    assert rows[1]["channels"] == 2
    assert list(rows[1]["map"][:3]) == [2, 3, -1]
    assert made.sink_notes[0] == ("the map has 2 channels, the stream 4",)


def test_a_channel_named_twice_in_one_map_is_written_once() -> None:
    made = plan(state(sinks=[sink(0, map=(3, 3))]))
    assert list(rows_of(made)[1][0]["map"][:2]) == [3, -1]


def test_a_stream_of_another_rate_is_kept_and_says_why_it_is_silent() -> None:
    made = plan(state(sinks=[sink(0, sdp_of(rate=96000)), sink(1)]))
    rows = rows_of(made)[1]
    assert (rows[0]["enabled"], rows[1]["enabled"]) == (0, 1)
    assert made.sink_notes[0] == ("silent: the stream has 96000 Hz, the device 48000 Hz",)
    assert list(rows[1]["map"][:2]) == [0, 1], "a silent sink owns no channel"


def test_memberships_are_those_of_sinks_and_as_narrow_as_their_filters() -> None:
    one = "a=source-filter: incl IN IP4 239.5.0.1 10.0.0.9\n"
    other = "a=source-filter: incl IN IP4 239.5.0.1 10.0.0.8\n"
    narrow = plan(
        state(sources=[source(0)], sinks=[sink(0, sdp_of(extra=one)), sink(1, sdp_of(extra=other))])
    )
    assert narrow.message["memberships"] == [
        {"interface": "eth0", "group": "239.5.0.1", "source": "10.0.0.8"},
        {"interface": "eth0", "group": "239.5.0.1", "source": "10.0.0.9"},
    ]
    assert rows_of(narrow)[1][0]["source_ip"][0] == int.from_bytes(bytes([10, 0, 0, 9]), "big")
    wide = plan(state(sinks=[sink(0, sdp_of(extra=one)), sink(1)]))
    assert wide.message["memberships"] == [
        {"interface": "eth0", "group": "239.5.0.1", "source": None}
    ]


def test_unicast_needs_no_membership_and_gets_its_own_ttl() -> None:
    made = plan(
        state(
            sources=[source(0, address="10.0.0.7", ttl=3)],
            sinks=[sink(0, sdp_of(address="10.0.1.1"))],
        )
    )
    assert made.message["memberships"] == []
    assert rows_of(made)[0][0]["ttl"] == 64
    assert made.sink_notes[0] == ()
    elsewhere = plan(state(sinks=[sink(0, sdp_of(address="10.9.9.9"))]))
    assert "not this machine's 10.0.1.1" in elsewhere.sink_notes[0][0]


def test_what_is_sent_to_our_own_address_on_this_machine_does_not_come_from_the_network() -> None:
    """By `lo` from other programs; by the interface they are bound to from our own sockets."""
    here = "a=source-filter: incl IN IP4 10.0.1.1 10.0.1.1\n"
    there = "a=source-filter: incl IN IP4 10.0.1.1 10.0.0.9\n"
    ours = source(0, address="10.0.1.1")
    for extra, sources, interface in (
        (here, [], "lo"), (here, [ours], "eth0"), (there, [], "eth0"), ("", [], "eth0"),
    ):  # fmt: skip
        sinks = [sink(0, sdp_of(address="10.0.1.1", extra=extra))]
        made = plan(state(sources=sources, sinks=sinks))
        assert made.message["sockets"] == [{"interface": interface, "port": 5004}]
        assert [name for name, _ in made.legs[0]] == [interface]


def test_both_legs_are_received_where_there_are_two_interfaces() -> None:
    text = (
        "v=0\no=- 1 2 IN IP4 10.0.0.9\ns=Two\nt=0 0\na=group:DUP 1 2\n"
        "m=audio 5004 RTP/AVP 98\nc=IN IP4 239.5.0.1/15\na=rtpmap:98 L24/48000/2\na=mid:1\n"
        "m=audio 5006 RTP/AVP 98\nc=IN IP4 239.6.0.1/15\na=rtpmap:98 L24/48000/2\na=mid:2\n"
    )
    two = plan(state(sinks=[sink(0, text)], config=Config(interface_name="eth0, eth1")))
    assert two.message["sockets"] == [
        {"interface": "eth0", "port": 5004}, {"interface": "eth1", "port": 5006},
    ]  # fmt: skip
    assert rows_of(two)[1][0]["leg_count"] == 2
    assert [each["interface"] for each in two.message["memberships"]] == ["eth0", "eth1"]
    for name in ("eth0", "eth0,down0", "eth0,none"):
        one = plan(state(sinks=[sink(0, text)], config=Config(interface_name=name)))
        assert rows_of(one)[1][0]["leg_count"] == 1


@pytest.mark.parametrize("network", [Network(), NETWORK])
def test_without_an_address_nothing_is_sent_but_all_is_kept(network: Network) -> None:
    config = Config(interface_name="down0")
    made = plan(state(sources=[source(0)], sinks=[sink(0)], network=network, config=config))
    assert made.message["sockets"] == []
    assert made.message["memberships"] == []
    assert rows_of(made)[0]["enabled"].sum() == rows_of(made)[1]["enabled"].sum() == 0
    assert made.source_notes[0] == ("not sent: the network interface has no IPv4 address",)
    assert made.message["clock"]["mode"] == "ptp-slave"


def test_codecs_and_framing() -> None:
    for codec, framing, number in (
        ("L16", "aes3", CODEC_L16),
        ("AM824", "raw", CODEC_AM824),
        ("AM824", "aes3", CODEC_AM824_AES3),
    ):
        made = plan(
            state(
                sources=[source(0, codec=codec, framing=framing)],
                sinks=[sink(0, sdp_of(codec=codec), framing=framing)],
            )
        )
        assert rows_of(made)[0][0]["codec"] == number
        assert rows_of(made)[1][0]["codec"] == number


def test_timing_is_chosen_from_the_description_or_set_by_hand() -> None:
    plain = sdp_of(clock="", media_clock="")
    made = plan(state(sinks=[sink(0), sink(1, plain, map=(2, 3)), sink(2, plain, timing="direct")]))
    rows = rows_of(made)[1]
    assert [int(rows[n]["timing"]) for n in range(3)] == [
        TIMING_DIRECT, TIMING_LATCHED, TIMING_DIRECT,
    ]  # fmt: skip
    assert [made.streams[n].timing for n in range(3)] == ["direct", "async", "direct"]
    assert "resampling" in made.sink_notes[1][0]


def test_playback_delay_is_given_at_1_fs() -> None:
    assert [speed_factor(rate) for rate in RATES] == [1, 1, 2, 2, 4, 4, 8, 8]
    made = plan(state(config=Config(playout_delay=100), rate=96000))
    assert made.message["playback_delay_frames"] == 200


def test_two_sources_to_one_address_are_mentioned() -> None:
    made = plan(state(sources=[source(0, address="239.1.0.2"), source(1)]))
    assert made.source_notes[0] == ("source 1 is sent to the same address and port",)


@given(st.lists(SOURCES, max_size=5), st.lists(SINKS, max_size=5), st.sampled_from(RATES))
@settings(max_examples=60, deadline=None)
def test_the_engine_takes_every_plan(sources: list[Any], sinks: list[Any], rate: int) -> None:
    try:
        made = plan(state(sources=sources, sinks=sinks, rate=rate))
    except Refused:
        return
    taken = EnginePlan.from_json(made.message | {"serial": 1})
    check_owners(read_tables(taken, made.tables)[1])
