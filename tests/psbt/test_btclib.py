"""btclib-wallet, the strictest of the other programs, on what is written here.

It reads descriptors with branches and leaves, knows which miniscripts are sane, and verifies each
signature before it finishes a payment.
"""

import re
from functools import cache
from typing import Final

import pytest

from psbt import codec
from psbt.codec import Psbt
from psbt.errors import PolicyError
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.network import Network
from psbt.policy import (
    CHANGE,
    RECEIVE,
    addresses,
    format_descriptor,
    parse_descriptor,
)
from tests.judges import judge
from tests.psbt.branch_vaults import FORMS, branch_vault, last_keys, signed_by_branch, spend_by
from tests.psbt.soft_vault import soft_vault
from tests.sampled import in_turn, sampled

MULTISIGS: Final = {
    "wsh": soft_vault(2, 3),
    "wsh, as written": soft_vault(2, 3, sorted_keys=False),
    "wsh, 8 of 15": soft_vault(8, 15),
    "sh-wsh": soft_vault(2, 3, "sh-wsh"),
    "sh": soft_vault(2, 3, "sh"),
    "tr": soft_vault(2, 3, "tr"),
}
VAULTS: Final = MULTISIGS | {name: branch_vault(name) for name in FORMS}
CASES: Final = [
    (name, branch.name) for name, vault in VAULTS.items() for branch in vault.policy.branches
]
NETWORK: Final = "regtest"


@cache
def made(name: str, branch: str) -> tuple[Psbt, Psbt]:
    """Return a payment by a branch, unsigned and signed by just enough keys."""
    vault = VAULTS[name]
    asked = spend_by(vault, branch)
    if vault.policy.recoveries:
        return asked, signed_by_branch(vault, asked, branch, *last_keys(vault, branch))
    signed = asked
    for cosigner in range(vault.policy.threshold):
        signed = vault.sign(signed, cosigner)
    return asked, signed


@pytest.mark.parametrize("name", VAULTS)
def test_addresses_are_those_of_btclib(name: str) -> None:
    theirs = judge("btclib_wallet.descriptors.descriptors")
    policy = VAULTS[name].policy
    pair = theirs.multipath_descriptors(format_descriptor(policy), NETWORK)
    found = [[theirs.parse(text, NETWORK).address(index) for index in range(3)] for text in pair]
    assert found == [list(addresses(policy, keychain, range(3))) for keychain in (RECEIVE, CHANGE)]


@pytest.mark.parametrize(("name", "branch"), CASES)
@sampled(2)
def test_btclib_takes_what_is_asked_and_what_came_back(name: str, branch: str, every: int) -> None:
    for version in in_turn((0, 2), CASES.index((name, branch)), every):
        is_taken(name, branch, version)


def is_taken(name: str, branch: str, version: int) -> None:
    theirs = judge("btclib_wallet.psbt")
    ours = made(name, branch)
    asked, signed = (theirs.Psbt.b64decode(codec.to_base64(psbt, version)) for psbt in ours)
    theirs.assert_signatures_only(asked, signed)
    theirs.assert_signed(signed)
    other = signed.to_v2() if version == 0 else signed.to_v0()
    converted = codec.parse(other.serialize())
    assert codec.unsigned_transaction(converted) == codec.unsigned_transaction(ours[0])


@pytest.mark.parametrize(("name", "branch"), CASES)
def test_btclib_finishes_a_payment_as_we_do(name: str, branch: str) -> None:
    theirs = judge("btclib_wallet.psbt")
    solver = judge("btclib_wallet.descriptors.descriptors").miniscript_solver
    vault = VAULTS[name]
    _, signed = made(name, branch)
    given = theirs.Psbt.b64decode(codec.to_base64(signed))
    finished = theirs.finalize(given, solver=solver if vault.policy.recoveries else None)
    ours = extract(finalize(signed, vault.policy, branch=branch))
    assert theirs.extract_tx(finished).serialize(include_witness=True) == ours


KEYS: Final = re.findall(r"\[[^]]*\][^,)]*", format_descriptor(VAULTS["several later keys"].policy))
LATER: Final = f"and_v(v:multi(2,{','.join(KEYS[3:])}),older(52560))"
INSANE: Final = {
    "a key twice in a branch": (KEYS[2], KEYS[1]),
    "a key with the same keychains in two branches": (KEYS[3], KEYS[1]),
    "no wait": ("older(52560)", "older(0)"),
    "a wait no sequence can hold": ("older(52560)", "older(2147483648)"),
    "more signatures than keys": ("or_d(multi(2", "or_d(multi(4"),
    "no signature of several keys": ("or_d(multi(2", "or_d(multi(0"),
    "a branch without a signature": (LATER, "older(52560)"),
    "a fragment of another type": ("v:multi", "multi"),
}


@pytest.mark.parametrize("fault", INSANE)
def test_what_btclib_calls_insane_is_refused_here(fault: str) -> None:
    theirs = judge("btclib_wallet.descriptors.descriptors")
    written = format_descriptor(VAULTS["several later keys"].policy).split("#")[0]
    text = written.replace(*INSANE[fault], 1)
    assert text != written
    with pytest.raises(judge("btclib.exceptions").BTClibValueError):
        [theirs.parse(each, NETWORK).address(0) for each in theirs.multipath_descriptors(text)]
    with pytest.raises(PolicyError):
        parse_descriptor(text, Network.REGTEST)
