"""A card proves the stored key, or it is said what differs."""

from typing import ClassVar

import pytest

from cards.session import CardIdentity, ExtendedKey
from coordinator.vault.key_proofs import Expected, difference
from psbt.keys import bip48_path, fingerprint, format_path
from psbt.network import Network
from tests.psbt.soft_vault import PrivateKey, master, seed

PATH = bip48_path(Network.REGTEST)
MASTER, OTHER = master(seed(1)), master(seed(2))
ACCOUNT = MASTER.at(PATH)
WANTED = Expected(
    card_id=1,
    key_id=1,
    label="blue",
    cosigner="blue",
    path=format_path(PATH),
    public_key=ACCOUNT.pubkey,
    chain_code=ACCOUNT.chain_code,
    fingerprint=fingerprint(MASTER.pubkey),
)


class Card:
    """A session whose keys and signatures need not be of one seed."""

    signed: ClassVar[list[bytes]] = []

    def __init__(self, signer: PrivateKey = MASTER, account: PrivateKey = MASTER) -> None:
        self.signer, self.account = signer, account

    def identity(self) -> CardIdentity:
        return CardIdentity("card", "test", "1", initialised=True, attempts_left=5)

    def xpub(self, path: tuple[int, ...]) -> ExtendedKey:
        return ExtendedKey(*self.account.at(path).public())

    def sign(self, path: tuple[int, ...], digest: bytes) -> bytes:
        self.signed.append(digest)
        return self.signer.at(path).sign(digest)


def test_the_same_key_with_the_same_origin_is_proved() -> None:
    assert difference(Card(), WANTED) is None


def test_a_digest_is_never_asked_twice() -> None:
    Card.signed.clear()
    for _ in range(2):
        difference(Card(), WANTED)
    assert len(set(Card.signed)) == 2
    assert all(len(digest) == 32 for digest in Card.signed)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"public_key": OTHER.at(PATH).pubkey}, "is not the one stored"),
        ({"chain_code": bytes(32)}, "is not the one stored"),
        ({"fingerprint": bytes(4)}, "stored is 00000000"),
    ],
)
def test_what_differs_is_said(changed: dict[str, bytes], said: str) -> None:
    assert said in (difference(Card(), WANTED._replace(**changed)) or "")


def test_a_card_that_knows_the_key_and_cannot_sign_proves_nothing() -> None:
    assert "does not verify" in (difference(Card(signer=OTHER), WANTED) or "")
