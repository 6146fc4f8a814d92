"""Policies with recovery branches: their descriptors, and a payment by each branch of each form."""

from dataclasses import replace

import pytest

from psbt import codec, consensus, outline
from psbt.codec import Psbt
from psbt.combiner import combine
from psbt.errors import (
    ConsensusRejected,
    PolicyError,
    PsbtError,
    SignaturesMissing,
)
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.forms import Branch, Wait, key_uses
from psbt.message import key_proved, message_psbt, vault_proof, verify_proof
from psbt.network import Network
from psbt.ownership import own_inputs
from psbt.partial_signatures import standing, valid_signatures
from psbt.policy import RECEIVE, Policy, format_descriptor, parse_descriptor, vault_script
from psbt.relay import CoinAge, NodeView
from psbt.review import Context, Severity, review
from psbt.signature import partial_from_compact
from psbt.signer import signing_requests
from psbt.timelocks import open_from, psbt_branches
from psbt.transaction import parse_transaction
from psbt.weight import input_weight, transaction_weight
from tests.psbt.branch_vaults import (
    BLOCKS,
    CASES,
    FORMS,
    LATER,
    OWN,
    answers,
    branch_vault,
    last_keys,
    signed_by_branch,
    spend_by,
)
from tests.psbt.soft_vault import SoftVault

HERE = Network.REGTEST
POLICY = branch_vault("several later keys").policy


@pytest.mark.parametrize("name", FORMS)
def test_a_descriptor_is_read_as_it_was_written(name: str) -> None:
    policy = branch_vault(name).policy
    text = format_descriptor(policy)
    assert parse_descriptor(text, HERE) == policy
    assert (policy.form is None) == (name in OWN)
    assert parse_descriptor(text.partition("#")[0], HERE).branches == policy.branches


def test_a_policy_is_built_from_its_branches() -> None:
    keys = POLICY.all_keys
    uses = key_uses(keys[:3])
    first = Branch("recovery", 2, key_uses(keys[:3], uses), Wait(blocks=BLOCKS))
    built = Policy(3, keys[:3], HERE, recoveries=(first,))
    text = format_descriptor(built)
    assert parse_descriptor(text, HERE) == built
    assert text.count("/<2;3>/*") == text.count("/<0;1>/*") == 3
    again = key_uses(keys[:3], (*uses, *first.keys))
    second = Branch("recovery-2", 1, again, Wait(blocks=BLOCKS + 1))
    both = replace(built, recoveries=(first, second))
    assert parse_descriptor(format_descriptor(both), HERE) == both
    assert both.all_keys == keys[:3]
    assert format_descriptor(both).startswith("wsh(or_i(and_v(v:multi(1,")


@pytest.mark.parametrize(("name", "branch"), CASES)
def test_every_branch_of_every_form_spends(
    name: str, branch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = branch_vault(name)
    psbt = spend_by(vault, branch)
    signed = signed_by_branch(vault, psbt, branch, *last_keys(vault, branch))
    found = standing(signed, vault.policy, branch=branch)
    assert found.have == found.need == vault.policy.branch(branch).threshold
    raw = extract(finalize(signed, vault.policy, branch=branch))
    if consensus.engine_available():
        assert consensus.check(raw, outline.spent(psbt)) == consensus.ACCEPTED
    monkeypatch.setattr(consensus, "engine_available", lambda: False)
    assert consensus.check(raw, outline.spent(psbt)) == consensus.OWN_CHECK
    real = parse_transaction(raw)
    sizes = sum(len(output.script_pubkey) + 9 for output in real.outputs)
    each = input_weight(vault.policy.size_of(branch))
    bound = transaction_weight(3, each, len(real.outputs), outputs_size=sizes)
    assert real.weight <= bound <= real.weight + 2 * 3 * found.need


@pytest.mark.parametrize(("name", "branch"), [case for case in CASES if case[1] != "primary"])
def test_a_wait_that_is_not_signed_for_unlocks_nothing(
    name: str, branch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = branch_vault(name)
    psbt = spend_by(vault, "primary")
    assert branch not in psbt_branches(psbt, vault.policy)
    with pytest.raises(PsbtError, match=f"cannot be made by the {branch} branch"):
        finalize(psbt, vault.policy, branch=branch)
    shorter = early(spend_by(vault, branch))
    assert branch not in psbt_branches(shorter, vault.policy)
    signed = signed_by_branch(vault, shorter, branch, *last_keys(vault, branch))
    raw = extract(forced(vault, signed, branch))
    if consensus.engine_available():
        with pytest.raises(ConsensusRejected):
            consensus.check(raw, outline.spent(signed))
    monkeypatch.setattr(consensus, "engine_available", lambda: False)
    with pytest.raises(ConsensusRejected, match=r"waits? (no|for no)"):
        consensus.check(raw, outline.spent(signed))


def early(psbt: Psbt) -> Psbt:
    """Return the payment with a wait that is one block shorter."""
    found = codec.copy(psbt)
    for psbt_in in found.inputs:
        psbt_in.sequence -= psbt_in.sequence < 1 << 16
    found.locktime -= found.locktime > 700_000
    return codec.parse(codec.to_bytes(found))


def forced(vault: SoftVault, psbt: Psbt, branch: str) -> Psbt:
    """Finalize whatever the sequences and the lock time are."""
    final = codec.copy(psbt)
    held = valid_signatures(psbt, vault.policy, branch=branch)
    for index, script in own_inputs(psbt, vault.policy).items():
        ders = {key: partial_from_compact(value) for key, value in held[index].items()}
        unlocked = script.unlocked(ders, branch)
        assert unlocked is not None
        codec.finish_input(final.inputs[index], *unlocked)
    return final


@pytest.mark.parametrize(("name", "branch"), CASES)
def test_a_signature_for_one_branch_counts_for_no_other(name: str, branch: str) -> None:
    vault = branch_vault(name)
    policy = vault.policy
    psbt = spend_by(vault, policy.branches[-1].name)
    signed = signed_by_branch(vault, psbt, branch, *last_keys(vault, branch))
    for other in policy.branches:
        if other.name == branch or name == "decaying":
            continue
        assert standing(signed, policy, branch=other.name).have == 0
        with pytest.raises(SignaturesMissing):
            finalize(signed, policy, branch=other.name)


def test_one_signature_less_is_not_enough() -> None:
    for name, branch in CASES:
        vault = branch_vault(name)
        signed = signed_by_branch(
            vault, spend_by(vault, branch), branch, *last_keys(vault, branch)[1:]
        )
        with pytest.raises(SignaturesMissing):
            finalize(signed, vault.policy, branch=branch)


def test_a_key_signs_only_for_branches_it_has_a_part_in() -> None:
    vault = branch_vault("several later keys")
    psbt = spend_by(vault, "recovery")
    later = vault.policy.branch("recovery").keys[0].expression
    assert len(signing_requests(psbt, vault.policy, later, branch="recovery")) == 3
    with pytest.raises(PolicyError, match="is not one of the primary branch's"):
        signing_requests(psbt, vault.policy, later)
    with pytest.raises(PolicyError, match="no branch 'recovery-2', only primary and recovery"):
        signing_requests(psbt, vault.policy, later, branch="recovery-2")


def test_every_key_of_every_branch_is_told_where_it_is_derived() -> None:
    vault = branch_vault("two stages of the same cards")
    psbt = codec.parse(codec.to_bytes(spend_by(vault, "recovery-2"), 2))
    for psbt_in in psbt.inputs:
        ends = sorted(tuple(o.derivation[-2:-1]) for o in psbt_in.bip32_derivations.values())
        assert ends == [(step,) for step in (0, 0, 0, 2, 2, 2, 4, 4, 4)]
    assert len(psbt.xpubs) == 3
    assert psbt.inputs[0].sequence == LATER


@pytest.mark.parametrize(("name", "branch"), CASES)
def test_a_message_is_proved_by_each_branch(
    name: str, branch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, told = branch_vault(name), "drill 7"
    script = vault_script(vault.policy, RECEIVE, 0)
    psbt = message_psbt(told, vault.policy, script, branch=branch)
    for place in last_keys(vault, branch):
        for request, signature in answers(vault, psbt, branch, place):
            given = request.pubkey, signature
            assert key_proved(told, script, given[0], signature=given[1], branch=branch)
            others = {other.name for other in vault.policy.branches} - {branch}
            assert not any(
                key_proved(told, script, given[0], signature=given[1], branch=other)
                for other in others
            )
    signed = signed_by_branch(vault, psbt, branch, *last_keys(vault, branch))
    proof = vault_proof(signed, vault.policy, branch=branch)
    assert proof.startswith("smp" if branch == "primary" else "ful")
    if consensus.engine_available():
        assert verify_proof(proof, told, script.script_pubkey) == consensus.ACCEPTED
    monkeypatch.setattr(consensus, "engine_available", lambda: False)
    assert verify_proof(proof, told, script.script_pubkey) == consensus.OWN_CHECK
    with pytest.raises(PsbtError):
        verify_proof(proof, told + "!", script.script_pubkey)


@pytest.mark.parametrize(("name", "branch"), CASES)
def test_signatures_of_a_branch_come_back_in_every_form(name: str, branch: str) -> None:
    vault = branch_vault(name)
    psbt = spend_by(vault, branch)
    signed = signed_by_branch(vault, psbt, branch, *last_keys(vault, branch))
    final = finalize(signed, vault.policy, branch=branch)
    answers_ = {
        "the PSBT": signed,
        "version 2": codec.parse(codec.to_bytes(signed, 2)),
        "final": final,
        "final, version 2": codec.parse(codec.to_bytes(final, 2)),
        "the transaction": codec.final_psbt(parse_transaction(extract(final))),
    }
    for form, answer in answers_.items():
        taken = combine(psbt, answer, vault.policy)
        assert extract(finalize(taken, vault.policy, branch=branch)) == extract(final), form


@pytest.mark.parametrize("name", FORMS)
def test_a_review_tells_which_branch_pays_and_since_when(name: str) -> None:
    policy = branch_vault(name).policy
    psbt = spend_by(branch_vault(name), "recovery")
    wait = policy.branch("recovery").wait
    assert wait is not None
    opens = wait.first_block(700_000)
    assert opens is not None
    coins = {tx_in.outpoint: CoinAge(700_000) for tx_in in codec.unsigned_transaction(psbt).inputs}
    context = Context(tip_height=opens - 1, node=NodeView(coins=coins))
    found = {c.code: c for c in review(psbt, policy, context, branch="recovery").warnings}
    told = found["recovery_branch"]
    assert (told.severity, "open from block" in told.message) == (Severity.WARNING, True)
    assert str(opens) in told.message
    assert not {"locked", "coin_locked"} & set(found)
    early = replace(context, tip_height=opens - 2)
    dangers = {
        c.code: c.message
        for c in review(psbt, policy, early, branch="recovery").warnings
        if c.severity is Severity.DANGER
    }
    assert {"locked", "coin_locked"} & set(dangers)
    assert any(str(opens) in message for message in dangers.values())


def test_a_payment_by_the_primary_branch_tells_of_none() -> None:
    vault = branch_vault("several later keys")
    psbt = spend_by(vault, "primary")
    found = review(psbt, vault.policy, Context(tip_height=700_000))
    assert "recovery_branch" not in {each.code for each in found.warnings}
    with pytest.raises(PsbtError, match="cannot be made by the recovery branch: input 0 has the"):
        review(psbt, vault.policy, Context(tip_height=700_000), branch="recovery")


def test_a_branch_opens_with_its_youngest_coin() -> None:
    wait = Wait(blocks=10)
    assert open_from(wait, [100, 90]) == 110
    assert open_from(wait, [100, None]) is None
    assert open_from(Wait(height=700), [100, None]) == 701
    assert open_from(wait, []) is None
