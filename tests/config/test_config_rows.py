"""The configuration's rows against the contract's table: defaults, ranges, repairs, order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aes67.config.document import markdown
from aes67.config.model import CONTRACT_KEYS, EFFECTS, KEYS, OURS, PATHS, Config, extra_of
from aes67.config.reading import (
    Computed,
    contract_report,
    file_text,
    from_text,
    full_report,
    merged,
    rows,
)
from aes67.config.tree import TreeError, parse
from aes67.errors import Refused

COMPUTED = Computed("Daemon 007f0100", "00:00:00:00:00:00", "127.0.0.1")

ORDER = """http_port, rtsp_port, http_base_dir, log_severity, playout_delay, tic_frame_size_at_1fs,
max_tic_frame_size, sample_rate, rtp_mcast_base, rtp_mcast_base_sec, rtp_port, rtp_port_sec,
ptp_domain, ptp_dscp, sap_mcast_addr, sap_interval, syslog_proto, syslog_server, status_file,
interface_name, mdns_enabled, custom_node_id, node_id, ptp_status_script, mac_addr, ip_addr,
streamer_channels, streamer_files_num, streamer_file_duration, streamer_player_buffer_files_num,
streamer_enabled, auto_sinks_update, nmos_enabled, nmos_registry_address, nmos_registry_port,
nmos_node_port, nmos_label"""

DEFAULTS = {
    "http_port": 8080, "rtsp_port": 8854, "http_base_dir": "../webui/dist", "log_severity": 2,
    "playout_delay": 0, "tic_frame_size_at_1fs": 48, "max_tic_frame_size": 1024,
    "sample_rate": 48000, "rtp_mcast_base": "239.1.0.1", "rtp_mcast_base_sec": "239.1.0.1",
    "rtp_port": 5004, "rtp_port_sec": 5004, "ptp_domain": 0, "ptp_dscp": 46,
    "sap_mcast_addr": "224.2.127.254", "sap_interval": 300, "syslog_proto": "",
    "syslog_server": "", "status_file": "./status.json", "interface_name": "eth0",
    "mdns_enabled": True, "custom_node_id": "", "ptp_status_script": "", "streamer_channels": 8,
    "streamer_files_num": 8, "streamer_file_duration": 1, "streamer_player_buffer_files_num": 1,
    "streamer_enabled": False, "auto_sinks_update": True, "nmos_enabled": False,
    "nmos_registry_address": "", "nmos_registry_port": 8010, "nmos_node_port": 3212,
    "nmos_label": "AES67 Daemon",
}  # fmt: skip
"""Written down from the contract, section 5."""


def test_the_37_keys_are_reported_in_the_contracts_order() -> None:
    order = ORDER.replace("\n", " ").split(", ")
    assert len(order) == 37
    assert list(CONTRACT_KEYS) == [key.strip() for key in order]
    assert list(contract_report(Config(), COMPUTED)) == list(CONTRACT_KEYS)


def test_the_defaults_are_the_contracts() -> None:
    assert from_text("{}").warnings == ()
    report = contract_report(from_text("{}").config, COMPUTED)
    assert {key: report[key] for key in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize(
    ("key", "given", "becomes"),
    [
        ("log_severity", 9, 2), ("log_severity", -1, 2), ("playout_delay", 4001, 4000),
        ("tic_frame_size_at_1fs", 0, 192), ("tic_frame_size_at_1fs", 193, 192),
        ("max_tic_frame_size", 1025, 1024), ("max_tic_frame_size", 40, 1024),
        ("sample_rate", 0, 48000), ("rtp_mcast_base", "garbage", "239.1.0.1"),
        ("rtp_mcast_base_sec", "1.2.3", "239.1.0.1"), ("ptp_domain", 128, 0),
        ("sap_mcast_addr", "", "224.2.127.254"), ("streamer_channels", 1, 8),
        ("streamer_channels", 17, 8), ("streamer_files_num", 3, 8), ("streamer_files_num", 17, 8),
        ("streamer_file_duration", 5, 1), ("streamer_player_buffer_files_num", 3, 1),
        ("ptp_dscp", 64, 46), ("http_port", 70000, 8080), ("sample_rate", 12345, 48000),
    ],
)  # fmt: skip
def test_a_file_is_repaired_with_one_warning_naming_key_and_value(
    key: str, given: object, becomes: object
) -> None:
    reading = from_text(json.dumps({key: given}))
    assert getattr(reading.config, key) == becomes
    assert len(reading.warnings) == 1
    assert key in reading.warnings[0]
    assert str(given) in reading.warnings[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sample_rate", 12345), ("ptp_domain", 200), ("log_severity", 9), ("playout_delay", 99999),
        ("http_port", 0), ("rtp_mcast_base", "10.0.0.1"), ("rtp_mcast_base", "239.255.255.255"),
        ("syslog_proto", "tcp"), ("max_tic_frame_size", 47), ("interface_name", " , "),
        ("custom_node_id", "a\r\nb"), ("clock_mode", "master"), ("device_channels", 0),
    ],
)  # fmt: skip
def test_a_request_is_refused_where_a_file_is_repaired(key: str, value: object) -> None:
    with pytest.raises(Refused) as caught:
        merged(Config(), parse(json.dumps({key: value})))
    assert caught.value.field == key
    assert caught.value.rule


def test_a_text_is_refused_for_what_is_wrong_with_it() -> None:
    for text, rule in (("a\nb", "at most 64 characters, no control characters"),
                       ("a" * 65, "at most 64 characters")):  # fmt: skip
        with pytest.raises(Refused) as caught:
            merged(Config(), {"custom_node_id": text})
        assert caught.value.rule == rule


def test_a_merge_changes_only_the_keys_present_and_reads_loose_types() -> None:
    config = merged(Config(), parse('{"ptp_domain": "3", "mdns_enabled": "0", "whatever": 1}'))
    assert config == Config(ptp_domain=3, mdns_enabled=False)


SHIPPED = {
    "http_port": 8080, "rtsp_port": 8854, "http_base_dir": "../webui/dist", "log_severity": 2,
    "playout_delay": 0, "tic_frame_size_at_1fs": 48, "max_tic_frame_size": 1024,
    "sample_rate": 48000, "rtp_mcast_base": "239.1.0.1", "rtp_port": 5004, "ptp_domain": 0,
    "ptp_dscp": 48, "sap_mcast_addr": "239.255.255.255", "sap_interval": 30,
    "syslog_proto": "none", "syslog_server": "255.255.255.254:1234",
    "status_file": "./status.json", "interface_name": "lo",
    "ptp_status_script": "./scripts/ptp_status.sh", "nmos_registry_address": "127.0.0.1",
    "nmos_registry_port": 3210, "nmos_node_port": 3218,
}  # fmt: skip
"""Values the daemon ships, where the contract gives them."""


def test_the_daemons_own_file_is_taken_without_a_word() -> None:
    reading = from_text(json.dumps(SHIPPED))
    assert reading.warnings == ()
    report = contract_report(reading.config, COMPUTED)
    assert {key: report[key] for key in SHIPPED} == SHIPPED
    assert merged(Config(), SHIPPED | {key: getattr(Config(), key) for key in PATHS})


def test_computed_values_are_ignored_on_input() -> None:
    tree = parse('{"node_id": "me", "mac_addr": {"a": 1}, "ptp_dscp": 48}')
    assert merged(Config(), tree) == Config(ptp_dscp=48)
    assert from_text('{"node_id": 7, "mac_addr": []}').config == Config()


@pytest.mark.parametrize("key", ["http_base_dir", "status_file", "ptp_status_script"])
def test_paths_are_the_files_business(key: str) -> None:
    with pytest.raises(Refused, match="configuration file"):
        merged(Config(), {key: "/etc/passwd"})
    assert merged(Config(), {key: getattr(Config(), key)}) == Config()
    allowed = Config(paths_by_api=True)
    assert getattr(merged(allowed, {key: "/srv/x"}), key) == "/srv/x"


def test_the_permission_itself_cannot_be_had_over_http() -> None:
    with pytest.raises(Refused, match="paths_by_api"):
        merged(Config(), {"paths_by_api": "true"})


def test_unknown_keys_survive_a_rewrite_as_they_were_written() -> None:
    reading = from_text('{"their_key": {"deep": [1.50, null]}, "http_port": 81}')
    assert "their_key" in reading.warnings[0]
    text = file_text(merged(reading.config, {"ptp_domain": "1"}), COMPUTED)
    assert '"deep": [ 1.50, null ]' in text
    assert json.loads(text)["http_port"] == 81


def test_the_file_holds_all_keys_and_is_read_back_the_same() -> None:
    config = Config(ptp_domain=5, interface_name="lo", clock_mode="gm", ip_addr="127.0.0.1")
    text = file_text(config, COMPUTED)
    assert list(json.loads(text))[:37] == list(CONTRACT_KEYS)
    again = from_text(text)
    assert again.config == config
    assert again.warnings == ()


def test_priority1_depends_on_the_mode_unless_it_is_given() -> None:
    assert Config().priority1 == 250
    assert Config(clock_mode="gm").priority1 == 127
    assert Config(clock_mode="gm", ptp_priority1=10).priority1 == 10
    assert full_report(Config(clock_mode="gm"), COMPUTED)["ptp_priority1"] == 127
    assert "ptp_priority1" not in json.loads(file_text(Config(), COMPUTED))


def test_a_wrong_type_in_the_file_is_an_error_naming_the_key() -> None:
    with pytest.raises(TreeError) as caught:
        from_text('{"http_port": "eighty"}')
    assert caught.value.key == "http_port"


def test_every_row_explains_itself() -> None:
    table = rows()
    assert [row["key"] for row in table] == list(KEYS)
    for row in table:
        assert row["help"], row["key"]
        assert row["effect"] in EFFECTS, row["key"]
        assert extra_of(row["key"])["letter"] in "htjib"
    assert set(OURS) >= {"clock_mode", "device_channels", "rate_follows_app", "ptp_priority2"}


VALUES: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=20)
    | st.floats()
    | st.lists(st.integers(), max_size=3)
    | st.sampled_from(["lo", "eth0,eth1", "gm"])
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES) | st.dictionaries(st.text(), VALUES))
def test_any_object_is_a_configuration_or_a_tree_error(values: dict[str, Any]) -> None:
    text = json.dumps(values)
    try:
        reading = from_text(text)
    except TreeError:
        return
    rewritten = file_text(reading.config, COMPUTED)
    again = from_text(rewritten)
    assert again.config.model_copy(update={"ip_addr": reading.config.ip_addr}) == reading.config


@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_any_request_is_merged_or_refused(values: dict[str, Any]) -> None:
    try:
        config = merged(Config(), parse(json.dumps(values)))
    except (TreeError, Refused):
        return
    assert from_text(file_text(config, COMPUTED)).warnings == ()


def test_the_page_of_the_configuration_is_up_to_date() -> None:
    page = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert page.read_text(encoding="utf-8") == markdown()
    for key in KEYS:
        assert f"| `{key}` |" in markdown()
