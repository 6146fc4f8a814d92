"""One process at a time writes to the embedded chain; the others wait, then say who holds it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.chain.regtest import node
from coordinator.chain.regtest.lock import ChainLock
from tests.program import Asked

CLI = "import sys; from coordinator.cli import run; sys.exit(run(sys.argv[1:]))"


def test_who_holds_the_chain_is_named(
    vault: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "ChainLock", lambda folder, _: ChainLock(folder, 0.1))
    before = vault("regtest", "show")
    address = vault("address", "new", "v")["address"]
    with ChainLock(tmp_path / "home" / "chain", 0.1).held():
        for words in (("mine",), ("fund", address, "10000")):
            error = vault("regtest", *words, check=7)["error"]
            assert error["code"] == "chain_unreachable"
            assert f"process {os.getpid()} holds the chain" in error["message"]
        assert vault("regtest", "show") == before
        assert vault("balance", "v")["confirmed_sats"] == 3_000_000
    vault("regtest", "mine")


def test_two_processes_mine_at_once(vault: Asked, tmp_path: Path) -> None:
    height = vault("regtest", "show")["height"]
    words = [sys.executable, "-c", CLI, "regtest", "mine", "5", "--home", str(tmp_path / "home")]
    both = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert vault("regtest", "show")["height"] == height + 10
    assert vault("status")["tip"]["height"] == height + 10


def test_a_damaged_chain_is_named(vault: Asked, tmp_path: Path) -> None:
    (tmp_path / "home" / "chain" / "mempool.dat").write_bytes(b"\x01garbage")
    assert "mempool.dat is damaged" in vault("balance", "v", check=7)["error"]["message"]
    shutil.rmtree(tmp_path / "home" / "chain")
    assert vault("regtest", "show")["height"] == 0
    assert vault("balance", "v")["confirmed_sats"] == 0
