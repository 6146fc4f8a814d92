"""How far a vault was looked for: whole from the first block on that can pay its script."""

from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.home.settings import create_home
from coordinator.vault import vaults
from coordinator.wallet import scans
from psbt.network import Network
from psbt.policy import format_descriptor
from storage import scans as scan_book
from storage.database import open_database
from tests.once import computing_once
from tests.psbt.soft_vault import soft_vault


@pytest.mark.parametrize(
    ("script", "start", "whole"),
    [
        ("wsh", 481_824, True),
        ("sh-wsh", 481_824, True),
        ("sh", 481_824, False),
        ("sh", 173_805, True),
        ("wsh", 600_000, False),
    ],
)
def test_a_look_is_whole_from_the_first_block_of_the_script(
    tmp_path: Path, script: str, start: int, *, whole: bool
) -> None:
    home = create_home(tmp_path / "home", "mainnet", "none:")
    policy = replace(soft_vault(2, 3, script).policy, network=Network.MAINNET)
    with computing_once():
        database = open_database(home.database_url)
    with database.begin() as db:
        plan = vaults.VaultPlan("v", 0, ())
        vault = vaults.import_text(home, db, plan, text=format_descriptor(policy)).vault
        for keychain in (0, 1):
            done = scan_book.Looked(start, 1_000, 900_000, "ab" * 32, earlier_unknown=False)
            scan_book.set_scan(db, vault, keychain, looked=done)
        assert scans.looked(db, vault).whole is whole
    database.kw["bind"].dispose()
