"""Electrum as a judge: it opens what we write for it, and we read what it writes.

Its own modules (Debian's python3-electrum) run under the system's Python, offline, on regtest.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from embit import base58

from coordinator.interop import writing
from coordinator.interop.recognition import read_text
from coordinator.interop.wallet_file import is_same_wallet, key_expression, wallet_of
from coordinator.payment.psbt_file import read_signed
from psbt import codec, consensus
from psbt.codec import Psbt
from psbt.combiner import combine
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.keys import PREFIXES, format_path, format_xpub
from psbt.policy import CHANGE, RECEIVE, Policy, addresses, vault_script
from tests.judges import REQUIRE_ALL, program_says
from tests.psbt.soft_vault import SoftVault, soft_vault

PROGRAM = Path(__file__).with_name("electrum_program.py")
SYSTEM_PYTHON = "/usr/bin/python3"
COUNT = 10
VALUES = [60_000, 70_000, 80_000]
PRIVATE_VERSIONS = {
    "wsh": bytes.fromhex("02575048"),  # Vprv
    "sh-wsh": bytes.fromhex("024285b5"),  # Uprv
    "sh": bytes.fromhex("04358394"),  # tprv
}
PATH_WARNINGS: dict[str, set[str]] = {
    "wsh": set(),  # every key's path is that of wsh
    "sh-wsh": {"path_of_other_script"},
    "sh": {"path_of_other_script"},
}
SCRIPTS = {"wsh": "p2wsh", "sh-wsh": "p2wsh-p2sh", "sh": "p2sh"}


@cache
def is_installed() -> bool:
    """Tell whether the system's Python has Electrum."""
    look = "import importlib.util as u, sys; sys.exit(u.find_spec('electrum') is None)"
    python = shutil.which(SYSTEM_PYTHON)
    return (
        python is not None
        and not subprocess.run([python, "-I", "-c", look], check=False).returncode
    )


@pytest.fixture(autouse=True)
def electrum() -> None:
    if not is_installed():
        told = f"left out: {SYSTEM_PYTHON} has no Electrum (Debian: python3-electrum)"
        (pytest.fail if os.environ.get(REQUIRE_ALL) == "1" else pytest.skip)(told)


def electrum_says(folder: Path, **asked: object) -> dict[str, Any]:
    return program_says(SYSTEM_PYTHON, "-I", PROGRAM, folder, asked={"count": COUNT, **asked})


def expected(policy: Policy) -> dict[str, list[str]]:
    return {
        "receive": list(addresses(policy, RECEIVE, range(COUNT))),
        "change": list(addresses(policy, CHANGE, range(COUNT))),
    }


def public_keys(policy: Policy) -> list[str]:
    """Return the keys with the prefix (SLIP 132) that Electrum tells the script by."""
    said = None if policy.script == "sh" else policy.script
    version = next(v for v, p in PREFIXES.items() if not p.mainnet and p.script == said)
    return [format_xpub(each.key, policy.network, version) for each in policy.keys]


def origins(policy: Policy) -> list[list[str]]:
    return [
        [each.fingerprint.hex(), "m/" + format_path(each.path).replace("h", "'")]
        for each in policy.keys
    ]


def account_xprv(vault: SoftVault, cosigner: int) -> str:
    """Return a cosigner's private account key with the prefix that Electrum goes by."""
    path = vault.policy.keys[cosigner].path
    key = vault.masters[cosigner].at(path)
    head = PRIVATE_VERSIONS[vault.policy.script] + bytes([key.depth]) + key.parent
    return base58.encode_check(
        head + key.number.to_bytes(4, "big") + key.chain_code + b"\x00" + key.secret
    )


SEVERAL = [
    pytest.param("wsh", 2, 3),
    *(
        pytest.param(script, threshold, total, marks=pytest.mark.matrix)
        for script in SCRIPTS
        for threshold, total in ((1, 2), (2, 2), (2, 3), (3, 5), (15, 15))
        if (script, threshold, total) != ("wsh", 2, 3)
    ),
]


@pytest.mark.parametrize(("script", "threshold", "total"), SEVERAL)
def test_electrum_opens_what_is_written_for_it_and_has_the_same_addresses(
    tmp_path: Path, script: str, threshold: int, total: int
) -> None:
    policy = soft_vault(threshold, total, script).policy
    wallet = wallet_of(policy, "family", tuple(f"card {n}" for n in range(total)))
    (written,) = writing.write(wallet, policy.network, "electrum")
    said = electrum_says(tmp_path, file=written)
    assert said["script"] == SCRIPTS[script]
    assert {chain: said[chain] for chain in ("receive", "change")} == expected(policy)
    assert sorted(said["origins"]) == sorted(origins(policy))
    again = read_text(said["file"], policy.network)
    assert is_same_wallet(again, wallet)
    assert [key_expression(key) for key in again.keys] == list(policy.keys)


@pytest.mark.parametrize(("script", "threshold", "total"), SEVERAL)
def test_what_electrum_writes_is_read_as_the_same_wallet(
    tmp_path: Path, script: str, threshold: int, total: int
) -> None:
    policy = soft_vault(threshold, total, script).policy
    said = electrum_says(
        tmp_path,
        type=f"{threshold}of{total}",
        keys=public_keys(policy),
        origins=origins(policy),
    )
    found = read_text(said["file"], policy.network)
    assert said["receive"] == expected(policy)["receive"]
    assert is_same_wallet(found, wallet_of(policy, "", ("",) * total))
    assert [key_expression(key) for key in found.keys] == list(policy.keys)
    assert found.repairs == ()
    assert {each.code for each in found.warnings} == PATH_WARNINGS[script]


@pytest.mark.parametrize(
    "script",
    ["wsh", *(pytest.param(each, marks=pytest.mark.matrix) for each in ("sh-wsh", "sh"))],
)
def test_electrum_signs_first_or_finishes_a_payment_of_ours(tmp_path: Path, script: str) -> None:
    vault = soft_vault(2, 3, script)
    asked = vault.spend(VALUES, 100_000, 100_000)
    ours = vault.sign(asked, 2)

    def returned(given: Psbt) -> Psbt:
        said = electrum_says(
            tmp_path,
            type="2of3",
            keys=[account_xprv(vault, 0), *public_keys(vault.policy)[1:]],
            origins=origins(vault.policy),
            psbt=codec.to_base64(given),
        )
        return combine(given, read_signed(said["signed"].encode(), given), vault.policy)

    first, last = returned(asked), returned(ours)
    assert {len(each.partial_sigs) for each in first.inputs} == {1}
    whole = extract(finalize(combine(first, ours, vault.policy), vault.policy))
    assert extract(finalize(last, vault.policy)) == whole
    unsigned = codec.unsigned_transaction(asked)
    spent = {coin.outpoint: coin for coin in vault.fund(VALUES)[0]}
    coins = [spent[each.outpoint] for each in unsigned.inputs]
    scripts = [vault_script(vault.policy, coin.keychain, coin.index) for coin in coins]
    pairs = zip(scripts, coins, strict=True)
    consensus.check(whole, [(script.script_pubkey, coin.value_sats) for script, coin in pairs])
