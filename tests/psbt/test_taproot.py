"""A quorum in a leaf of taproot: what others make of it, and what is refused of it."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import coincurve
import pytest

from psbt import codec, consensus, fields, outline
from psbt.codec import Psbt
from psbt.combiner import combine
from psbt.errors import ConsensusRejected, NotOnlySignatures, PolicyError, PsbtError
from psbt.extractor import extract
from psbt.fields import Fields, Maps
from psbt.finalizer import finalize
from psbt.keys import format_xpub
from psbt.message import message_psbt, vault_proof, verify_proof
from psbt.network import Network
from psbt.ownership import claims_own, output_scripts
from psbt.partial_signatures import standing
from psbt.policy import (
    CHANGE,
    RECEIVE,
    addresses,
    checksum,
    format_descriptor,
    parse_descriptor,
    policy_checksum,
    same_scripts,
    vault_script,
)
from psbt.review import Context, review
from psbt.signature import BIP340
from psbt.signer import SigningRequest, with_signatures
from psbt.taproot import leaf_hash, unspendable_key
from psbt.transaction import parse_transaction
from psbt.updater import OwnCoin, completed
from tests.judges import judge
from tests.psbt.soft_vault import SoftVault, soft_vault

ROOT = Path(__file__).parents[2]
HERE = Network.REGTEST
VAULT = soft_vault(2, 3, "tr")
POLICY = VAULT.policy
UNSIGNED = VAULT.spend([50_000, 60_000], 80_000, 20_000)


def signed(*cosigners: int, vault: SoftVault = VAULT, psbt: Psbt = UNSIGNED) -> Psbt:
    for cosigner in cosigners:
        psbt = vault.sign(psbt, cosigner)
    return psbt


def altered(psbt: Psbt, change: Callable[[Fields], Fields]) -> Psbt:
    """Change the map of the first input."""
    maps = codec.read_maps(codec.to_bytes(psbt))
    return codec.assemble(maps._replace(inputs=(change({**maps.inputs[0]}), *maps.inputs[1:])))


def without(*kinds: bytes) -> Callable[[Fields], Fields]:
    return lambda values: {key: v for key, v in values.items() if key[:1] not in kinds}


def with_field(key: bytes, value: bytes) -> Callable[[Fields], Fields]:
    return lambda values: {**values, key: value}


def of_kind(psbt: Psbt, kind: bytes) -> dict[bytes, bytes]:
    first = codec.read_maps(codec.to_bytes(psbt)).inputs[0]
    return {key: value for key, value in first.items() if key[:1] == kind}


def bdk(descriptors: list[str], psbts: list[Psbt]) -> dict[str, list[object]]:
    judge("bdkpython")
    asked = {"psbts": [codec.to_base64(each) for each in psbts], "descriptors": descriptors}
    done = subprocess.run(
        [sys.executable, "-m", "tests.psbt.bdk_child"],
        input=json.dumps(asked), cwd=ROOT, text=True, capture_output=True, check=True,
    )  # fmt: skip
    answer: dict[str, list[object]] = json.loads(done.stdout)
    return answer


def test_addresses_are_embits() -> None:
    parser = judge("embit.descriptor")
    text = format_descriptor(POLICY).partition("#")[0]
    theirs = parser.Descriptor.from_string(text)
    for keychain in (RECEIVE, CHANGE):
        ours = [vault_script(POLICY, keychain, n).script_pubkey for n in range(20)]
        derived = [theirs.derive(n, branch_index=keychain) for n in range(20)]
        assert ours == [each.script_pubkey().data for each in derived]


def test_bdk_finishes_payments_as_we_do_and_chooses_otherwise_among_too_many() -> None:
    psbts = [signed(*cosigners) for cosigners in ((0, 1), (1, 2), (0, 2), (0, 1, 2))]
    *theirs, chosen = bdk([], psbts)["transactions"]
    ours = [{"transaction": extract(finalize(psbt, POLICY)).hex()} for psbt in psbts[:-1]]
    assert theirs == ours
    assert isinstance(chosen, dict)
    raw = bytes.fromhex(chosen["transaction"])
    assert consensus.check(raw, outline.spent(psbts[-1])) in {"accepted", "own-check"}
    taken = combine(UNSIGNED, codec.final_psbt(parse_transaction(raw)), POLICY)
    assert standing(taken, POLICY).have == 2


@pytest.mark.parametrize("cosigners", [(0, 1), (2, 0), (1, 2), (0, 1, 2)])
def test_exactly_a_quorum_is_used_and_the_engine_accepts_it(cosigners: tuple[int, ...]) -> None:
    psbt = signed(*cosigners)
    final = finalize(psbt, POLICY)
    raw = extract(final)
    assert consensus.check(raw, outline.spent(psbt)) in {"accepted", "own-check"}
    for tx_in in parse_transaction(raw).inputs:
        *answers, _, control = tx_in.witness
        assert sorted(map(len, answers)) == [0, 64, 64]
        assert len(control) == 33
    assert not of_kind(final, fields.IN_TAP_LEAF_SCRIPT)
    assert set(codec.read_maps(codec.to_bytes(final)).inputs[0]) == {b"\x00", b"\x01", b"\x08"}


def test_one_signature_too_many_is_no_payment(monkeypatch: pytest.MonkeyPatch) -> None:
    psbt = signed(0, 1, 2)
    raw = parse_transaction(extract(finalize(psbt, POLICY)))
    script = vault_script(POLICY, RECEIVE, 0)
    first = next(
        at for at, (key, _) in enumerate(outline.spent(psbt)) if key == script.script_pubkey
    )
    held = {key.xonly(): value for (key, _), value in psbt.inputs[first].taproot_sigs.items()}
    every = tuple(held[x] for x in sorted(held, reverse=True))
    witness = (*every, *raw.inputs[first].witness[-2:])
    inputs = list(raw.inputs)
    inputs[first] = inputs[first]._replace(witness=witness)
    for engine in (consensus.engine_available(), False):
        monkeypatch.setattr(consensus, "engine_available", lambda engine=engine: engine)
        with pytest.raises(ConsensusRejected):
            consensus.check(replace(raw, inputs=tuple(inputs)).raw, outline.spent(psbt))


def test_our_own_check_refuses_every_flipped_bit_of_a_witness(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    psbt = signed(0, 1)
    raw = parse_transaction(extract(finalize(psbt, POLICY)))
    monkeypatch.setattr(consensus, "engine_available", lambda: False)
    for place, item in enumerate(raw.inputs[0].witness):
        for at in range(0, len(item), 5):
            bent = bytearray(item)
            bent[at] ^= 1 << at % 8
            witness = list(raw.inputs[0].witness)
            witness[place] = bytes(bent)
            inputs = (raw.inputs[0]._replace(witness=tuple(witness)), *raw.inputs[1:])
            with pytest.raises(ConsensusRejected):
                consensus.check(replace(raw, inputs=inputs).raw, outline.spent(psbt))


@pytest.mark.parametrize("other", [0, 1], ids=["of its own coin", "of another's"])
def test_a_signature_covers_every_amount_that_is_spent(other: int) -> None:
    """Each input's digest holds the amounts of all."""
    psbt = signed(0, 1)
    raw, spent = extract(finalize(psbt, POLICY)), outline.spent(psbt)
    spent[other] = (spent[other][0], spent[other][1] + 1)
    with pytest.raises(ConsensusRejected):
        consensus.check(raw, spent)


def test_a_flipped_bit_makes_a_signature_none() -> None:
    ((request, signature), *_) = VAULT.answers(UNSIGNED, 0)
    for bit in range(0, 512, 7):
        bent = bytearray(signature)
        bent[bit // 8] ^= 1 << bit % 8
        with pytest.raises(PsbtError, match="is not valid"):
            with_signatures(UNSIGNED, [(request, bytes(bent))])


def test_an_ecdsa_signature_is_none_for_a_leaf() -> None:
    ((request, _), *_) = VAULT.answers(UNSIGNED, 0)
    assert request.scheme is BIP340
    private = VAULT.masters[0].at(request.path)
    with pytest.raises(PsbtError, match="is not valid"):
        with_signatures(UNSIGNED, [(request, private.sign(request.digest))])


def test_a_key_outside_the_leaf_signs_nothing() -> None:
    stranger = VAULT.masters[0].pubkey
    with pytest.raises(PsbtError, match="input 0 is not for the key"):
        with_signatures(UNSIGNED, [(SigningRequest(0, stranger, (), b"", BIP340), bytes(64))])


def test_what_is_signed_says_by_which_leaf() -> None:
    lacking = altered(UNSIGNED, without(fields.IN_TAP_LEAF_SCRIPT))
    with pytest.raises(PsbtError, match="has 0 taproot leaf scripts"):
        signed(0, psbt=lacking)


def test_a_coin_that_hides_whose_it_is_is_named() -> None:
    lacking = altered(UNSIGNED, without(fields.IN_TAP_BIP32_DERIVATION))
    places = {vault_script(POLICY, RECEIVE, n).script_pubkey: (RECEIVE, n) for n in range(2)}
    with pytest.raises(PsbtError, match="a coin of the vault, but its"):
        review(lacking, POLICY, Context(own_scripts=places))


LEAF = next(iter(of_kind(UNSIGNED, fields.IN_TAP_LEAF_SCRIPT).items()))
WRONG = {
    "another leaf": with_field(LEAF[0], b"\x51\xc0"),
    "two leaves": with_field(LEAF[0][:-1] + b"\x00", LEAF[1]),
    "another internal key": with_field(fields.IN_TAP_INTERNAL_KEY, LEAF[1][1:33]),
    "another root": with_field(fields.IN_TAP_MERKLE_ROOT, bytes(32)),
    "a redeem script": with_field(fields.IN_REDEEM_SCRIPT, b"\x51"),
    "a witness script": with_field(fields.IN_WITNESS_SCRIPT, b"\x51"),
    "a key path signature": with_field(fields.IN_TAP_KEY_SIG, bytes(64)),
    "a signature for another leaf": with_field(
        fields.IN_TAP_SCRIPT_SIG + LEAF[1][1:33] + bytes(32), bytes(64)
    ),
    "ALL": with_field(b"\x03", b"\x01\0\0\0"),
    "NONE": with_field(b"\x03", b"\x02\0\0\0"),
    "ANYONECANPAY": with_field(b"\x03", b"\x81\0\0\0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_contradicts_the_leaf_is_not_signed(name: str) -> None:
    with pytest.raises(PsbtError):
        signed(0, psbt=altered(UNSIGNED, WRONG[name]))


@pytest.mark.parametrize("name", WRONG)
def test_what_contradicts_the_leaf_does_not_come_back(name: str) -> None:
    answer = altered(signed(0), WRONG[name])
    if name == "two leaves":
        taken = combine(UNSIGNED, answer, POLICY)
        assert standing(taken, POLICY).counts == {0: 2, 1: 0, 2: 0}
        return
    with pytest.raises(NotOnlySignatures, match=r"inputs\[0\]"):
        combine(UNSIGNED, answer, POLICY)


def test_sighash_default_may_be_said() -> None:
    psbt = altered(UNSIGNED, with_field(b"\x03", bytes(4)))
    assert standing(signed(0, psbt=psbt), POLICY).counts == {0: 2, 1: 0, 2: 0}


@pytest.mark.parametrize("kind", [0x01, 0x02, 0x03, 0x81, 0x82, 0x83])
def test_a_signature_of_another_type_is_refused_by_its_name(kind: int) -> None:
    ((key, value),) = of_kind(signed(0), fields.IN_TAP_SCRIPT_SIG).items()
    longer = altered(UNSIGNED, with_field(key, value + bytes([kind])))
    assert standing(longer, POLICY).counts == {0: 0, 1: 0, 2: 0}
    with pytest.raises(NotOnlySignatures, match=f"sighash type is {kind:02x}, not that of DEFAULT"):
        combine(UNSIGNED, longer, POLICY)


@pytest.mark.parametrize("end", [b"\x00", b"\x04", b"\x84", b"\xff"])
def test_a_65th_byte_that_is_no_type_is_not_read(end: bytes) -> None:
    ((key, value),) = of_kind(signed(0), fields.IN_TAP_SCRIPT_SIG).items()
    with pytest.raises(PsbtError, match=f"of the unknown sighash type {end.hex()}"):
        altered(UNSIGNED, with_field(key, value + end))


def test_a_leaf_of_another_version_than_its_control_block_is_not_read() -> None:
    key, value = LEAF
    with pytest.raises(PsbtError, match="of version c2 with a control block for c"):
        altered(UNSIGNED, with_field(key, value[:-1] + b"\xc2"))


def test_signatures_of_one_key_made_twice_do_not_contradict_each_other() -> None:
    """BIP 340 may draw another nonce each time."""
    private = VAULT.masters[0]
    again = with_signatures(
        UNSIGNED, [(r, _with_nonce(private.at(r.path).secret, r.digest)) for r, _ in answers(0)]
    )
    assert of_kind(again, b"\x14") != of_kind(signed(0), b"\x14")
    taken = combine(signed(0), signed(1, psbt=again), POLICY)
    assert standing(taken, POLICY).counts == {0: 2, 1: 2, 2: 0}


def answers(cosigner: int) -> list[tuple[SigningRequest, bytes]]:
    return VAULT.answers(UNSIGNED, cosigner)


def _with_nonce(secret: bytes, digest: bytes) -> bytes:
    return coincurve.PrivateKey(secret).sign_schnorr(digest, b"\x07" * 32)


def test_change_is_proved_and_a_wrong_tree_is_no_change() -> None:
    at = next(n for n, script in enumerate(output_scripts(UNSIGNED, POLICY)) if script)
    own = UNSIGNED.outputs[at]
    assert claims_own(own, POLICY)
    maps = codec.read_maps(codec.to_bytes(UNSIGNED))
    for key, value in (
        (fields.OUT_TAP_TREE, bytes.fromhex("00c00151")),
        (fields.OUT_TAP_INTERNAL_KEY, LEAF[1][1:33]),
    ):
        outputs = list(maps.outputs)
        outputs[at] = {**outputs[at], key: value}
        answer = codec.assemble(maps._replace(outputs=tuple(outputs)))
        with pytest.raises(NotOnlySignatures, match=rf"outputs\[{at}\]"):
            combine(UNSIGNED, answer, POLICY)
    other = soft_vault(3, 3, "tr")
    stranger = other.spend([50_000, 60_000], 80_000, 20_000)
    assert [*filter(None, output_scripts(stranger, POLICY))] == []


def test_the_key_above_depends_on_the_order_of_the_keys() -> None:
    turned = replace(POLICY, keys=POLICY.keys[::-1])
    assert not same_scripts(POLICY, turned)
    assert next(addresses(POLICY, RECEIVE, [0])) != next(addresses(turned, RECEIVE, [0]))
    assert policy_checksum(POLICY) != policy_checksum(turned)


def test_another_internal_key_is_refused() -> None:
    body = format_descriptor(POLICY).partition("#")[0]
    known = format_xpub(POLICY.unspendable.key, HERE)
    others = [
        format_xpub(POLICY.keys[0].key, HERE),
        format_xpub(unspendable_key([key.key.public_key for key in POLICY.keys[::-1]]), HERE),
        "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0",
    ]
    for other in others:
        text = body.replace(known, other)
        with pytest.raises(PolicyError, match=f"the internal key {other[:20]}… is not the one"):
            parse_descriptor(f"{text}#{checksum(text)}", HERE)
    with pytest.raises(PolicyError, match="the kinds known here"):
        parse_descriptor(body.replace("sortedmulti_a", "multi_a"), HERE)


def test_later_branches_are_refused_in_taproot() -> None:
    with pytest.raises(PolicyError, match="not made in taproot, only in wsh"):
        replace(POLICY, recoveries=(POLICY.branches[0]._replace(name="recovery"),))
    with pytest.raises(PolicyError, match="multi_a keeps the order"):
        replace(POLICY, sorted_keys=False)


def test_a_proof_by_a_leaf_is_a_simple_one() -> None:
    script = vault_script(POLICY, RECEIVE, 0)
    asked = message_psbt("drill", POLICY, script)
    proof = vault_proof(signed(0, 2, psbt=asked), POLICY)
    assert proof.startswith("smp")
    assert verify_proof(proof, "drill", script.script_pubkey) in {"accepted", "own-check"}


def test_the_leaf_hash_is_the_root_of_the_only_leaf() -> None:
    script = vault_script(POLICY, RECEIVE, 0)
    (root,) = of_kind(VAULT.spend([50_000], 40_000, 0), fields.IN_TAP_MERKLE_ROOT).values()
    assert root == leaf_hash(script.code)


def test_libwally_signs_by_the_key_path_and_that_does_not_come_back() -> None:
    wally = judge("wallycore")
    theirs = wally.psbt_from_bytes(codec.to_bytes(UNSIGNED), 0)
    kept = codec.parse(bytes(wally.psbt_to_bytes(theirs, 0)))
    assert codec.read_maps(codec.to_bytes(kept)) == codec.read_maps(codec.to_bytes(UNSIGNED))
    master = VAULT.masters[1]
    key = wally.bip32_key_init(
        wally.BIP32_VER_TEST_PRIVATE, 0, 0, master.chain_code, master.pubkey, master.secret,
        None, None,
    )  # fmt: skip
    wally.psbt_sign_bip32(theirs, key, 0)
    answer = codec.parse(bytes(wally.psbt_to_bytes(theirs, 0)))
    with pytest.raises(NotOnlySignatures, match="taproot_key_sig is by a key outside the policy"):
        combine(UNSIGNED, answer, POLICY)


def test_a_signature_of_a_script_is_none_for_a_leaf() -> None:
    answer = codec.copy(UNSIGNED)
    answer.inputs[0].partial_sigs = {VAULT.masters[0].pubkey: b"\x30\x06"}
    with pytest.raises(NotOnlySignatures, match="partial_sigs are ECDSA, a leaf takes none"):
        combine(UNSIGNED, answer, POLICY)


def test_what_another_program_leaves_out_is_filled_in_again() -> None:
    maps = codec.read_maps(codec.to_bytes(UNSIGNED))
    bare = Maps(
        {fields.GLOBAL_UNSIGNED_TX: maps.globals[fields.GLOBAL_UNSIGNED_TX]},
        tuple({} for _ in maps.inputs),
        tuple({} for _ in maps.outputs),
    )
    coins, previous = VAULT.fund([50_000, 60_000])
    own = {
        coin.outpoint: OwnCoin(
            (coin.keychain, coin.index), parse_transaction(previous[coin.outpoint.txid])
        )
        for coin in coins
    }
    change = vault_script(POLICY, CHANGE, 7)
    places = {change.script_pubkey: (CHANGE, 7)}
    assert completed(bare, POLICY, own, places=places) == maps


def test_where_a_key_comes_from_may_not_come_back_changed() -> None:
    (first, *_) = of_kind(UNSIGNED, fields.IN_TAP_BIP32_DERIVATION).items()
    key, value = first
    answer = altered(signed(0), with_field(key, value[:-1] + bytes([value[-1] ^ 1])))
    with pytest.raises(NotOnlySignatures, match="taproot_bip32_derivations"):
        combine(UNSIGNED, answer, POLICY)


def test_an_empty_script_of_an_output_is_named_too() -> None:
    maps = codec.read_maps(codec.to_bytes(UNSIGNED))
    outputs = tuple({**each, fields.OUT_WITNESS_SCRIPT: b""} for each in maps.outputs)
    answer = codec.assemble(maps._replace(outputs=outputs))
    with pytest.raises(NotOnlySignatures, match=r"outputs\[0\]\.witness_script"):
        combine(UNSIGNED, answer, POLICY)
