"""systemd is told what it asks for, over a real datagram socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeline.cli.systemd import ALIVE_WITHIN_S, SystemdNotifier


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end of the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield receiver


def _notifier(listener: socket.socket) -> SystemdNotifier:
    return SystemdNotifier({"NOTIFY_SOCKET": listener.getsockname()})


def test_start_reload_and_stop_are_told_in_its_words(listener: socket.socket) -> None:
    notifier = _notifier(listener)
    notifier.ready("collecting: okx")
    notifier.reloading(5_000_000)
    notifier.stopping()
    told = [listener.recv(1_000).decode() for _ in range(3)]
    assert told == [
        "READY=1\nSTATUS=collecting: okx",
        "RELOADING=1\nMONOTONIC_USEC=5000",
        "STOPPING=1",
    ]


def test_the_watchdog_is_fed_while_the_loop_turns_and_not_after(
    listener: socket.socket,
) -> None:
    notifier = _notifier(listener)
    for _ in range(8):
        notifier.beaten(0.0)
    assert [listener.recv(100) for _ in range(2)] == [b"WATCHDOG=1"] * 2
    listener.setblocking(False)
    for _ in range(100):
        notifier.beaten(ALIVE_WITHIN_S + 1)
    with pytest.raises(BlockingIOError):
        listener.recv(100)


def test_without_systemd_nothing_is_sent_and_nothing_fails() -> None:
    notifier = SystemdNotifier({})
    assert not notifier.active
    notifier.ready("collecting")
    notifier.beaten(0.0)


def test_a_socket_that_is_gone_hurts_nobody(tmp_path: Path) -> None:
    notifier = SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert notifier.active
    notifier.stopping()
