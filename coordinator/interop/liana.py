"""Liana's wallet file (JSON): one descriptor an account."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from coordinator.foreign_json import Field, lists_objects
from coordinator.interop import descriptors, own_json
from coordinator.interop.wallet_file import WalletFile
from psbt.network import Network

FORMAT: Final = "Liana wallet"
ACCOUNTS_MAX: Final = 20


def is_one(found: Field) -> bool:
    """Tell whether JSON is of this format."""
    accounts = found.value.get("accounts") if isinstance(found.value, dict) else None
    return lists_objects(accounts, "descriptor")


def read(found: Field, network: Network) -> list[WalletFile]:
    """Read the accounts; raises PolicyError where none is of a form that is known here."""
    name, files = found.member("name"), []
    for account in found["accounts"].items(ACCOUNTS_MAX):
        text = account["descriptor"].text(descriptors.DESCRIPTOR_MAX)
        called = account.member("name") or name
        told = account.member("timestamp")
        born = told.moment() if told is not None else 0
        files += [
            replace(
                file,
                name=called.text(200) if called is not None else None,
                birthday=datetime.fromtimestamp(born, UTC) if born else None,
            )
            for file in descriptors.wallets([text], network, FORMAT)
        ]
    return own_json.as_said(files, found, network)
