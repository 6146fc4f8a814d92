"""Ports of the loopback for servers that are told theirs."""

import random
import socket
from contextlib import suppress
from typing import Final

BELOW_OUTGOING: Final = range(20_000, 32_000)
"""What no system gives to a connection that goes out: a port that is free now is so in a moment."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    for port in random.sample(BELOW_OUTGOING, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("none of 100 ports is free")
