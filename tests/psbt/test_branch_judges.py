"""Other people's programs on policies with branches: addresses, witnesses, and what they refuse."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from psbt import codec, consensus, outline
from psbt.codec import Psbt
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.forms import Branch, Wait, branch_name, key_uses
from psbt.network import Network
from psbt.policy import (
    CHANGE,
    RECEIVE,
    Policy,
    addresses,
    format_descriptor,
    parse_descriptor,
    vault_script,
)
from tests.judges import judge
from tests.psbt.branch_vaults import (
    FORMS,
    branch_vault,
    last_keys,
    signed_by_branch,
    spend_by,
)
from tests.psbt.soft_vault import SoftVault, soft_vault

HERE = Network.REGTEST
WALLY_SCRIPT_MAX = 520
"""What libwally makes an address of; a witness script may have 3,600 bytes."""
ROOT = Path(__file__).parents[2]


def random_vault(seed: int) -> SoftVault:
    """Return a vault of a form that is written here, of any size, its keys in any order."""
    rng, vault = random.Random(seed), soft_vault(1, 15)
    keys = list(vault.policy.keys)
    total = rng.randint(1, 15)
    primary = rng.sample(keys, total)
    uses, waits = key_uses(primary), sorted(rng.sample(range(1, 65_536), 2))
    taken, late = uses, list[Branch]()
    for stage in range(1, rng.randint(1, 2) + 1):
        own = key_uses(rng.sample(keys, rng.choice([1, rng.randint(1, 15)])), taken)
        number = waits[stage - 1]
        wait = Wait(blocks=number) if seed % 3 else Wait(height=700_000 + number)
        late.append(Branch(branch_name(stage), rng.randint(1, len(own)), own, wait))
        taken = (*taken, *own)
    policy = Policy(rng.randint(1, total), tuple(primary), HERE, recoveries=tuple(late))
    return replace(vault, policy=policy)


SEEDS = range(25)
VAULTS = {name: branch_vault(name) for name in FORMS}
VAULTS |= {f"random {seed}": random_vault(seed) for seed in SEEDS}
CASES = [(name, branch.name) for name in VAULTS for branch in VAULTS[name].policy.branches]


@cache
def signed(name: str, branch: str) -> Psbt:
    vault = VAULTS[name]
    return signed_by_branch(vault, spend_by(vault, branch), branch, *last_keys(vault, branch))


@pytest.fixture(scope="module")
def bdk() -> dict[str, Any]:
    judge("bdkpython")
    asked = {
        "psbts": [codec.to_base64(signed(*case)) for case in CASES],
        "descriptors": [format_descriptor(vault.policy) for vault in VAULTS.values()],
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.psbt.bdk_child"],
        input=json.dumps(asked), capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    told = json.loads(done.stdout)
    return {
        "transactions": dict(zip(CASES, told["transactions"], strict=True)),
        "addresses": dict(zip(VAULTS, told["addresses"], strict=True)),
    }


@pytest.mark.parametrize("name", VAULTS)
def test_addresses_are_those_of_bdk_and_libwally(name: str, bdk: dict[str, Any]) -> None:
    wally = judge("wallycore")
    policy = VAULTS[name].policy
    assert parse_descriptor(format_descriptor(policy), HERE) == policy
    ours = [list(addresses(policy, keychain, range(3))) for keychain in (RECEIVE, CHANGE)]
    assert ours == bdk["addresses"][name]
    if len(vault_script(policy, RECEIVE, 0).code) > WALLY_SCRIPT_MAX:
        return
    text = format_descriptor(policy)
    parsed = wally.descriptor_parse(text, None, wally.WALLY_NETWORK_BITCOIN_REGTEST, 0)
    theirs = [
        [wally.descriptor_to_address(parsed, 0, keychain, n, 0) for n in range(3)]
        for keychain in (RECEIVE, CHANGE)
    ]
    assert ours == theirs


@pytest.mark.parametrize(("name", "branch"), CASES)
def test_bdk_unlocks_each_branch_as_we_do(name: str, branch: str, bdk: dict[str, Any]) -> None:
    ours = extract(finalize(signed(name, branch), VAULTS[name].policy, branch=branch))
    assert bdk["transactions"][name, branch] == {"transaction": ours.hex()}
    if consensus.engine_available():
        assert consensus.check(ours, outline.spent(signed(name, branch))) == consensus.ACCEPTED
