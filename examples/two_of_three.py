"""A 2-of-3 vault without the command line: three emulated cards, one PSBT, two signatures.

It shows the seam between the rooms: cards sign 32-byte digests and know nothing of Bitcoin; psbt is
pure functions and knows nothing of cards.

Run it with: python examples/two_of_three.py
"""

import hashlib
import random
import secrets

from cards.family import Surroundings, family_named
from cards.pin import Pin, Secret
from cards.session import CardSession
from psbt import consensus, creator, extractor, finalizer, outline, signer
from psbt.coins import Coin, Outpoint, Payment
from psbt.keys import ExtendedPublicKey, KeyExpression, bip48_path, fingerprint
from psbt.network import Network
from psbt.partial_signatures import standing
from psbt.policy import CHANGE, RECEIVE, Policy, addresses, format_descriptor, vault_script
from psbt.transaction import (
    Transaction,
    TransactionInput,
    TransactionOutput,
    parse_transaction,
)

NETWORK = Network.REGTEST
ACCOUNT = bip48_path(NETWORK)
COIN_SATS = 1_000_000
FEE_SATS = 1_000


def fresh_card() -> CardSession:
    """Return a Satochip with a PIN and a random seed, unlocked."""
    family = family_named("satochip")
    session = family.open(family.emulate(family.profiles[-1]).insert(), Surroundings())
    with Pin(b"123456") as pin, Secret(b"87654321") as puk, Secret(secrets.token_bytes(64)) as seed:
        session.initialise({"pin": pin, "puk": puk})
        session.unlock(pin)
        session.load_seed(seed)
    return session


def account_key(session: CardSession) -> KeyExpression:
    """Return the card's account key with its origin."""
    master = fingerprint(session.xpub(()).public_key)
    return KeyExpression(master, ACCOUNT, ExtendedPublicKey(*session.xpub(ACCOUNT)))


def main() -> None:
    """Make the vault, a coin, a payment with change, and sign it with two cards."""
    cards = [fresh_card() for _ in range(3)]
    keys = [account_key(card) for card in cards]
    policy = Policy(2, tuple(keys), NETWORK)
    print(format_descriptor(policy))
    print("first address:", next(addresses(policy, RECEIVE, [0])))

    script = vault_script(policy, RECEIVE, 0)
    funding = Transaction(
        inputs=(TransactionInput(Outpoint(hashlib.sha256(b"faucet").hexdigest(), 0)),),
        outputs=(TransactionOutput(COIN_SATS, script.script_pubkey),),
    )
    coin = Coin(Outpoint(funding.txid, 0), COIN_SATS, RECEIVE, 0, height=1)
    payment = Payment(b"\x00\x14" + secrets.token_bytes(20), COIN_SATS // 2)
    change = (vault_script(policy, CHANGE, 0), COIN_SATS - payment.value_sats - FEE_SATS)
    creation = creator.Creation(policy, (coin,), (payment,), change, 0, random.SystemRandom())
    psbt = creator.create(creation, {funding.txid: funding.raw})

    for card, key in list(zip(cards, keys, strict=True))[:2]:
        requests = signer.signing_requests(psbt, policy, key)
        answers = [(request, card.sign(request.path, request.digest)) for request in requests]
        psbt = signer.with_signatures(psbt, answers)
        held = standing(psbt, policy)
        print(f"signatures: {held.have} of {held.need}")

    spent = outline.spent(psbt)
    raw = extractor.extract(finalizer.finalize(psbt, policy))
    signed = parse_transaction(raw)
    print(signed.txid, signed.vsize, "vB:", consensus.check(raw, spent))
    for card in cards:
        card.close()


if __name__ == "__main__":
    main()
