"""Somebody else's coin beside a vault's, and what unlocks it: a single key in software."""

from collections.abc import Sequence
from hashlib import sha256

import coincurve
from embit.hashes import hash160

from psbt import codec, fields
from psbt.coins import Outpoint
from psbt.fields import Fields
from psbt.fields import write as written
from psbt.sighash import digests, spent_outputs
from psbt.signature import compact_from_der, partial_from_compact
from psbt.transaction import (
    Transaction,
    TransactionInput,
    TransactionOutput,
    parse_unsigned,
    sized,
    vector,
)

KEY = coincurve.PrivateKey(sha256(b"somebody else").digest())
PUBKEY = KEY.public_key.format()
HASH = hash160(PUBKEY)
SCRIPTS = {
    "p2wpkh": b"\x00\x14" + HASH,
    "p2pkh": b"\x76\xa9\x14" + HASH + b"\x88\xac",
    "p2sh-p2wpkh": b"\xa9\x14" + hash160(b"\x00\x14" + HASH) + b"\x87",
}
THEIRS = SCRIPTS["p2wpkh"]


def made(kind: str, value_sats: int) -> Transaction:
    """Return the transaction that made their coin, its output 0."""
    source = Outpoint(sha256(kind.encode()).hexdigest(), 0)
    outputs = (TransactionOutput(value_sats, SCRIPTS[kind]),)
    return Transaction((TransactionInput(source, b"\x51"),), outputs)


def told(previous: Transaction, *, proven: bool) -> Fields:
    """Return what a PSBT says about their coin: the transaction that made it, or its output."""
    spent = previous.outputs[0]
    if proven:
        nested = {fields.IN_REDEEM_SCRIPT: THEIRS}
        more = nested if spent.script_pubkey == SCRIPTS["p2sh-p2wpkh"] else {}
        return {fields.IN_NON_WITNESS_UTXO: previous.raw, **more}
    stated = spent.value_sats.to_bytes(8, "little") + sized(spent.script_pubkey)
    return {fields.IN_WITNESS_UTXO: stated}


def joined(
    psbt: str | bytes,
    previous: Transaction,
    say: Fields,
    *,
    pays: Sequence[TransactionOutput] = (),
    first: bool = False,
) -> bytes:
    """Return a PSBT that spends output 0 of a transaction too, and pays somebody besides."""
    maps = codec.read_maps(psbt)
    old = parse_unsigned(maps.globals[fields.GLOBAL_UNSIGNED_TX])
    coin = (TransactionInput(Outpoint(previous.txid, 0), sequence=0xFFFFFFFD),)
    inputs = (*coin, *old.inputs) if first else (*old.inputs, *coin)
    new = Transaction(inputs, (*old.outputs, *pays), old.version, old.locktime)
    own = {**maps.globals, fields.GLOBAL_UNSIGNED_TX: new.stripped}
    ins = (say, *maps.inputs) if first else (*maps.inputs, say)
    return written(
        maps._replace(globals=own, inputs=ins, outputs=(*maps.outputs, *[{}] * len(pays)))
    )


def unlocked(psbt: str | bytes, kind: str = "p2wpkh") -> bytes:
    """Return a PSBT in which their input is final, as their own wallet finishes it."""
    maps = codec.read_maps(psbt)
    parsed = codec.parse(psbt)
    unsigned = codec.unsigned_transaction(parsed)
    inputs = []
    for index, (values, spent) in enumerate(zip(maps.inputs, spent_outputs(parsed), strict=True)):
        if spent.script_pubkey != SCRIPTS[kind]:
            inputs.append(values)
            continue
        count = len(parsed.inputs)
        amounts: list[int | None] = [None if kind == "p2pkh" else spent.value_sats] * count
        digest = digests(unsigned, [SCRIPTS["p2pkh"]] * count, amounts)[index]
        der = partial_from_compact(compact_from_der(KEY.sign(digest, hasher=None)))
        kept = {k: v for k, v in values.items() if k[:1] in {b"\x00", b"\x01"}}
        if kind == "p2pkh":
            kept[fields.IN_FINAL_SCRIPTSIG] = sized(der) + sized(PUBKEY)
        else:
            kept[fields.IN_FINAL_SCRIPTWITNESS] = vector((der, PUBKEY), sized)
        if kind == "p2sh-p2wpkh":
            kept[fields.IN_FINAL_SCRIPTSIG] = sized(b"\x00\x14" + HASH)
        inputs.append(kept)
    return written(maps._replace(inputs=tuple(inputs)))
