"""Every script a vault can have: addresses, signatures, weights, and what others send back."""

from dataclasses import replace

import pytest
from embit.script import Script

from psbt import codec, consensus, fields, outline
from psbt.address import format_address
from psbt.codec import Psbt
from psbt.combiner import combine
from psbt.errors import NotOnlySignatures, PolicyError, PsbtError
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.message import message_psbt, vault_proof, verify_proof
from psbt.multisig import pushed, read_pushes
from psbt.network import Network
from psbt.ownership import output_scripts
from psbt.partial_signatures import standing
from psbt.policy import (
    CHANGE,
    RECEIVE,
    Policy,
    addresses,
    derive_scripts,
    format_descriptor,
    format_template,
    parse_descriptor,
    vault_script,
)
from psbt.review import Context, review
from psbt.taproot import read_leaf
from psbt.transaction import TransactionOutput, parse_transaction
from psbt.updater import without_previous
from psbt.weight import dust_limit_sats, input_weight, transaction_weight
from psbt.witness import signers
from tests.judges import judge
from tests.psbt.soft_vault import SoftVault, quorum, soft_vault

FORMS = [
    *((script, is_sorted) for script in ("wsh", "sh-wsh", "sh") for is_sorted in (True, False)),
    ("tr", True),
]
IDS = [f"{script} {'sortedmulti' if is_sorted else 'multi'}" for script, is_sorted in FORMS]
QUORUMS = [(1, 1), (1, 2), (2, 3), (3, 5), (15, 15)]


@pytest.fixture(params=FORMS, ids=IDS)
def vault(request: pytest.FixtureRequest) -> SoftVault:
    script, is_sorted = request.param
    return soft_vault(2, 3, script, sorted_keys=is_sorted)


def spend(vault: SoftVault) -> Psbt:
    return vault.spend([50_000, 60_000, 70_000], 100_000, 70_000)


def signed(vault: SoftVault, psbt: Psbt, *cosigners: int) -> Psbt:
    for cosigner in cosigners:
        psbt = vault.sign(psbt, cosigner)
    return psbt


MANY = [
    pytest.param(form, quorum, id=f"{name} {quorum[0]} of {quorum[1]}")
    for form, name in zip(FORMS, IDS, strict=True)
    for quorum in QUORUMS
]


def test_a_descriptor_is_written_and_read_back(vault: SoftVault) -> None:
    text = format_descriptor(vault.policy)
    assert parse_descriptor(text, Network.REGTEST) == vault.policy
    assert parse_descriptor(text.partition("#")[0], Network.REGTEST) == vault.policy
    multi = "sortedmulti" if vault.policy.sorted_keys else "multi"
    wanted = f"{multi}(2,@0/**,@1/**,@2/**)"
    if vault.policy.script == "tr":
        wanted = "tr(@0/**,sortedmulti_a(2,@1/**,@2/**,@3/**))"
    assert wanted in format_template(vault.policy)


def test_addresses_are_those_of_libwally(vault: SoftVault) -> None:
    if vault.policy.script == "tr":
        pytest.skip("libwally knows no sortedmulti_a")
    wally = judge("wallycore")
    text = format_descriptor(vault.policy)
    for keychain in (RECEIVE, CHANGE):
        flags = wally.WALLY_MINISCRIPT_REQUIRE_CHECKSUM
        parsed = wally.descriptor_parse(text, None, wally.WALLY_NETWORK_BITCOIN_REGTEST, flags)
        theirs = wally.descriptor_to_addresses(parsed, 0, keychain, 0, 0, 10)
        assert list(addresses(vault.policy, keychain, range(10))) == list(theirs)


def test_unsorted_keys_keep_their_order(vault: SoftVault) -> None:
    turned = replace(vault.policy, keys=vault.policy.keys[::-1])
    ours, theirs = (next(addresses(each, RECEIVE, [0])) for each in (vault.policy, turned))
    taproot = vault.policy.script == "tr"
    assert (ours == theirs) == (vault.policy.sorted_keys and not taproot)
    for script in derive_scripts(vault.policy, RECEIVE, range(20)):
        in_order = tuple(sorted(script.pubkeys)) if vault.policy.sorted_keys else script.pubkeys
        if taproot:
            leaf = read_leaf(script.code)
            assert leaf == (2, tuple(sorted(point[1:] for point in script.pubkeys)))
        else:
            assert script.multisig.pubkeys == in_order


@pytest.mark.parametrize(("form", "wanted"), MANY)
def test_any_quorum_spends_and_weighs_no_more_than_reckoned(
    form: tuple[str, bool], wanted: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (script, is_sorted), (threshold, total) = form, wanted
    vault = soft_vault(threshold, total, script, sorted_keys=is_sorted)
    psbt = signed(vault, spend(vault), *range(total - threshold, total))
    assert quorum(psbt, vault.policy) == (threshold, threshold)
    raw = extract(finalize(psbt, vault.policy))
    if consensus.engine_available():
        assert consensus.check(raw, outline.spent(psbt)) == consensus.ACCEPTED
    monkeypatch.setattr(consensus, "engine_available", lambda: False)
    assert consensus.check(raw, outline.spent(psbt)) == consensus.OWN_CHECK
    real = parse_transaction(raw)
    sizes = sum(len(output.script_pubkey) + 9 for output in real.outputs)
    bound = transaction_weight(
        3, input_weight(vault.policy.size), len(real.outputs), outputs_size=sizes
    )
    spare = {"sh": 8, "tr": 0}.get(script, 2) * threshold * 3
    assert real.weight <= bound <= real.weight + spare + (2 if script == "sh" else 0)
    assert review(psbt, vault.policy, Context()).vsize == -(-bound // 4)


def test_keys_with_other_keychains_sign_and_come_back(vault: SoftVault) -> None:
    if vault.policy.script == "tr":
        with pytest.raises(PolicyError, match="have the keychains <0;1>, no others"):
            replace(vault.policy, keychains=((0, 1), (3, 2), (0, 7)))
        return
    own = replace(vault, policy=replace(vault.policy, keychains=((0, 1), (3, 2), (0, 7))))
    psbt = spend(own)
    for cosigner, step in ((1, 3), (2, 0)):
        assert {r.path[-2] for r, _ in own.answers(psbt, cosigner)} == {step}
    change = next(out for out in output_scripts(psbt, own.policy) if out)
    assert (change.keychain, change.index) == (CHANGE, 7)
    paths = {tuple(o.derivation[-2:]) for p in psbt.outputs for o in p.bip32_derivations.values()}
    assert paths == {(1, 7), (2, 7), (7, 7)}
    other = combine(psbt, codec.parse(codec.to_bytes(signed(own, psbt, 1, 2), 2)), own.policy)
    assert consensus.check(extract(finalize(other, own.policy)), outline.spent(other))
    with pytest.raises(PsbtError, match="no input spends a coin of this policy"):
        quorum(other, vault.policy)


def test_the_id_is_known_before_it_is_signed_but_for_legacy_scripts(vault: SoftVault) -> None:
    psbt = spend(vault)
    final = parse_transaction(extract(finalize(signed(vault, psbt, 0, 2), vault.policy)))
    assert (codec.txid(psbt) == final.txid) == (vault.policy.script != "sh")
    assert codec.txid(finalize(signed(vault, psbt, 0, 2), vault.policy)) == final.txid


def test_the_id_of_a_final_input_is_that_of_its_own_script_sig(vault: SoftVault) -> None:
    psbt = codec.copy(spend(vault))
    psbt.inputs[0].final_scriptsig = Script(b"\x51")
    ids = {codec.txid(psbt)}
    psbt.inputs[0].redeem_script = None
    assert {codec.txid(psbt)} == ids


def test_signatures_come_back_in_every_form(vault: SoftVault) -> None:
    psbt = signed(vault, spend(vault), 0)
    both = signed(vault, psbt, 2)
    final = finalize(both, vault.policy)
    answers = {
        "the PSBT": both,
        "version 2": codec.parse(codec.to_bytes(both, 2)),
        "final": final,
        "final, version 2": codec.parse(codec.to_bytes(final, 2)),
        "the transaction": codec.final_psbt(parse_transaction(extract(final))),
    }
    for name, answer in answers.items():
        taken = combine(psbt, answer, vault.policy)
        assert standing(taken, vault.policy).counts == {0: 3, 1: 0, 2: 3}, name
        assert extract(finalize(taken, vault.policy)) == extract(final), name


def test_libwally_signs_and_finalizes_as_we_do(vault: SoftVault) -> None:
    if vault.policy.script == "tr":
        pytest.skip("libwally signs by the key path alone")
    wally = judge("wallycore")
    psbt = spend(vault)
    theirs = wally.psbt_from_bytes(codec.to_bytes(psbt), 0)
    for cosigner in (1, 2):
        master = vault.masters[cosigner]
        key = wally.bip32_key_init(
            wally.BIP32_VER_TEST_PRIVATE, 0, 0, master.chain_code, master.pubkey, master.secret,
            None, None,
        )  # fmt: skip
        wally.psbt_sign_bip32(theirs, key, 0)
    taken = combine(psbt, codec.parse(bytes(wally.psbt_to_bytes(theirs, 0))), vault.policy)
    assert standing(taken, vault.policy).counts == {0: 0, 1: 3, 2: 3}
    wally.psbt_finalize(theirs, 0)
    finished = wally.tx_to_bytes(wally.psbt_extract(theirs, 0), wally.WALLY_TX_FLAG_USE_WITNESS)
    assert extract(finalize(taken, vault.policy)) == bytes(finished)


def test_a_slim_one_leaves_previous_transactions_out_where_amounts_are_signed(
    vault: SoftVault,
) -> None:
    legacy = vault.policy.script == "sh"
    slim = without_previous(spend(vault), vault.policy)
    assert all((psbt_in.non_witness_utxo is not None) == legacy for psbt_in in slim.inputs)
    assert quorum(signed(vault, slim, 0, 1), vault.policy) == (2, 2)


def test_a_legacy_input_is_not_signed_without_its_previous_transaction() -> None:
    vault = soft_vault(2, 3, "sh")
    psbt = spend(vault)
    for psbt_in, (script, value) in zip(psbt.inputs, outline.spent(psbt), strict=True):
        psbt_in.witness_utxo = codec.TransactionOutput(value, codec.Script(script))
        psbt_in.non_witness_utxo = None
    with pytest.raises(PsbtError, match="input 0 is no segwit and lacks its previous transaction"):
        vault.sign(psbt, 0)


def test_change_is_recognised_and_dust_is_that_of_the_script(vault: SoftVault) -> None:
    psbt = spend(vault)
    seen = review(psbt, vault.policy, Context())
    assert [output.value_sats for output in seen.outputs if output.kind == "change"] == [70_000]
    own = vault_script(vault.policy, CHANGE, 7)
    assert vault.policy.size.dust_sats == dust_limit_sats(own.script_pubkey)
    assert vault.policy.size.output == 9 + len(own.script_pubkey)
    assert format_address(own.script_pubkey, Network.REGTEST) in {
        output.address for output in seen.outputs
    }


@pytest.mark.parametrize("field", [fields.IN_REDEEM_SCRIPT, fields.IN_WITNESS_SCRIPT])
def test_a_script_that_is_not_the_output_s_is_refused_by_input(
    vault: SoftVault, field: bytes
) -> None:
    psbt = spend(vault)
    maps = codec.read_maps(codec.to_bytes(signed(vault, psbt, 0)))
    first = {**maps.inputs[0], field: b"\x51"}
    answer = codec.assemble(maps._replace(inputs=(first, *maps.inputs[1:])))
    with pytest.raises(NotOnlySignatures) as refused:
        combine(psbt, answer, vault.policy)
    name = "redeem_script" if field == fields.IN_REDEEM_SCRIPT else "witness_script"
    assert refused.value.field == f"inputs[0].{name}"
    with pytest.raises(PsbtError, match=r"script is not that of the output|no segwit|no redeem"):
        signed(vault, answer, 1)


def test_a_witness_tells_who_signed(vault: SoftVault) -> None:
    psbt = spend(vault)
    final = parse_transaction(extract(finalize(signed(vault, psbt, 0, 2), vault.policy)))
    coins = outline.spent(psbt)
    for index, ((script_pubkey, _), psbt_in) in enumerate(zip(coins, psbt.inputs, strict=True)):
        places = [path.derivation[-2:] for _, path in codec.origins(psbt_in)]
        script = vault_script(vault.policy, *places[0])
        assert script.script_pubkey == script_pubkey
        spent = {at: TransactionOutput(value, key) for at, (key, value) in enumerate(coins)}
        found = signers(final, index, script, spent=spent)
        assert found == {script.pubkeys[0], script.pubkeys[2]}
        alone = signers(final, index, script, spent={index: spent[index]})
        assert alone == (frozenset() if script.kind == "tr" else found)
        assert not signers(final, index, script, spent={})


def test_a_message_is_proved_for_every_script(
    vault: SoftVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = vault_script(vault.policy, RECEIVE, 0)
    asked = message_psbt("drill", vault.policy, script)
    proof = vault_proof(signed(vault, asked, 1, 2), vault.policy)
    assert proof[:3] == ("smp" if vault.policy.script in {"wsh", "tr"} else "ful")
    for engine in (consensus.engine_available(), False):
        monkeypatch.setattr(consensus, "engine_available", lambda engine=engine: engine)
        verify_proof(proof, "drill", script.script_pubkey)
        with pytest.raises(PsbtError):
            verify_proof(proof, "another", script.script_pubkey)
        with pytest.raises(PsbtError):
            verify_proof(proof, "drill", vault_script(vault.policy, RECEIVE, 1).script_pubkey)


def test_what_is_no_policy_here_is_refused() -> None:
    keys = soft_vault(2, 3).policy.keys
    with pytest.raises(PolicyError, match="unknown script rawtr"):
        Policy(2, keys, Network.REGTEST, "rawtr")
    body = format_descriptor(soft_vault(2, 3).policy).partition("#")[0]
    for text in (
        body.replace("wsh(", "sh(wsh(", 1),
        body + ")",
        body.replace("wsh(", "tr(", 1),
        body.replace("sortedmulti", "multi_a"),
        body.replace("wsh(sortedmulti(2,", "sh(wpkh(2,"),
    ):
        with pytest.raises(PolicyError):
            parse_descriptor(text, Network.REGTEST)


@pytest.mark.parametrize("size", [0, 1, 75, 76, 255, 256, 520])
def test_pushes_are_read_in_their_shortest_form_only(size: int) -> None:
    data = bytes(range(256)) * 3
    assert read_pushes(pushed(data[:size]) + pushed(b"\x51")) == (data[:size], b"\x51")
    assert read_pushes(b"\x4d" + (5).to_bytes(2, "little") + data[:5]) is None
    assert read_pushes(b"\x05" + data[:4]) is None
    assert read_pushes(b"\x51") is None
