"""Other wallets' own code for Node.js as judges: Caravan's addresses and PSBTs, UR and BBqr.

Installed from the lock in `node/`, once, into a folder of its own beside this Python's packages,
without running any package's scripts. One case of each runs in `make test`, the rest in
`make test-all`.
"""

import random
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from coordinator.interop import bbqr, ur, ur_types, writing
from coordinator.interop.wallet_file import wallet_of
from psbt import codec
from psbt.combiner import combine
from psbt.policy import CHANGE, RECEIVE, addresses
from psbt.sighash import spent_outputs
from tests.judges import program_says
from tests.psbt.soft_vault import soft_vault

MATRIX = pytest.mark.matrix
HERE = Path(__file__).with_name("node")
INSTALL_SECONDS = 60
COUNT = 10
PSBT = codec.to_bytes(soft_vault(2, 3).spend([10_000] * 20, 50_000, 149_000))
SMALL = codec.to_bytes(soft_vault(2, 3).spend([10_000], 5_000, 4_000))


@pytest.fixture(scope="session")
def node() -> Path:
    """Install the judges; where there is no Node.js or no registry the tests are left out."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("left out: there is no node and npm here")
    lock = (HERE / "package-lock.json").read_bytes()
    folder = Path(sys.prefix) / f"judges-node-{sha256(lock).hexdigest()[:12]}"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "installed").exists():
            install(npm, folder)
            (folder / "installed").touch()
        shutil.copy(HERE / "judge.mjs", folder)
    return folder


def install(npm: str, folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
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


def node_says(folder: Path, judge: str, **asked: object) -> dict[str, Any]:
    return program_says("node", folder / "judge.mjs", asked={"judge": judge, **asked})


SCRIPTS = ["wsh", *(pytest.param(script, marks=MATRIX) for script in ("sh-wsh", "sh"))]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(("threshold", "total"), [(3, 5), pytest.param(1, 2, marks=MATRIX)])
def test_caravan_has_the_addresses_of_what_is_written_for_it(
    node: Path, script: str, threshold: int, total: int
) -> None:
    policy = soft_vault(threshold, total, script).policy
    wallet = wallet_of(policy, "family", tuple(f"card {n}" for n in range(total)))
    config = "\n".join(writing.write(wallet, policy.network, "caravan"))
    said = node_says(node, "caravan", config=config, count=COUNT)
    assert said["receive"] == list(addresses(policy, RECEIVE, range(COUNT)))
    assert said["change"] == list(addresses(policy, CHANGE, range(COUNT)))


@pytest.mark.parametrize("script", SCRIPTS)
def test_caravan_reads_combines_and_validates_our_psbts(node: Path, script: str) -> None:
    vault = soft_vault(2, 3, script)
    spend = vault.spend([20_000, 30_000], 30_000, 15_000)
    signed = [vault.sign(spend, place) for place in (0, 2)]
    both = combine(*signed, vault.policy)
    said = node_says(
        node,
        "psbt",
        psbt=codec.to_base64(spend, 2),
        others=[codec.to_base64(each, 2) for each in signed],
        signed=codec.to_base64(both),
        amounts=[str(output.value_sats) for output in spent_outputs(spend)],
    )
    for written in (said["written"], said["zero"], said["again"]):
        assert codec.to_bytes(codec.parse(written)) == codec.to_bytes(spend)
    theirs = combine(spend, codec.parse(said["combined"]), vault.policy)
    assert codec.to_bytes(theirs) == codec.to_bytes(both)
    for psbt_in, found in zip(both.inputs, said["keys"], strict=True):
        assert {key.sec().hex() for key in psbt_in.partial_sigs} == set(found)


@pytest.mark.parametrize("size", [200, *(pytest.param(n, marks=MATRIX) for n in (30, 2_000))])
@pytest.mark.parametrize("lost", [3, pytest.param(0, marks=MATRIX)])
@pytest.mark.parametrize(
    "data", [PSBT, pytest.param(SMALL, marks=MATRIX)], ids=["20 inputs", "1 input"]
)
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


@pytest.mark.parametrize("encoding", ["Z", *(pytest.param(e, marks=MATRIX) for e in "H2")])
@pytest.mark.parametrize("version", [27, pytest.param(5, marks=MATRIX)])
@pytest.mark.parametrize(
    ("data", "kind"), [(PSBT, "P"), pytest.param(b"{}", "J", marks=MATRIX)], ids=["psbt", "json"]
)
def test_bbqr_codes_are_read_and_written_by_both(
    node: Path, encoding: str, version: int, data: bytes, kind: str
) -> None:
    parts = bbqr.split(data, kind, 200)
    said = node_says(node, "bbqr", parts=parts[::-1], encoding=encoding, version=version)
    assert (said["type"], said["data"]) == (kind, data.hex())
    assert bbqr.joined(said["parts"][::-1]) == (kind, data)
