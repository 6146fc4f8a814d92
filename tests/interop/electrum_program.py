"""Runs under the system's Python, beside Debian's Electrum: JSON in, what Electrum says out.

Offline and on regtest, in a folder of its own; nothing of ours is imported here.
"""

import asyncio
import json
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")

from electrum import constants, keystore, util  # noqa: E402 -- after its warnings are silenced
from electrum.simple_config import SimpleConfig  # noqa: E402 -- as above
from electrum.transaction import PartialTransaction  # noqa: E402 -- as above
from electrum.wallet import Multisig_Wallet  # noqa: E402 -- as above
from electrum.wallet_db import WalletDB  # noqa: E402 -- as above


def opened(asked: dict[str, Any]) -> WalletDB:
    """Open a wallet's file, or begin one from keys, as its own dialog does."""
    if "file" in asked:
        return WalletDB(asked["file"], manual_upgrades=False)
    db = WalletDB("", manual_upgrades=False)
    db.put("wallet_type", asked["type"])
    for number, text in enumerate(asked["keys"], 1):
        store = keystore.from_master_key(text)
        fingerprint, path = asked["origins"][number - 1]
        store.add_key_origin(derivation_prefix=path, root_fingerprint=fingerprint)
        db.put(f"x{number}/", store.dump())
    return db


async def answered(asked: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return the addresses, the file as written, and a PSBT with the signatures it could give."""
    util._asyncio_event_loop = asyncio.get_running_loop()
    config = SimpleConfig({"electrum_path": folder, "offline": True, "regtest": True})
    db = opened(asked)
    wallet = Multisig_Wallet(db, None, config=config)
    wallet.synchronize()
    answer: dict[str, Any] = {
        "script": wallet.txin_type,
        "receive": wallet.get_receiving_addresses()[: asked["count"]],
        "change": [wallet.derive_address(1, index) for index in range(asked["count"])],
        "origins": [
            [store.get_root_fingerprint(), store.get_derivation_prefix()]
            for store in wallet.get_keystores()
        ],
        "file": db.dump(),
    }
    if "psbt" in asked:
        spend = PartialTransaction.from_raw_psbt(asked["psbt"])
        wallet.sign_transaction(spend, None)
        answer["signed"] = spend.serialize()
    return answer


constants.set_regtest()
json.dump(asyncio.run(answered(json.load(sys.stdin), sys.argv[1])), sys.stdout)
