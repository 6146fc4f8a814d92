"""open: the link it prints, what it needs, how it ends."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("starlette", reason="the page's extra is not installed")

from tests.patience import SECONDS
from tests.program import Asked, Program
from tests.web.browser import Client

PASSPHRASE = "home.passphrase=correct horse battery\n"


class Served(NamedTuple):
    """A page that the program serves, and the port it is at."""

    program: subprocess.Popen[bytes]
    url: str
    port: int


@contextlib.contextmanager
def opened(home: Path, *words: str, stdin: str = "") -> Iterator[Served]:
    line = [sys.executable, "-m", "coordinator.cli", "open", "--json", "--no-browser", *words]
    with subprocess.Popen(
        [*line, "--home", str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as program:  # fmt: skip
        program.stdin.write(stdin.encode())
        program.stdin.close()
        url = json.loads(b"".join(program.stdout.readline() for _ in range(3)))["url"]
        try:
            yield Served(program, url, int(url.split(":")[2].split("/")[0]))
        finally:
            program.kill()


def test_the_link_is_the_one_field_and_opens_the_page_until_ctrl_c(vault: Asked) -> None:
    with opened(vault.home) as served:
        client = Client(served)
        client.enter(served.url)
        assert "3 000 000 sat" in client.get("/").words
        served.program.send_signal(signal.SIGINT)
        assert served.program.wait(SECONDS) == 0
        assert served.program.stdout.read() == b""


def test_a_sealed_home_is_shown_with_its_names_where_the_passphrase_is_given(vault: Asked) -> None:
    vault("custody", "seal", "--pin-stdin", stdin=PASSPHRASE)
    with opened(vault.home, "--pin-stdin", stdin=PASSPHRASE) as served:
        client = Client(served)
        client.enter(served.url)
        assert "at-a" in client.get("/places").words


def test_what_is_not_installed_is_named(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    program("init", "--network", "regtest")
    found = util.find_spec
    monkeypatch.setattr(
        "coordinator.cli.page.find_spec", lambda name: None if name == "uvicorn" else found(name)
    )
    refused = program("open", "--json", check=2).document["error"]
    assert "pip install 'cardquorum[page]'" in refused["message"]


def test_a_port_that_is_taken_is_said(vault: Asked) -> None:
    with opened(vault.home) as served:
        (vault.home / "page" / "running.json").unlink()
        refused = vault("open", "--no-browser", "--port", str(served.port), check=2)
        assert str(served.port) in refused["error"]["message"]


def test_without_a_home_nothing_is_served(program: Program) -> None:
    assert program("open", "--json", check=2).document["error"]["code"] == "settings_error"
