"""Specter Desktop's own import judges what is written for it: `SPECTER=/path/to/its/python`.

The package is large (160 others), so it is not installed for the tests:
`python -m venv there && there/bin/pip install cryptoadvance.specter==2.1.11`.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from coordinator.interop import writing
from coordinator.interop.wallet_file import wallet_of
from psbt.keys import format_path, format_xpub
from psbt.policy import RECEIVE, addresses
from tests.judges import program_says
from tests.psbt.soft_vault import soft_vault

PROGRAM = Path(__file__).with_name("specter_program.py")
NAMES = ("aunt", "uncle", "cousin")
COUNT = 5


def specter_says(file: str) -> dict[str, Any]:
    python = os.environ.get("SPECTER")
    if not python:
        pytest.skip("left out: SPECTER names no Python with Specter Desktop")
    return program_says(python, PROGRAM, asked={"file": file, "count": COUNT})


@pytest.mark.parametrize(
    ("format_", "script"),
    # Of an Electrum file with nested keys Specter makes a descriptor that it does not read itself.
    [*(("specter", each) for each in ("wsh", "sh-wsh", "sh")), ("electrum", "wsh")],
)
def test_specter_imports_what_is_written_for_it(format_: str, script: str) -> None:
    policy = soft_vault(2, 3, script).policy
    wallet = wallet_of(policy, "family", NAMES)
    said = specter_says("\n".join(writing.write(wallet, policy.network, format_)))
    assert (said["type"], said["script"], said["quorum"]) == ("multisig", script, [2, 3])
    assert said["receive"] == list(addresses(policy, RECEIVE, range(COUNT)))
    assert [key[:3] for key in said["keys"]] == [
        [
            key.fingerprint.hex(),
            f"m/{format_path(key.path)}",
            format_xpub(key.key, policy.network),
        ]
        for key in policy.keys
    ]
    if format_ == "specter":
        assert said["name"] == "family"
        assert [key[3] for key in said["keys"]] == list(NAMES)


def test_specter_keeps_the_order_of_keys_that_are_not_sorted() -> None:
    policy = soft_vault(2, 3, sorted_keys=False).policy
    wallet = wallet_of(policy, "family", NAMES)
    said = specter_says(writing.write(wallet, policy.network, "specter")[0])
    assert said["receive"] == list(addresses(policy, RECEIVE, range(COUNT)))
