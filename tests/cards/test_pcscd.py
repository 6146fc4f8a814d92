"""A PC/SC service of one's own: its readers lie at ports nobody else has."""

import secrets
import socket

import pytest

from cards import pcscd


@pytest.mark.parametrize("beside", [0, 1])
def test_ports_that_are_taken_are_passed_over(monkeypatch: pytest.MonkeyPatch, beside: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1] - beside
        drawn = iter([(taken - 20_000) // 2, 2_500, 2_600, 2_700])
        monkeypatch.setattr(secrets, "randbelow", lambda _: next(drawn))
        monkeypatch.setattr(pcscd, "PORT_STEP", 2)
        found = pcscd._free_ports(["one", "two"])
    assert taken + beside not in {port + n for port in found.values() for n in (0, 1)}
