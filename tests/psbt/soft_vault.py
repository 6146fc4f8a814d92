"""A vault whose keys are software, to play every cosigner."""

import hashlib
import hmac
import random
from dataclasses import dataclass, field

import coincurve

from psbt.codec import Psbt
from psbt.coins import Coin, Outpoint, Payment
from psbt.creator import Creation, create
from psbt.keys import ExtendedPublicKey, KeyExpression, bip48_path, fingerprint
from psbt.network import Network
from psbt.partial_signatures import standing
from psbt.policy import CHANGE, RECEIVE, Policy, vault_script
from psbt.signature import BIP340, ECDSA, ORDER, Scheme, compact_from_der
from psbt.signer import SigningRequest, signing_requests, with_signatures
from psbt.transaction import Transaction, TransactionInput, TransactionOutput

PAYEE = bytes.fromhex("0014") + b"\x11" * 20
Answers = list[tuple[SigningRequest, bytes]]


@dataclass(frozen=True)
class PrivateKey:
    """One BIP 32 private key."""

    secret: bytes
    chain_code: bytes
    depth: int = 0
    parent: bytes = bytes(4)
    number: int = 0

    @property
    def pubkey(self) -> bytes:
        return coincurve.PrivateKey(self.secret).public_key.format()

    def child(self, number: int) -> "PrivateKey":
        data = b"\x00" + self.secret if number >> 31 else self.pubkey
        mac = hmac.digest(self.chain_code, data + number.to_bytes(4, "big"), "sha512")
        secret = (int.from_bytes(mac[:32], "big") + int.from_bytes(self.secret, "big")) % ORDER
        parent = fingerprint(self.pubkey)
        return PrivateKey(secret.to_bytes(32, "big"), mac[32:], self.depth + 1, parent, number)

    def at(self, path: tuple[int, ...]) -> "PrivateKey":
        key = self
        for number in path:
            key = key.child(number)
        return key

    def public(self) -> ExtendedPublicKey:
        return ExtendedPublicKey(self.pubkey, self.chain_code, self.depth, self.parent, self.number)

    def sign(self, digest: bytes, scheme: Scheme = ECDSA) -> bytes:
        if scheme is BIP340:
            return coincurve.PrivateKey(self.secret).sign_schnorr(digest)
        return compact_from_der(coincurve.PrivateKey(self.secret).sign(digest, hasher=None))


def seed(place: int) -> bytes:
    return hashlib.sha256(b"cosigner %d" % place).digest()


def master(secret: bytes) -> PrivateKey:
    mac = hmac.digest(b"Bitcoin seed", secret, "sha512")
    return PrivateKey(mac[:32], mac[32:])


@dataclass(frozen=True)
class SoftVault:
    """A policy with all its private keys."""

    policy: Policy
    masters: tuple[PrivateKey, ...]
    accounts: dict[bytes, PrivateKey] = field(default_factory=dict)

    def fund(self, values: list[int]) -> tuple[tuple[Coin, ...], dict[str, bytes]]:
        """Pay each value to the next receive address, two values in each transaction."""
        coins, previous = [], {}
        for start in range(0, len(values), 2):
            pair = list(enumerate(values[start : start + 2], start))
            outputs = tuple(
                TransactionOutput(value, vault_script(self.policy, RECEIVE, index).script_pubkey)
                for index, value in pair
            )
            source = Outpoint(hashlib.sha256(b"%d" % start).hexdigest(), 0)
            transaction = Transaction((TransactionInput(source, b"\x51"),), outputs)
            previous[transaction.txid] = transaction.raw
            for vout, (index, value) in enumerate(pair):
                outpoint = Outpoint(transaction.txid, vout)
                coins.append(Coin(outpoint, value, RECEIVE, index, 100))
        return tuple(coins), previous

    def creation(
        self, values: list[int], pay: int, change: int
    ) -> tuple[Creation, dict[str, bytes]]:
        """Plan a payment with change from coins of these values."""
        coins, previous = self.fund(values)
        plan = Creation(
            self.policy,
            coins,
            (Payment(PAYEE, pay),),
            (vault_script(self.policy, CHANGE, 7), change) if change else None,
            700_000,
            random.Random(1),
        )
        return plan, previous

    def spend(self, values: list[int], pay: int, change: int) -> Psbt:
        """Create a payment with change from coins of these values."""
        return create(*self.creation(values, pay, change))

    def answers(self, psbt: Psbt, cosigner: int) -> Answers:
        """Sign all that one cosigner is asked for, at the full path from the master."""
        requests = signing_requests(psbt, self.policy, self.policy.keys[cosigner])
        key = self.masters[cosigner]
        return [(r, self._private(key, r.path).sign(r.digest, r.scheme)) for r in requests]

    def sign(self, psbt: Psbt, cosigner: int) -> Psbt:
        return with_signatures(psbt, self.answers(psbt, cosigner))

    def _private(self, key: PrivateKey, path: tuple[int, ...]) -> PrivateKey:
        account = self.accounts.setdefault(key.secret, key.at(path[:-2]))
        return account.at(path[-2:])


def soft_vault(
    threshold: int, total: int, script: str = "wsh", *, sorted_keys: bool = True
) -> SoftVault:
    masters = tuple(master(seed(place)) for place in range(total))
    path = bip48_path(Network.REGTEST)
    keys = tuple(
        KeyExpression(fingerprint(key.pubkey), path, key.at(path).public()) for key in masters
    )
    policy = Policy(threshold, keys, Network.REGTEST, script, sorted_keys)
    return SoftVault(policy, masters)


def quorum(psbt: Psbt, policy: Policy) -> tuple[int, int]:
    """Return the valid signatures of the poorest input, and the threshold."""
    found = standing(psbt, policy)
    return found.have, found.need
