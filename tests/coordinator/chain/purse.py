"""A key with coins, for tests that spend on the embedded chain."""

import hashlib

import coincurve

from psbt.coins import Outpoint
from psbt.digests import digests
from psbt.multisig import Multisig, write_multisig
from psbt.sighash import p2wsh
from psbt.transaction import Transaction, TransactionInput, TransactionOutput, parse_transaction

RBF = 0xFFFFFFFD
Coins = list[tuple[Outpoint, int]]


class Purse:
    """One key's coins: a 1-of-1 P2WSH that signs what the tests want spent."""

    def __init__(self, name: str) -> None:
        self.key = coincurve.PrivateKey(hashlib.sha256(name.encode()).digest())
        pubkey = self.key.public_key.format()
        self.witness_script = write_multisig(Multisig(1, (pubkey,)))
        self.script_pubkey = p2wsh(self.witness_script)

    def coins(self, raw: bytes) -> Coins:
        parsed = parse_transaction(raw)
        return [
            (Outpoint(parsed.txid, vout), output.value_sats)
            for vout, output in enumerate(parsed.outputs)
            if output.script_pubkey == self.script_pubkey
        ]

    def spend(
        self,
        coins: Coins,
        fee_sats: int = 1_000,
        sequence: int = RBF,
        to: bytes | None = None,
        **fields: int,
    ) -> Transaction:
        inputs = tuple(TransactionInput(coin, sequence=sequence) for coin, _ in coins)
        paid = sum(value for _, value in coins) - fee_sats
        outputs = (TransactionOutput(paid, to or self.script_pubkey),)
        return self.sign(Transaction(inputs, outputs, **fields), [value for _, value in coins])

    def sign(self, unsigned: Transaction, values: list[int]) -> Transaction:
        asked = digests(unsigned, [self.witness_script] * len(values), values)
        signatures = [self.key.sign(digest, hasher=None) + b"\x01" for digest in asked]
        inputs = tuple(
            item._replace(witness=(b"", signature, self.witness_script))
            for item, signature in zip(unsigned.inputs, signatures, strict=True)
        )
        return Transaction(inputs, unsigned.outputs, unsigned.version, unsigned.locktime)
