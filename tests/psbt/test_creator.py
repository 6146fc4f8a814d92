import random
from dataclasses import replace

import pytest

from psbt import codec
from psbt.coins import Outpoint, Payment
from psbt.creator import Creation, create
from psbt.errors import PsbtError
from psbt.keys import fingerprint
from psbt.policy import CHANGE, RECEIVE, vault_script
from psbt.signer import with_signatures
from psbt.transaction import parse_transaction
from tests.judges import judge
from tests.psbt.soft_vault import PAYEE, seed, soft_vault

VAULT = soft_vault(2, 3)
COINS, PREVIOUS = VAULT.fund([50_000, 60_000, 70_000, 80_000])
CHANGE_SCRIPT = vault_script(VAULT.policy, CHANGE, 7)
OTHER = b"\x00\x20" + b"\x33" * 32


def creation(order: int = 1) -> Creation:
    payments = (Payment(PAYEE, 100_000), Payment(OTHER, 50_000))
    change = (CHANGE_SCRIPT, 90_000)
    return Creation(VAULT.policy, COINS, payments, change, 700_000, random.Random(order))


def test_it_spends_what_it_should_to_whom_it_should() -> None:
    transaction = codec.unsigned_transaction(create(creation(), PREVIOUS))
    assert {i.outpoint for i in transaction.inputs} == {coin.outpoint for coin in COINS}
    assert {i.sequence for i in transaction.inputs} == {0xFFFFFFFD}
    paid = {(out.script_pubkey, out.value_sats) for out in transaction.outputs}
    assert paid == {(PAYEE, 100_000), (OTHER, 50_000), (CHANGE_SCRIPT.script_pubkey, 90_000)}
    assert len(transaction.outputs) == 3
    assert (transaction.version, transaction.locktime) == (2, 700_000)


def test_an_input_says_all_a_signer_asks() -> None:
    by_outpoint = {coin.outpoint: coin for coin in COINS}
    for psbt_in in create(creation(), PREVIOUS).inputs:
        txid = psbt_in.txid.hex()
        coin = by_outpoint[Outpoint(txid, psbt_in.vout)]
        script = vault_script(VAULT.policy, coin.keychain, coin.index)
        assert psbt_in.non_witness_utxo.serialize() == PREVIOUS[txid]
        assert psbt_in.witness_utxo.value == coin.value_sats
        assert psbt_in.witness_utxo.script_pubkey.data == script.script_pubkey
        assert psbt_in.witness_script.data == script.witness_script
        origins = {key.sec(): origin for key, origin in psbt_in.bip32_derivations.items()}
        assert set(origins) == set(script.pubkeys)
        for pubkey, key in zip(script.pubkeys, VAULT.policy.keys, strict=True):
            assert origins[pubkey].fingerprint == key.fingerprint
            assert origins[pubkey].derivation == [*key.path, RECEIVE, coin.index]


def test_change_shows_whose_it_is_and_payments_show_nothing() -> None:
    for psbt_out in create(creation(), PREVIOUS).outputs:
        if psbt_out.script_pubkey.data != CHANGE_SCRIPT.script_pubkey:
            assert psbt_out.witness_script is None
            assert psbt_out.bip32_derivations == {}
            continue
        assert psbt_out.witness_script.data == CHANGE_SCRIPT.witness_script
        paths = {o.fingerprint: o.derivation for o in psbt_out.bip32_derivations.values()}
        assert paths == {key.fingerprint: [*key.path, CHANGE, 7] for key in VAULT.policy.keys}


def test_global_xpubs_are_the_account_keys() -> None:
    psbt = create(creation(), PREVIOUS)
    found = {
        (xpub.key.sec(), xpub.chain_code, xpub.depth, xpub.child_number): origin
        for xpub, origin in psbt.xpubs.items()
    }
    assert {(place[0], origin.fingerprint) for place, origin in found.items()} == {
        (key.key.public_key, key.fingerprint) for key in VAULT.policy.keys
    }
    for key in VAULT.policy.keys:
        whole = (key.key.public_key, key.key.chain_code, key.key.depth, key.key.child_number)
        assert found[whole].derivation == list(key.path)
    assert {xpub.fingerprint for xpub in psbt.xpubs} == {
        key.key.parent_fingerprint for key in VAULT.policy.keys
    }


def test_peers_sign_it() -> None:
    wally = judge("wallycore")
    psbt = create(creation(), PREVIOUS)
    answers = VAULT.answers(psbt, 0)
    theirs = wally.psbt_from_base64(codec.to_base64(psbt), 0)
    master = VAULT.masters[0]
    hdkey = wally.bip32_key_from_seed(seed(0), wally.BIP32_VER_TEST_PRIVATE, 0)
    assert fingerprint(master.pubkey) == bytes(wally.bip32_key_get_fingerprint(hdkey))
    wally.psbt_sign_bip32(theirs, hdkey, wally.EC_FLAG_GRIND_R)
    signed = codec.parse(wally.psbt_to_base64(theirs, 0))
    ours = with_signatures(psbt, answers)
    for psbt_in, peer_in in zip(ours.inputs, signed.inputs, strict=True):
        assert set(psbt_in.partial_sigs) == set(peer_in.partial_sigs)


def test_the_order_is_random_and_given() -> None:
    same = codec.to_bytes(create(creation(3), PREVIOUS))
    assert codec.to_bytes(create(creation(3), PREVIOUS)) == same
    transactions = [codec.unsigned_transaction(create(creation(s), PREVIOUS)) for s in range(30)]
    assert len({tuple(t.inputs) for t in transactions}) > 10
    assert len({tuple(t.outputs) for t in transactions}) == 6


def test_without_change_there_is_none() -> None:
    psbt = create(replace(creation(), change=None), PREVIOUS)
    assert len(psbt.outputs) == 2
    assert not any(psbt_out.bip32_derivations for psbt_out in psbt.outputs)
    only_change = replace(creation(), payments=())
    assert len(create(only_change, PREVIOUS).outputs) == 1


def test_what_cannot_be_a_transaction_is_refused() -> None:
    cases = {
        "none or some of them twice": {"coins": ()},
        "5 coins": {"coins": (*COINS, COINS[0])},
        "needs an output": {"payments": (), "change": None},
        "lock time -1": {"locktime": -1},
        "lock time 4294967296": {"locktime": 1 << 32},
        "worth 260001 sats, the coins 260000": {"change": (CHANGE_SCRIPT, 110_001)},
        "an output of -1 sats": {"payments": (Payment(PAYEE, -1),)},
    }
    for sentence, values in cases.items():
        with pytest.raises(PsbtError, match=sentence):
            replace(creation(), **values)
    replace(creation(), change=(CHANGE_SCRIPT, 110_000), locktime=(1 << 32) - 1)
    replace(creation(), payments=(Payment(b"\x6a", 0),), locktime=0)


def test_coins_are_held_against_their_transactions() -> None:
    coin = COINS[0]
    txid = coin.outpoint.txid
    cases = {
        f"{txid}:0 has 50000 sats, not 50001": replace(coin, value_sats=50_001),
        f"{txid}:0 is not at 0/9": replace(coin, index=9),
        f"{txid}:0 is not at 1/0": replace(coin, keychain=CHANGE),
        f"{txid} has no output 2": replace(coin, outpoint=Outpoint(txid, 2)),
    }
    for sentence, wrong in cases.items():
        with pytest.raises(PsbtError, match=sentence):
            create(replace(creation(), coins=(wrong, *COINS[1:])), PREVIOUS)
    with pytest.raises(PsbtError, match=f"{txid} that made a coin is missing"):
        create(creation(), {key: raw for key, raw in PREVIOUS.items() if key != txid})
    foreign = PREVIOUS[COINS[2].outpoint.txid]
    with pytest.raises(PsbtError, match=f"given for {txid} is {parse_transaction(foreign).txid}"):
        create(creation(), {**PREVIOUS, txid: foreign})
