"""The control device: volumes in dB, switches, PTP locked, events, a lost engine."""

from __future__ import annotations

import time

from plugin.harness import Mock


def contents(mock: Mock, device: str = "aes67") -> str:
    return mock.run("amixer", "-D", device, "contents").stdout


def test_elements(mock: Mock) -> None:
    text = contents(mock)
    for direction in ("Playback", "Capture"):
        assert f"name='Master {direction} Volume'" in text
        assert f"name='Master {direction} Switch'" in text
    assert "iface=CARD,name='PTP Locked'" in text
    assert text.count("min=-99,max=0,step=1") == 2
    assert text.count("dBminmaxmute-min=-99.00dB,max=0.00dB") == 2


def test_same_names_and_arguments_as_the_pcm(mock: Mock) -> None:
    for device in ("aes67", "aes67hw", "RAVENNA", "aes67:8,4", "aes67hw:CHANNELS=2"):
        assert "Master Playback Volume" in contents(mock, device)


def test_volume_is_set_in_db(mock: Mock) -> None:
    done = mock.run("amixer", "-D", "aes67", "--", "sset", "Master", "playback", "-12dB")
    assert "Playback -12 [88%] [-12.00dB] [on]" in done.stdout
    mock.run("amixer", "-D", "aes67", "sset", "Master", "capture", "nocap")
    assert mock.do("stats")["controls"] == [-12, 1, 0, 0, 1]


def test_out_of_range_and_read_only_are_refused(mock: Mock) -> None:
    name = ["cset", "name=Master Playback Volume"]
    assert "-99" in mock.run("amixer", "-D", "aes67", *name, "--", "-200").stdout
    done = mock.run("amixer", "-D", "aes67", "cset", "iface=CARD,name=PTP Locked", "0")
    assert done.returncode == 1
    assert "Operation not permitted" in done.stderr
    assert mock.do("stats")["controls"][4] == 1


def test_change_by_another_is_an_event(mock: Mock) -> None:
    monitor = mock.popen(["stdbuf", "-oL", "amixer", "-D", "aes67", "events"])
    assert monitor.stdout
    mock.wait_for(lambda stats: stats["clients"] == 1)
    time.sleep(0.2)
    mock.run("amixer", "-D", "aes67", "cset", "name=Master Playback Volume", "--", "-6")
    while b"event value: numid=1," not in monitor.stdout.readline():
        assert monitor.poll() is None


def test_engine_that_comes_back_is_found(mock: Mock) -> None:
    shell = mock.popen(["stdbuf", "-oL", "amixer", "-s", "-D", "aes67"], stdin=-1)
    assert shell.stdin
    assert shell.stdout

    def ask() -> bytes:
        assert shell.stdin
        assert shell.stdout
        shell.stdin.write(b"cset numid=1 -3\n")
        shell.stdin.flush()
        return b"".join(shell.stdout.readline() for _ in range(4))

    assert b"values=-3" in ask()
    mock.kill()
    mock.start()
    assert b"values=-3" in ask()
    assert mock.do("stats")["controls"][0] == -3


def test_without_an_engine(mock: Mock) -> None:
    mock.kill()
    done = mock.run("amixer", "-D", "aes67", "contents")
    assert done.returncode == 1
    assert "cannot reach the engine" in done.stderr
    assert "No such device" in done.stderr
