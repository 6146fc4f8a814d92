from collections.abc import Callable
from dataclasses import replace

import pytest
from coincurve import PrivateKey

from psbt import codec
from psbt.codec import Psbt
from psbt.coins import Outpoint, Payment
from psbt.creator import create
from psbt.errors import PsbtError
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.policy import CHANGE, RECEIVE, format_address, vault_script
from psbt.replacement import Rival
from psbt.review import Context, KnownVault, Review, Severity, review
from psbt.transaction import parse_transaction
from tests.psbt.soft_vault import PAYEE, SoftVault, soft_vault

VAULT = soft_vault(2, 3)
POLICY = VAULT.policy
TIP = Context(tip_height=700_000)
SPEND = VAULT.spend([500_000, 600_000], 900_000, 190_000)
PAYEE_ADDRESS = format_address(PAYEE, POLICY.network)
OWN = vault_script(POLICY, RECEIVE, 3)


def codes(found: Review) -> dict[str, Severity]:
    return {caution.code: caution.severity for caution in found.warnings}


def paying(script_pubkey: bytes, value_sats: int = 900_000, change: int = 190_000) -> Psbt:
    """Create the usual spend to another script."""
    plan, previous = VAULT.creation([500_000, 600_000], value_sats, change)
    return create(replace(plan, payments=(Payment(script_pubkey, value_sats),)), previous)


def test_an_ordinary_spend_needs_no_warning() -> None:
    before = codec.to_bytes(SPEND)
    found = review(SPEND, POLICY, TIP)
    assert found.warnings == ()
    assert found.fee_sats == 10_000
    assert sorted(coin.value_sats for coin in found.inputs) == [500_000, 600_000]
    kinds = {(out.kind, out.value_sats, out.own) for out in found.outputs}
    assert kinds == {("payment", 900_000, False), ("change", 190_000, True)}
    assert codec.to_bytes(SPEND) == before


def test_addresses_are_shown_as_people_know_them() -> None:
    found = review(SPEND, POLICY, TIP)
    own = {
        format_address(vault_script(POLICY, RECEIVE, i).script_pubkey, POLICY.network)
        for i in (0, 1)
    }
    assert {coin.address for coin in found.inputs} == own
    change = format_address(vault_script(POLICY, CHANGE, 7).script_pubkey, POLICY.network)
    assert {out.address for out in found.outputs} == {PAYEE_ADDRESS, change}
    outpoints = {i.outpoint for i in codec.unsigned_transaction(SPEND).inputs}
    assert {coin.outpoint for coin in found.inputs} == outpoints


@pytest.mark.parametrize(("threshold", "total"), [(1, 1), (2, 3), (15, 15)])
def test_the_size_is_never_underrated_and_close(threshold: int, total: int) -> None:
    vault: SoftVault = soft_vault(threshold, total)
    psbt = vault.spend([500_000] * 4, 900_000, 190_000)
    found = review(psbt, vault.policy, TIP)
    for cosigner in range(threshold):
        psbt = vault.sign(psbt, cosigner)
    actual = parse_transaction(extract(finalize(psbt, vault.policy))).vsize
    assert actual <= found.vsize <= actual + 4 * threshold
    assert found.feerate == found.fee_sats * 1000 // found.vsize


@pytest.mark.parametrize(("fee", "high"), [(45_000, False), (45_001, True)])
def test_a_fee_above_5_percent_is_a_danger(fee: int, high: bool) -> None:  # noqa: FBT001 -- by name
    psbt = VAULT.spend([500_000, 600_000], 900_000, 200_000 - fee)
    assert (codes(review(psbt, POLICY, TIP)).get("high_fee") is Severity.DANGER) is high


def test_without_payments_the_fee_is_held_against_what_comes_back() -> None:
    coins, previous = VAULT.creation([500_000, 600_000], 1, 1)
    for change, high in ((1_099_000, False), (1_000_000, True)):
        own = (vault_script(POLICY, CHANGE, 0), change)
        psbt = create(replace(coins, payments=(), change=own), previous)
        assert ("high_fee" in codes(review(psbt, POLICY, TIP))) is high


def test_a_feerate_above_500_is_a_danger() -> None:
    size = review(SPEND, POLICY, TIP).vsize
    for fee, high in ((500 * size, False), (500 * size + size, True)):
        psbt = VAULT.spend([50_000_000, 60_000_000], 100_000_000, 10_000_000 - fee)
        found = review(psbt, POLICY, TIP)
        assert (codes(found).get("high_feerate") is Severity.DANGER) is high


def test_change_is_what_derives_and_nothing_else() -> None:
    claimed = codec.copy(paying(b"\x00\x20" + b"\x44" * 32))
    ours = next(out for out in claimed.outputs if out.bip32_derivations)
    theirs = next(out for out in claimed.outputs if not out.bip32_derivations)
    theirs.bip32_derivations = ours.bip32_derivations
    theirs.witness_script = ours.witness_script
    found = review(claimed, POLICY, TIP)
    assert codes(found) == {"foreign_change": Severity.DANGER}
    assert sorted(out.kind for out in found.outputs) == ["change", "payment"]


@pytest.mark.parametrize("field", ["bip32_derivations", "witness_script"])
def test_one_field_is_enough_to_claim_to_be_change(field: str) -> None:
    claimed = codec.copy(SPEND)
    ours = next(out for out in claimed.outputs if out.bip32_derivations)
    theirs = next(out for out in claimed.outputs if not out.bip32_derivations)
    setattr(theirs, field, getattr(ours, field))
    assert codes(review(claimed, POLICY, TIP)) == {"foreign_change": Severity.DANGER}


def test_a_fee_of_nothing_is_still_reviewed() -> None:
    free = VAULT.spend([500_000, 600_000], 900_000, 200_000)
    assert review(free, POLICY, TIP).fee_sats == 0


def test_change_without_a_hint_is_found_in_the_history() -> None:
    bare = codec.copy(SPEND)
    for psbt_out in bare.outputs:
        psbt_out.bip32_derivations, psbt_out.witness_script = {}, None
    assert {out.kind for out in review(bare, POLICY, TIP).outputs} == {"payment"}
    change = vault_script(POLICY, CHANGE, 7).script_pubkey
    known = replace(TIP, own_scripts={change: (CHANGE, 7)})
    assert {out.kind for out in review(bare, POLICY, known).outputs} == {"payment", "change"}
    lying = replace(TIP, own_scripts={change: (CHANGE, 8), PAYEE: (CHANGE, 7)})
    assert {out.kind for out in review(bare, POLICY, lying).outputs} == {"payment"}


def test_paying_oneself_and_paying_again_are_said() -> None:
    own = replace(TIP, own_scripts={OWN.script_pubkey: (RECEIVE, 3)})
    psbt = paying(OWN.script_pubkey)
    assert codes(review(psbt, POLICY, own)) == {"own_address": Severity.WARNING}
    used = replace(own, used_scripts={OWN.script_pubkey})
    assert set(codes(review(psbt, POLICY, used))) == {"own_address", "address_reuse"}
    again = replace(TIP, recent_addresses=(PAYEE_ADDRESS,))
    assert codes(review(SPEND, POLICY, again)) == {"address_reuse": Severity.WARNING}
    old_change = replace(TIP, used_scripts={vault_script(POLICY, CHANGE, 7).script_pubkey})
    assert codes(review(SPEND, POLICY, old_change)) == {"address_reuse": Severity.WARNING}


@pytest.mark.parametrize(
    ("head", "middle", "tail", "poisoned"),
    [
        (3, True, 3, True),
        (2, True, 3, False),
        (3, True, 2, False),
        (3, False, 3, False),
        (6, True, 6, True),
    ],
)
def test_a_lookalike_of_a_recent_address_is_a_danger(
    head: int,
    middle: bool,  # noqa: FBT001 -- by name
    tail: int,
    poisoned: bool,  # noqa: FBT001 -- by name
) -> None:
    prefix, body = PAYEE_ADDRESS[:6], PAYEE_ADDRESS[6:]
    twin = body[:head] + "q0" * 20 + body[len(body) - tail :]
    differing = "w" if head < 3 else ""
    recent = prefix + (twin if middle else body)
    recent = recent.replace(body[:head] + "q0", body[:head] + differing + "q0")
    found = review(SPEND, POLICY, replace(TIP, recent_addresses={recent}))
    assert (codes(found).get("lookalike") is Severity.DANGER) is poisoned


def test_an_address_paid_before_is_no_lookalike_of_itself() -> None:
    body = PAYEE_ADDRESS[6:]
    twin = PAYEE_ADDRESS[:6] + body[:3] + "z" * 20 + body[-3:]
    both = replace(TIP, recent_addresses={PAYEE_ADDRESS, twin})
    assert codes(review(SPEND, POLICY, both)) == {"address_reuse": Severity.WARNING}


@pytest.mark.parametrize("prefix", [b"\x76\xa9\x14", b"\xa9\x14"])
def test_base58_addresses_have_lookalikes_too(prefix: bytes) -> None:
    script = prefix + b"\x55" * 20 + (b"\x88\xac" if prefix[0] == 0x76 else b"\x87")
    address = format_address(script, POLICY.network)
    twin = address[:4] + "x" * 20 + address[-3:]
    found = review(paying(script), POLICY, replace(TIP, recent_addresses=(twin,)))
    assert codes(found) == {"lookalike": Severity.DANGER}


def test_a_script_of_no_known_type_is_a_danger() -> None:
    found = review(paying(b"\x51"), POLICY, TIP)
    assert codes(found)["unknown_script"] is Severity.DANGER
    (paid,) = (out for out in found.outputs if out.script_pubkey == b"\x51")
    assert (paid.address, paid.destination) == (None, "script of an unknown kind, 1 byte: 51")


@pytest.mark.parametrize(("value", "dust"), [(293, True), (294, False)])
def test_dust_is_said(value: int, dust: bool) -> None:  # noqa: FBT001 -- by name
    found = codes(review(paying(PAYEE, value, 1_099_000 - value), POLICY, TIP))
    assert (found.get("dust") is Severity.DANGER) is dust


def test_what_only_the_history_knows_is_said() -> None:
    coin = Outpoint(SPEND.inputs[0].txid.hex(), SPEND.inputs[0].vout)
    cases = {
        "unconfirmed_input": replace(TIP, unconfirmed={coin}),
        "spends_all": replace(TIP, spends_all=True),
        "unusual_amount": replace(TIP, usual_amount_sats=899_999),
    }
    for code, context in cases.items():
        found = review(SPEND, POLICY, context)
        assert codes(found) == {code: Severity.WARNING}
    assert len(review(SPEND, POLICY, cases["unconfirmed_input"]).warnings) == 1
    assert codes(review(SPEND, POLICY, replace(TIP, usual_amount_sats=900_000))) == {}


def test_a_lock_nobody_can_hold_against_a_chain_is_said() -> None:
    unasked = review(SPEND, POLICY, replace(TIP, tip_height=None))
    assert codes(unasked) == {"locked": Severity.WARNING}
    assert unasked.warnings[0].message == "it is locked until block 700001"


def test_an_unproven_amount_is_a_danger() -> None:
    bare = codec.copy(SPEND)
    bare.inputs[0].non_witness_utxo = None
    assert codes(review(bare, POLICY, TIP)) == {"amount_unproven": Severity.DANGER}


def test_a_transaction_too_heavy_to_relay_is_a_danger(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = review(SPEND, POLICY, TIP).vsize * 4
    monkeypatch.setattr("psbt.relay.WEIGHT_MAX", weight)
    assert codes(review(SPEND, POLICY, TIP)) == {}
    monkeypatch.setattr("psbt.relay.WEIGHT_MAX", weight - 4)
    assert codes(review(SPEND, POLICY, TIP)) == {"too_heavy": Severity.DANGER}


def richer(psbt: Psbt) -> None:
    psbt.inputs[0].witness_utxo = type(psbt.inputs[0].witness_utxo)(
        10**9, psbt.inputs[0].witness_utxo.script_pubkey
    )


def foreign(psbt: Psbt) -> None:
    for psbt_in in psbt.inputs:
        psbt_in.bip32_derivations = {}


def overpaid(psbt: Psbt) -> None:
    psbt.outputs[0].value += 2_000_000


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (richer, "input 0: witness_utxo says 1000000000 sats"),
        (foreign, "no input spends a coin of this policy"),
        (overpaid, "1990000 sats more than the inputs"),
    ],
)
def test_what_cannot_be_reviewed_is_refused(change: Callable[[Psbt], None], sentence: str) -> None:
    broken = codec.copy(SPEND)
    change(broken)
    with pytest.raises(PsbtError, match=sentence):
        review(broken, POLICY, TIP)


def test_dangers_come_first() -> None:
    context = replace(
        TIP, spends_all=True, unconfirmed=[Outpoint(i.txid.hex(), i.vout) for i in SPEND.inputs]
    )
    found = review(paying(b"\x51"), POLICY, context)
    severities = [caution.severity for caution in found.warnings]
    assert severities == sorted(severities, key=[Severity.DANGER, Severity.WARNING].index)
    assert severities[0] is Severity.DANGER
    (unconfirmed,) = (c for c in found.warnings if c.code == "unconfirmed_input")
    assert "2 of 2 coins" in unconfirmed.message


def test_an_own_output_beyond_reach_is_a_danger_that_names_index_and_reach() -> None:
    for last, code in ((7, False), (6, True)):
        found = review(SPEND, POLICY, replace(TIP, reach={CHANGE: last, RECEIVE: 0}))
        assert (codes(found).get("change_out_of_reach") is Severity.DANGER) is code
    assert "change address 7" in found.warnings[0].message
    assert "up to 6 only" in found.warnings[0].message
    (change,) = (out for out in found.outputs if out.kind == "change")
    assert (change.keychain, change.address_index) == ("change", 7)


def test_another_vault_is_named_and_only_a_closed_one_is_a_warning() -> None:
    context = replace(TIP, spends_all=True, usual_amount_sats=1, vaults={PAYEE: KnownVault("h")})
    found = review(SPEND, POLICY, context)
    assert codes(found) == {}
    assert [out.vault for out in found.outputs if out.kind == "payment"] == ["h"]
    closed = replace(context, vaults={PAYEE: KnownVault("h", "it is retired")})
    assert codes(review(SPEND, POLICY, closed)) == {"closed_vault": Severity.WARNING}


def test_a_replacement_is_held_against_what_all_rivals_pay() -> None:
    fee = review(SPEND, POLICY, TIP).fee_sats
    for paid, danger in ((fee - 1_000, False), (fee + 1, True)):
        context = replace(TIP, rivals=(Rival("ab" * 32, 1_000, paid),))
        found = codes(review(SPEND, POLICY, context))
        assert (found.get("replacement_underpaid") is Severity.DANGER) is danger
    two = tuple(Rival(mark * 32, 1_000, fee // 2) for mark in ("ab", "cd"))
    assert "replacement_underpaid" in codes(review(SPEND, POLICY, replace(TIP, rivals=two)))
    unknown = replace(TIP, rivals=(Rival("ab" * 32, 1_000, None),))
    assert codes(review(SPEND, POLICY, unknown)) == {}


def test_derivations_of_others_are_no_claim_to_be_change() -> None:
    described = codec.copy(SPEND)
    theirs = next(out for out in described.outputs if not out.bip32_derivations)
    ours = next(out for out in described.outputs if out.bip32_derivations)
    for pubkey, origin in ours.bip32_derivations.items():
        theirs.bip32_derivations[pubkey] = type(origin)(b"\xde\xad\xbe\xef", [0, 7])
    assert codes(review(described, POLICY, TIP)) == {}


def test_junk_derivations_do_not_hide_an_own_coin_and_cost_nothing() -> None:
    crowded = codec.copy(SPEND)
    (origin, *_) = crowded.inputs[0].bip32_derivations.values()
    junk = {
        codec.public_key(PrivateKey(number.to_bytes(32, "big")).public_key.format()): type(origin)(
            origin.fingerprint, [0, number]
        )
        for number in range(1, 300)
    }
    for scope in (*crowded.inputs, *crowded.outputs):
        scope.bip32_derivations = {**junk, **scope.bip32_derivations}
    found = review(crowded, POLICY, TIP)
    assert {out.kind for out in found.outputs} == {"payment", "change"}
