import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coordinator.chain import Watch
from coordinator.chain.regtest import RegtestChain, faucet
from coordinator.errors import ChainUnreachable
from psbt import consensus

SCRIPT = b"\x00\x14" + bytes(20)
BUSY = """
import sys
from pathlib import Path
from coordinator.chain.regtest import RegtestChain
chain = RegtestChain(Path(sys.argv[1]))
print("ready", flush=True)
while chain.tip().height < 1000:
    chain.mine(2)
    chain.fund(bytes.fromhex(sys.argv[2]), 1_000_000, 3)
    chain.reorganise(chain.tip().height - 1)
"""
HOLDING = """
import sys
from pathlib import Path
from coordinator.chain.regtest.lock import ChainLock
with ChainLock(Path(sys.argv[1]), 1).held():
    print("ready", flush=True)
    sys.stdin.read()
"""


MOMENTS, PATIENCE = 8, 60


def started(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    with process:
        process.send_signal(signal.SIGKILL)


@pytest.mark.skipif(not consensus.engine_available(), reason="libbitcoinkernel is not installed")
def test_a_kill_at_any_moment_is_healed(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    RegtestChain(folder).mine(110)
    moment, worked = 0, False
    while moment < MOMENTS or not worked:
        assert moment < PATIENCE, "the busy process never mined a block"
        height = RegtestChain(folder).tip().height
        process = started(BUSY, str(folder), SCRIPT.hex())
        time.sleep(0.03 + 0.037 * moment)
        kill(process)
        chain = RegtestChain(folder)
        assert chain.tip().height >= height
        worked = worked or chain.tip().height > height
        moment += 1
        chain.mine(1)
        seen = chain.sync(Watch(frozenset({SCRIPT}))).transactions
        assert [item for item in seen if item.height is None] == []


def test_another_process_waits_then_says_who_holds_the_chain(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    chain = RegtestChain(folder, wait_seconds=0.2)
    chain.mine(1)
    process = started(HOLDING, str(folder))
    try:
        with pytest.raises(ChainUnreachable, match=rf"process {process.pid} holds .*chain\.lock"):
            chain.mine(1)
        assert chain.tip().height == 1
    finally:
        kill(process)
    chain.mine(1)
    assert chain.tip().height == 2


def test_who_waits_long_enough_gets_the_chain(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    process = started(HOLDING, str(folder))
    with process:
        assert process.stdin is not None
        process.stdin.close()
        RegtestChain(folder, wait_seconds=20).mine(1)


def test_reading_needs_no_engine(tmp_path: Path) -> None:
    RegtestChain(tmp_path / "chain").mine(2)
    program = (
        "import sys; from pathlib import Path; from coordinator.chain import Watch\n"
        "from coordinator.chain.opening import open_chain\n"
        "chain = open_chain('regtest:', Path(sys.argv[1]), 'regtest')\n"
        "update = chain.sync(Watch(frozenset()))\n"
        "chain.close()\n"
        "print(update.tip.height, 'pbk' in sys.modules, 'filelock' in sys.modules)"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "chain")]
    done = subprocess.run(arguments, capture_output=True, check=True, text=True)
    assert done.stdout.split()[:2] == ["2", "False"]


def test_the_engine_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "chain"
    leftover = folder / "engine" / "blocks"
    leftover.mkdir(parents=True)
    (leftover / "blk00000.dat").write_bytes(os.urandom(64))
    chain = RegtestChain(folder)
    chain.fund(faucet.SCRIPT_PUBKEY, 1_000_000)
    names = {path.name for path in folder.iterdir()} - {"engine"}
    assert names == {"blocks.dat", "mempool.dat", "holder"}
