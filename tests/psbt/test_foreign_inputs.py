"""Payments in which others spend their coins beside the vault's: signed for ours alone."""

from dataclasses import replace

import pytest

from psbt import codec, consensus
from psbt.combiner import combine, with_additions
from psbt.errors import NotOnlySignatures, PsbtError, SignaturesMissing
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.foreign_inputs import foreign_weight
from psbt.partial_signatures import standing
from psbt.policy import RECEIVE
from psbt.review import Context, Review, review
from psbt.review_warnings import Severity
from psbt.sighash import spent_outputs
from psbt.signer import signing_requests
from psbt.transaction import TransactionOutput, parse_transaction
from psbt.updater import without_previous
from tests.psbt.beside import SCRIPTS, THEIRS, joined, made, told, unlocked
from tests.psbt.soft_vault import SoftVault, quorum, soft_vault

VAULT = soft_vault(2, 3)
TIP = Context(tip_height=700_000)
SPEND = VAULT.spend([50_000, 60_000], 70_000, 39_000)
"""Ours: 110,000 sats in, 70,000 to the payee, 39,000 change, fee 1,000."""
BACK = TransactionOutput(29_000, THEIRS)


def shared(
    kind: str = "p2wpkh", *, proven: bool = True, vault: SoftVault = VAULT, first: bool = False
) -> codec.Psbt:
    """Return our payment with 30,000 sats of somebody else's, who gets 29,000 of them back."""
    ours = vault.spend([50_000, 60_000], 70_000, 39_000)
    previous = made(kind, 30_000)
    say = told(previous, proven=proven)
    raw = joined(codec.to_bytes(ours), previous, say, pays=[BACK], first=first)
    return codec.parse(raw)


def reviewed(psbt: codec.Psbt, context: Context = TIP) -> Review:
    return review(psbt, VAULT.policy, context)


def codes(found: Review) -> dict[str, Severity]:
    return {caution.code: caution.severity for caution in found.warnings}


@pytest.mark.parametrize("script", ["wsh", "sh-wsh", "sh"])
@pytest.mark.parametrize("kind", SCRIPTS)
def test_both_sign_their_own_and_the_engine_takes_it(script: str, kind: str) -> None:
    vault = soft_vault(2, 3, script)
    asked = shared(kind, vault=vault, first=kind == "p2pkh")
    signed = vault.sign(vault.sign(asked, 0), 2)
    theirs = codec.parse(unlocked(codec.to_bytes(asked), kind))
    whole = finalize(with_additions(signed, theirs, vault.policy), vault.policy)
    raw = extract(whole)
    assert consensus.judge(parse_transaction(raw), spent_outputs(asked)) == consensus.ACCEPTED
    weight = parse_transaction(raw).weight
    found = review(asked, vault.policy, TIP)
    assert weight <= found.vsize * 4 <= weight + 4 * (4 * (8 if script == "sh" else 2) + 6)


def test_only_own_inputs_are_asked_for_counted_and_finished() -> None:
    asked = shared()
    before = codec.read_maps(codec.to_bytes(asked)).inputs[2]
    requests = signing_requests(asked, VAULT.policy, VAULT.policy.keys[0])
    assert [request.input_index for request in requests] == [0, 1]
    signed = VAULT.sign(asked, 0)
    assert quorum(signed, VAULT.policy) == (1, 2)
    with pytest.raises(SignaturesMissing, match="1 of 2"):
        finalize(signed, VAULT.policy)
    signed = VAULT.sign(signed, 1)
    assert standing(signed, VAULT.policy).counts == {0: 2, 1: 2, 2: 0}
    whole = finalize(signed, VAULT.policy)
    assert [codec.is_final(psbt_in) for psbt_in in whole.inputs] == [True, True, False]
    for version in (0, 2):
        handed = codec.to_bytes(codec.parse(codec.to_bytes(whole, version)))
        assert codec.read_maps(handed).inputs[2] == before
    with pytest.raises(PsbtError, match="input 2 is not final"):
        extract(whole)


def test_the_others_sighash_type_is_kept_where_none_was_said() -> None:
    asked, theirs = shared(), shared()
    theirs.inputs[2].sighash_type = 0x81
    assert with_additions(asked, theirs, VAULT.policy).inputs[2].sighash_type == 0x81
    asked.inputs[2].sighash_type = 1
    assert with_additions(asked, theirs, VAULT.policy).inputs[2].sighash_type == 1


def test_the_review_says_whose_coins_are_whose_and_what_the_vault_pays() -> None:
    found = reviewed(shared())
    assert [coin.own for coin in found.inputs] == [True, True, False]
    assert found.net_sats == 71_000
    assert (found.fee_sats, found.fee_proven) == (2_000, True)
    assert codes(found) == {"foreign_inputs": Severity.WARNING}
    (told_,) = found.warnings
    assert "1 of 3 coins" in told_.message
    assert "pays 71000 sats in all" in told_.message


def test_an_amount_that_others_only_state_makes_the_fee_unproven() -> None:
    found = reviewed(shared(proven=False))
    assert codes(found) == {
        "foreign_inputs": Severity.WARNING, "fee_unproven": Severity.WARNING,
    }  # fmt: skip
    assert not found.fee_proven


def test_own_amounts_must_still_be_proven() -> None:
    asked = without_previous(shared(), VAULT.policy)
    found = codes(reviewed(asked))
    assert found["amount_unproven"] is Severity.DANGER
    assert "fee_unproven" not in found
    assert codec.previous_transaction(asked.inputs[2]) is not None


def test_a_vault_that_receives_is_told_so() -> None:
    asked = shared()
    change, payment = sorted(asked.outputs[:2], key=lambda output: not output.bip32_derivations)
    payment.value -= 69_000
    change.value += 69_000 + 25_000
    asked.outputs[2].value -= 25_000
    found = reviewed(asked)
    assert found.net_sats == 110_000 - 133_000
    (warned,) = (each for each in found.warnings if each.code == "foreign_inputs")
    assert "receives 23000 sats in all" in warned.message


def test_what_is_unusual_is_what_the_vault_pays_not_what_others_do() -> None:
    context = replace(TIP, usual_amount_sats=80_000)
    assert "unusual_amount" not in codes(reviewed(shared(), context))
    assert "unusual_amount" in codes(reviewed(shared(), replace(context, usual_amount_sats=70_000)))


def test_a_coin_that_says_nothing_of_what_it_spends_is_refused_by_field() -> None:
    previous = made("p2wpkh", 30_000)
    silent = codec.parse(joined(codec.to_bytes(SPEND), previous, {}, pays=[BACK]))
    for ask in (lambda: reviewed(silent), lambda: VAULT.sign(silent, 0)):
        with pytest.raises(PsbtError, match=r"input 2 says nothing .* no witness_utxo and no non"):
            ask()


def test_an_own_coin_that_hides_is_refused() -> None:
    hidden = shared()
    script = hidden.inputs[0].witness_utxo.script_pubkey.data
    hidden.inputs[0].bip32_derivations = {}
    found = reviewed(hidden)
    assert [coin.own for coin in found.inputs] == [False, True, False]
    with pytest.raises(PsbtError, match=r"input 0 spends .*, a coin of the vault, but its bip32"):
        reviewed(hidden, replace(TIP, own_scripts={script: (RECEIVE, 0)}))


def test_a_coin_that_is_made_to_look_own_is_told() -> None:
    asked = shared()
    asked.inputs[2].bip32_derivations = dict(asked.inputs[0].bip32_derivations)
    found = reviewed(asked)
    assert found.inputs[2].claims_own
    assert "foreign_coin_claimed" in codes(found)
    assert len(signing_requests(asked, VAULT.policy, VAULT.policy.keys[0])) == 2


def test_what_another_vault_of_the_home_adds_is_named() -> None:
    asked = shared()
    outpoint = reviewed(asked).inputs[2].outpoint
    found = reviewed(asked, replace(TIP, coin_vaults={outpoint: "savings"}))
    assert found.inputs[2].vault == "savings"


def test_what_others_sign_is_kept_and_the_first_stays() -> None:
    asked = shared()
    theirs = codec.parse(unlocked(codec.to_bytes(asked)))
    once = combine(asked, theirs, VAULT.policy)
    assert codec.is_final(once.inputs[2])
    again = codec.copy(theirs)
    again.inputs[2].final_scriptwitness = type(theirs.inputs[2].final_scriptwitness)([b"x"])
    assert codec.to_bytes(combine(once, again, VAULT.policy)) == codec.to_bytes(once)


def test_others_tell_the_script_of_their_nested_coin_before_they_sign() -> None:
    asked = shared("p2sh-p2wpkh")
    silent = codec.copy(asked)
    silent.inputs[2].redeem_script = None
    told_later = combine(silent, asked, VAULT.policy)
    assert told_later.inputs[2].redeem_script.data == THEIRS
    assert codec.to_bytes(told_later) == codec.to_bytes(asked)


def test_others_say_no_other_amount_than_before() -> None:
    asked = shared()
    other = codec.copy(asked)
    other.inputs[2].witness_utxo = type(asked.inputs[0].witness_utxo)(
        31_000, asked.inputs[0].witness_utxo.script_pubkey
    )
    other.inputs[2].non_witness_utxo = None
    with pytest.raises(NotOnlySignatures, match=r"inputs\[2\].witness_utxo says 31000 sats"):
        combine(asked, other, VAULT.policy)


def test_the_weight_of_others_multisig_is_its_own() -> None:
    for script in ("wsh", "sh-wsh", "sh"):
        other = soft_vault(3, 5, script)
        spend = other.spend([10_000], 5_000, 4_000)
        spent = spent_outputs(spend)[0].script_pubkey
        estimate = foreign_weight(spend.inputs[0], spent)
        signed = other.sign(other.sign(other.sign(spend, 0), 1), 2)
        final = finalize(signed, other.policy)
        exact = foreign_weight(final.inputs[0], spent)
        assert exact <= estimate <= exact + 3 * (8 if script == "sh" else 2)
        bare = codec.copy(spend)
        bare.inputs[0].witness_script = bare.inputs[0].redeem_script = None
        assert foreign_weight(bare.inputs[0], spent) > 41 * 4
