"""Version 2 (BIP 370): another way to write the same PSBT, and what only it can say."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psbt import codec, fields
from psbt.combiner import combine
from psbt.errors import NotOnlySignatures, PsbtError, SignatureInvalid
from psbt.fields import Fields, Maps
from tests.judges import judge
from tests.psbt.soft_vault import soft_vault

VAULT = soft_vault(2, 3)
SPEND = VAULT.spend([50_000, 60_000, 70_000], 100_000, 70_000)
SIGNED = [VAULT.sign(SPEND, cosigner) for cosigner in range(3)]
RAW = codec.to_bytes(SIGNED[0])
SECOND = codec.to_bytes(SIGNED[1], 2)
MAPS = fields.read(SECOND)[0]


def changed(scope: str, index: int, change: Fields, gone: tuple[bytes, ...] = ()) -> bytes:
    """Return the second signer's PSBT of version 2 with fields changed and left out."""

    def altered(values: Fields) -> Fields:
        kept = {key: value for key, value in values.items() if key not in gone}
        return {**kept, **change}

    if scope == "globals":
        return fields.write(MAPS._replace(globals=altered(MAPS.globals)))
    every = [*getattr(MAPS, scope)]
    every[index] = altered(every[index])
    return fields.write(MAPS._replace(**{scope: tuple(every)}))


def back(data: bytes) -> codec.Psbt:
    """Take what came back for the first signer's PSBT."""
    return combine(SIGNED[0], codec.parse_returned(data, SIGNED[0]), VAULT.policy)


def number(value: int, size: int = 4) -> bytes:
    return value.to_bytes(size, "little")


def test_there_and_back_nothing_is_lost() -> None:
    for signed in SIGNED:
        for text in (codec.to_bytes(signed, 2), codec.to_bytes(signed, 2).hex()):
            assert codec.to_bytes(codec.parse(text)) == codec.to_bytes(signed)


def test_what_is_written_is_of_version_2_and_may_not_be_changed() -> None:
    assert MAPS.version == 2
    assert fields.GLOBAL_UNSIGNED_TX not in MAPS.globals
    assert fields.GLOBAL_TX_MODIFIABLE not in MAPS.globals
    types = [[key[:1] for key in values] for _, values in MAPS.named()]
    assert types == [sorted(each) for each in types]


@pytest.mark.parametrize("scope", ["globals", "inputs", "outputs"])
@pytest.mark.parametrize("key", [b"\xf0", b"\xf0\x03", b"\xfc\x08COINKITE\x00", b"\x1f\x00"])
def test_unknown_and_proprietary_fields_survive_both_ways(scope: str, key: bytes) -> None:
    value = bytes(range(256))
    psbt = codec.parse(changed(scope, 0, {key: value}))
    again = codec.parse(codec.to_bytes(codec.parse(codec.to_bytes(psbt)), 2))
    held = again if scope == "globals" else getattr(again, scope)[0]
    assert held.unknown[key] == value


def test_wally_reads_what_we_write_and_we_what_it_writes() -> None:
    wally = judge("wallycore")
    for signed in SIGNED:
        theirs = wally.psbt_from_bytes(codec.to_bytes(signed, 2), 0)
        assert wally.psbt_get_version(theirs) == 2
        assert codec.read_maps(bytes(wally.psbt_to_bytes(theirs, 0))) == codec.read_maps(
            codec.to_bytes(signed)
        )
        wally.psbt_set_version(theirs, 0, 0)
        assert codec.read_maps(bytes(wally.psbt_to_bytes(theirs, 0))) == codec.read_maps(
            codec.to_bytes(signed)
        )


def test_signatures_come_back_in_version_2_as_in_version_0() -> None:
    assert codec.to_bytes(back(SECOND)) == codec.to_bytes(
        combine(SIGNED[0], SIGNED[1], VAULT.policy)
    )


STRIPPED = {
    "the sequence of an input": ("inputs", 1, (fields.IN_SEQUENCE,)),
    "the lock time": ("globals", 0, (fields.GLOBAL_FALLBACK_LOCKTIME,)),
    "all that signers needed": (
        "inputs",
        0,
        (fields.IN_NON_WITNESS_UTXO, fields.IN_WITNESS_UTXO, fields.IN_WITNESS_SCRIPT),
    ),
}


@pytest.mark.parametrize("gone", STRIPPED.values(), ids=STRIPPED)
def test_what_is_left_out_stands_as_it_was(gone: tuple[str, int, tuple[bytes, ...]]) -> None:
    scope, index, keys = gone
    both = back(changed(scope, index, {}, keys))
    assert codec.to_bytes(both) == codec.to_bytes(combine(SIGNED[0], SIGNED[1], VAULT.policy))


@pytest.mark.parametrize("flags", range(16))
def test_modifiable_flags_change_nothing(flags: int) -> None:
    both = back(changed("globals", 0, {fields.GLOBAL_TX_MODIFIABLE: bytes([flags])}))
    assert codec.to_bytes(both) == codec.to_bytes(combine(SIGNED[0], SIGNED[1], VAULT.policy))


CONTRADICTIONS = {
    "another coin": ("inputs", 1, {fields.IN_OUTPUT_INDEX: number(77)}, "vout is 77"),
    "another sequence": ("inputs", 2, {fields.IN_SEQUENCE: number(5)}, r"inputs\[2\].sequence"),
    "another lock time": ("globals", 0, {fields.GLOBAL_FALLBACK_LOCKTIME: number(5)}, "locktime"),
    "a required height": (
        "inputs",
        0,
        {fields.IN_REQUIRED_HEIGHT_LOCKTIME: number(900_000)},
        "locktime",
    ),
    "another version": ("globals", 0, {fields.GLOBAL_TX_VERSION: number(1)}, "tx_version"),
    "another amount": ("outputs", 1, {fields.OUT_AMOUNT: number(5, 8)}, r"outputs\[1\].value"),
    "another payee": ("outputs", 0, {fields.OUT_SCRIPT: b"\x51"}, r"outputs\[0\].script_pubkey"),
}


@pytest.mark.parametrize("change", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_contradiction_is_refused_by_its_place_and_field(
    change: tuple[str, int, Fields, str],
) -> None:
    scope, index, values, match = change
    with pytest.raises((NotOnlySignatures, PsbtError), match=match):
        back(changed(scope, index, values))


def test_a_signature_over_a_sequence_that_was_stripped_must_still_verify() -> None:
    other = codec.copy(SPEND)
    other.inputs[0].sequence = 7
    signed = fields.read(codec.to_bytes(VAULT.sign(other, 1), 2))[0]
    bare = tuple(
        {k: v for k, v in values.items() if k != fields.IN_SEQUENCE} for values in signed.inputs
    )
    with pytest.raises(SignatureInvalid):
        back(fields.write(signed._replace(inputs=bare)))


REFUSED = {
    "no version": ("globals", {}, (fields.GLOBAL_VERSION,), "version 0 does not have"),
    "a transaction": ("globals", {b"\0": bytes(10)}, (), "version 2 does not have"),
    "one input more": ("globals", {b"\x04": b"\x04"}, (), r"inputs\[3\] "),
    "one input less": ("globals", {b"\x04": b"\x02"}, (), "holds|lacks|has"),
    "a long count": ("globals", {b"\x04": b"\xfd\x03\x00"}, (), "an input count that cannot be"),
    "no end of inputs": ("globals", {b"\x04": b"\xff" * 9}, (), r"inputs\[3\] "),
    "flags of two bytes": ("globals", {b"\x06": bytes(2)}, (), "modifiable flags of 2 bytes"),
    "a short id": ("inputs", {b"\x0e": bytes(31)}, (), r"inputs\[0\] holds a previous"),
    "a time that is a height": ("inputs", {b"\x11": number(499_999_999)}, (), "499999999, not"),
    "a height that is a time": ("inputs", {b"\x12": number(500_000_000)}, (), "500000000, not"),
    "a height of 0": ("inputs", {b"\x12": number(0)}, (), "lock height of 0, not"),
    "more than all bitcoin": ("outputs", {b"\x03": number(1 << 63, 8)}, (), "21 million"),
    "no script": ("outputs", {}, (b"\x04",), r"outputs\[0\] lacks a script"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_version_2_cannot_be_is_refused(
    case: tuple[str, Fields, tuple[bytes, ...], str],
) -> None:
    scope, change, gone, match = case
    with pytest.raises(PsbtError, match=match):
        codec.parse(changed(scope, 0, change, gone))


def test_a_coin_twice_is_refused() -> None:
    inputs = (MAPS.inputs[0], MAPS.inputs[0], MAPS.inputs[2])
    with pytest.raises(PsbtError, match="as another input does"):
        codec.parse(fields.write(MAPS._replace(inputs=inputs)))


def test_maps_that_are_not_as_many_as_stated_are_refused() -> None:
    for maps in (MAPS, codec.read_maps(SECOND)):
        with pytest.raises(PsbtError, match="maps for 2 inputs and 2 outputs are there"):
            codec.assemble(maps._replace(inputs=maps.inputs[:2]))


def test_sequences_do_not_tell_psbts_apart_but_all_else_does() -> None:
    def altered(scope: str, change: Fields) -> str:
        return codec.unique_id(codec.parse(changed(scope, 0, change)))

    same = codec.unique_id(SPEND)
    assert altered("inputs", {fields.IN_SEQUENCE: number(1)}) == same == codec.unique_id(SIGNED[1])
    assert same != codec.txid(SPEND)
    assert altered("outputs", {fields.OUT_AMOUNT: number(1, 8)}) != same
    assert altered("globals", {fields.GLOBAL_FALLBACK_LOCKTIME: number(1)}) != same


@given(st.randoms(use_true_random=False))
def test_the_order_of_fields_means_nothing(rng: random.Random) -> None:
    def shuffled(values: Fields) -> Fields:
        return dict(rng.sample(list(values.items()), len(values)))

    maps = Maps(
        shuffled(MAPS.globals),
        tuple(map(shuffled, MAPS.inputs)),
        tuple(map(shuffled, MAPS.outputs)),
    )
    assert codec.read_maps(codec.to_bytes(codec.parse(fields.write(maps))), 2) == MAPS


@given(st.integers(0, len(SECOND) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_damage_is_refused_or_read_as_it_stands(place: int, new: bytes, gone: int) -> None:
    damaged = SECOND[:place] + new + SECOND[place + gone :]
    try:
        psbt = codec.parse(damaged)
    except PsbtError:
        return
    assert codec.read_maps(codec.to_bytes(psbt, 2)) == codec.read_maps(codec.to_bytes(psbt))
