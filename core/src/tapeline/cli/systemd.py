"""Tells systemd how the service is: ready, alive, stopping.

The protocol is one datagram of ``NAME=value`` lines to the socket in
``NOTIFY_SOCKET`` (sd_notify(3)); without that variable nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

ALIVE_WITHIN_S = 15.0
"""Without a turn of the loop for so long, systemd is told no more that we live."""
_EVERY_LOOKS = 4


class SystemdNotifier:
    """Sends to the socket of systemd, where there is one; never raises.

    Args:
        environ: in place of ``os.environ``.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the null byte of an abstract address.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._looks = 0

    @property
    def active(self) -> bool:
        """Whether systemd listens."""
        return bool(self._address) and hasattr(socket, "AF_UNIX")

    def ready(self, status: str) -> None:
        """The service has started, or has read its configuration again."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self, monotonic_ns: int) -> None:
        """The service reads its configuration again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_ns // 1000}")

    def stopping(self) -> None:
        """The service flushes and ends."""
        self._send("STOPPING=1")

    def beaten(self, late_s: float) -> None:
        """Called a few times a second, from a thread, by the watchdog of the loop."""
        if late_s > ALIVE_WITHIN_S:
            return
        if self._looks % _EVERY_LOOKS == 0:
            self._send("WATCHDOG=1")
        self._looks += 1

    def _send(self, text: str) -> None:
        if not self.active:
            return
        # systemd may be away or slow; the collection does not depend on it.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)
