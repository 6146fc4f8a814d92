"""Runs under a Python that has Specter Desktop: JSON in, what Specter's import of a file says out.

Its import classes alone, without its server and without a node.
"""

import json
import logging
import sys
import types
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from cryptoadvance.specter.util.wallet_importer import WalletImporter  # noqa: E402 -- after its warnings are silenced
from embit.networks import NETWORKS  # noqa: E402 -- as above

asked = json.load(sys.stdin)
empty = types.SimpleNamespace(
    is_liquid=False,
    device_manager=types.SimpleNamespace(devices={}),
    wallet_manager=types.SimpleNamespace(wallets_names=[]),
    node=types.SimpleNamespace(is_testnet=True, chain="regtest"),
)
wallet = WalletImporter(asked["file"], empty)
answer = {
    "name": wallet.wallet_name,
    "type": wallet.wallet_type,
    "script": wallet.address_type,
    "quorum": [wallet.sigs_required, wallet.sigs_total],
    "receive": [
        wallet.descriptor.derive(index).address(NETWORKS["regtest"])
        for index in range(asked["count"])
    ],
    "keys": [
        [key.fingerprint, key.derivation, key.xpub, label]
        for key, label in wallet.unknown_cosigners
    ],
}
json.dump(answer, sys.stdout)
