"""Other wallets' own code for Node.js as judges: Caravan's addresses, UR and BBqr.

Installed from the lock in `node/` into a folder of its own, without running any package's scripts;
only `make test-all` does so.
"""

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from coordinator.interop import bbqr, ur, ur_types, writing
from coordinator.interop.wallet_file import wallet_of
from psbt import codec
from psbt.policy import CHANGE, RECEIVE, addresses
from tests.psbt.soft_vault import soft_vault

pytestmark = pytest.mark.matrix

HERE = Path(__file__).with_name("node")
INSTALL_SECONDS = 60
COUNT = 10
PSBT = codec.to_bytes(soft_vault(2, 3).spend([10_000] * 20, 50_000, 149_000))
SMALL = codec.to_bytes(soft_vault(2, 3).spend([10_000], 5_000, 4_000))


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the judges; where there is no Node.js or no registry the tests are left out."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("left out: there is no node and npm here")
    folder = tmp_path_factory.mktemp("node")
    for name in ("package.json", "package-lock.json", "judge.mjs"):
        shutil.copy(HERE / name, folder)
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    try:
        done = subprocess.run(
            [npm, "ci", *quiet],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"left out: npm did not install the judges within {INSTALL_SECONDS} seconds")
    if done.returncode:
        pytest.skip(f"left out: npm could not install the judges: {done.stderr.strip()[:200]}")
    return folder


def node_says(folder: Path, judge: str, **asked: object) -> dict[str, Any]:
    done = subprocess.run(
        ["node", folder / "judge.mjs"],  # noqa: S607 -- the system's own
        input=json.dumps({"judge": judge, **asked}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("script", ["wsh", "sh-wsh", "sh"])
@pytest.mark.parametrize(("threshold", "total"), [(1, 2), (3, 5)])
def test_caravan_has_the_addresses_of_what_is_written_for_it(
    node: Path, script: str, threshold: int, total: int
) -> None:
    policy = soft_vault(threshold, total, script).policy
    wallet = wallet_of(policy, "family", tuple(f"card {n}" for n in range(total)))
    config = "\n".join(writing.write(wallet, policy.network, "caravan"))
    said = node_says(node, "caravan", config=config, count=COUNT)
    assert said["receive"] == list(addresses(policy, RECEIVE, range(COUNT)))
    assert said["change"] == list(addresses(policy, CHANGE, range(COUNT)))


@pytest.mark.parametrize("size", [30, 200, 2_000])
@pytest.mark.parametrize("lost", [0, 3])
@pytest.mark.parametrize("data", [PSBT, SMALL], ids=["20 inputs", "1 input"])
def test_ur_codes_are_read_and_written_by_both(
    node: Path, data: bytes, size: int, lost: int
) -> None:
    message = ur_types.payment(data)
    plain = ur.split(message, size)
    more = 3 * len(plain) if lost else 0
    ours = ur.split(message, size, more)[min(lost, len(plain) - 1) :]
    said = node_says(node, "ur", parts=ours, size=size, more=more)
    assert (said["type"], said["cbor"]) == (message.type, message.cbor.hex())
    theirs = [each.upper() for each in said["parts"]]
    assert theirs[: len(plain)] == plain
    received = theirs[min(lost, len(plain) - 1) :]
    random.Random(size).shuffle(received)
    assert ur.joined(received) == message


@pytest.mark.parametrize("encoding", ["H", "2", "Z"])
@pytest.mark.parametrize("version", [5, 27])
@pytest.mark.parametrize(("data", "kind"), [(PSBT, "P"), (b"{}", "J")], ids=["psbt", "json"])
def test_bbqr_codes_are_read_and_written_by_both(
    node: Path, encoding: str, version: int, data: bytes, kind: str
) -> None:
    parts = bbqr.split(data, kind, 200)
    said = node_says(node, "bbqr", parts=parts[::-1], encoding=encoding, version=version)
    assert (said["type"], said["data"]) == (kind, data.hex())
    assert bbqr.joined(said["parts"][::-1]) == (kind, data)
