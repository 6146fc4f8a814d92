"""PSBTs and transactions: read, reviewed, combined, finalised, extracted, judged."""

import base64
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from psbt import codec, consensus, fields, outline
from psbt.combiner import combine
from psbt.errors import PsbtError
from psbt.extractor import extract
from psbt.fields import Maps
from psbt.finalizer import finalize
from psbt.message import message_psbt, simple_proof, verify_proof
from psbt.network import Network
from psbt.partial_signatures import standing
from psbt.policy import (
    RECEIVE,
    format_descriptor,
    parse_descriptor,
    vault_script,
)
from psbt.review import Context, review
from psbt.signer import signing_requests
from psbt.transaction import parse_transaction
from tests.fuzz.target import Target
from tests.psbt.beside import joined, made, told, unlocked
from tests.psbt.branch_vaults import FORMS, branch_vault
from tests.psbt.soft_vault import SoftVault, soft_vault

Read = Callable[[bytes], object]

VAULT = soft_vault(2, 3)
UNSIGNED = VAULT.spend([50_000, 60_000, 70_000], 100_000, 70_000)
ONCE = VAULT.sign(UNSIGNED, 1)
TWICE = VAULT.sign(ONCE, 0)
THEIR_COIN = made("p2wpkh", 30_000)
SHARED_UNSIGNED = codec.parse(
    joined(codec.to_bytes(UNSIGNED), THEIR_COIN, told(THEIR_COIN, proven=False))
)
SHARED_TWICE = VAULT.sign(VAULT.sign(SHARED_UNSIGNED, 2), 1)
SHARED = (SHARED_UNSIGNED, SHARED_TWICE, codec.parse(unlocked(codec.to_bytes(SHARED_TWICE))))
"""The same with a coin of somebody else beside ours."""
LEAF_VAULT = soft_vault(2, 3, "tr")
LEAF_UNSIGNED = LEAF_VAULT.spend([50_000, 60_000, 70_000], 100_000, 70_000)
LEAF_ONCE = LEAF_VAULT.sign(LEAF_UNSIGNED, 1)
LEAF = (LEAF_UNSIGNED, LEAF_ONCE, LEAF_VAULT.sign(LEAF_ONCE, 0))
"""The same of a vault in a leaf of taproot."""
MESSAGE = "vault savings 2026-05-01"
SCRIPT = vault_script(VAULT.policy, RECEIVE, 0)
PROOF = simple_proof(
    VAULT.sign(VAULT.sign(message_psbt(MESSAGE, VAULT.policy, SCRIPT), 2), 0), VAULT.policy
)
# Types of BIP 174, 370 and 371 that a map may hold, each with a value of a likely size.
KEY_TYPES = (*range(0x20), 0xFB, 0xFC)
VALUE_SIZES = (0, 1, 4, 8, 32, 33, 64, 65, 72, 300)


def judged(data: bytes, vault: SoftVault = VAULT, asked: codec.Psbt = ONCE) -> None:
    """Take a PSBT the whole way, with our own payment as the one it came back for."""
    psbt = codec.parse(data)
    again = codec.to_bytes(psbt)
    assert codec.to_bytes(codec.parse(again)) == again
    later = codec.to_bytes(psbt, 2)
    assert codec.read_maps(later) == codec.read_maps(again)
    assert codec.txid(codec.parse(later)) == codec.txid(psbt)
    combined = combine(asked, psbt, vault.policy)
    assert codec.txid(combined) == codec.txid(asked)
    for each in (psbt, combined):
        review(each, vault.policy, Context())
        for key in vault.policy.keys:
            signing_requests(each, vault.policy, key)
        held = standing(each, vault.policy)
        if held.have >= held.need:
            raw = extract(finalize(each, vault.policy))
            consensus.check(raw, outline.spent(each))


def shared_judged(data: bytes) -> None:
    """Take our payment with a coin of somebody else beside ours the whole way."""
    asked = SHARED[1]
    given = codec.parse(data)
    for each in (given, combine(asked, given, VAULT.policy)):
        found = review(each, VAULT.policy, Context())
        own = [index for index, coin in enumerate(found.inputs) if coin.own]
        assert own
        for key in VAULT.policy.keys:
            asks = signing_requests(each, VAULT.policy, key)
            assert {request.input_index for request in asks} <= set(own)
        held = standing(each, VAULT.policy)
        if held.have >= held.need:
            final = finalize(each, VAULT.policy)
            assert all(codec.is_final(final.inputs[index]) for index in own)


def edited(data: bytes, bases: Sequence[codec.Psbt] = ()) -> bytes:
    """Return our PSBT with its maps edited as the bytes say: whatever they say is well-formed.

    Six bytes an edit: which map, what kind, which entry or type, two for a place or a size, and
    one for a value.
    """
    first = data[0] if data else 1
    base = (bases or (UNSIGNED, ONCE, TWICE))[first % 3]
    maps = codec.read_maps(codec.to_bytes(base), first // 3 % 2 * 2)
    scopes, inputs = [maps.globals, *maps.inputs, *maps.outputs], len(maps.inputs)
    for at in range(1, len(data) - 5, 6):
        _edit(scopes, *data[at : at + 6])
    ins, outs = scopes[1 : 1 + inputs], scopes[1 + inputs :]
    return fields.write(Maps(scopes[0], tuple(ins), tuple(outs)))


def _edit(
    scopes: list[dict[bytes, bytes]], where: int, how: int, what: int, at: int, size: int, byte: int
) -> None:
    scope = scopes[where % len(scopes)]
    keys = list(scope)
    key = keys[what % len(keys)] if keys else b"\x00"
    value = scope.get(key, b"")
    match how % 8:
        case 0:
            scope.pop(key, None)
        case 1 if value:
            place = (at << 8 | size) % len(value)
            scope[key] = value[:place] + bytes([byte]) + value[place + 1 :]
        case 2:
            scope[key] = value[:at]
        case 3:
            scope[key] = value + bytes([byte]) * size
        case 4:
            kind = KEY_TYPES[what % len(KEY_TYPES)]
            scope[bytes([kind])] = bytes([byte]) * VALUE_SIZES[size % len(VALUE_SIZES)]
        case 5:
            kind = KEY_TYPES[what % len(KEY_TYPES)]
            pubkey = VAULT.policy.keys[at % 3].key.public_key
            scope[bytes([kind]) + pubkey[: size % 40]] = bytes([byte]) * (at % 80)
        case 6:
            other = scopes[at % len(scopes)]
            scope.update(list(other.items())[: size % 4])
        case _:
            scope[key + bytes([byte])] = value


def returned(data: bytes) -> None:
    """Take what came back for our own payment, in whichever version."""
    came_back = codec.parse_returned(data, ONCE)
    assert codec.txid(combine(ONCE, came_back, VAULT.policy)) == codec.txid(ONCE)


def returned_seeds() -> Iterator[bytes]:
    for psbt in (UNSIGNED, ONCE, TWICE, finalize(TWICE, VAULT.policy)):
        yield codec.to_bytes(psbt, 2)
        maps = codec.read_maps(codec.to_bytes(psbt), 2)
        bare = tuple({k: v for k, v in each.items() if k[0] in b"\x02\x0e\x0f"} for each in maps[1])
        yield fields.write(maps._replace(inputs=bare))


def psbt_seeds() -> Iterator[bytes]:
    yield from (codec.to_bytes(psbt, 2) for psbt in (UNSIGNED, TWICE))
    for script in ("sh-wsh", "sh", "tr"):
        other = soft_vault(2, 3, script)
        yield codec.to_bytes(other.sign(other.spend([50_000], 20_000, 0), 0))
    yield from map(codec.to_bytes, (UNSIGNED, ONCE, TWICE, finalize(TWICE, VAULT.policy)))
    yield codec.to_base64(ONCE).encode()
    yield codec.to_bytes(ONCE).hex().encode()
    yield extract(finalize(TWICE, VAULT.policy)).hex().encode()
    yield codec.to_bytes(message_psbt(MESSAGE, VAULT.policy, SCRIPT))


def edit_seeds() -> Iterator[bytes]:
    yield b"\x01"
    for how in range(8):
        for where in range(5):
            yield bytes([how % 6, where, how, where + how, 1, 33, 7])


def shared_seeds() -> Iterator[bytes]:
    yield b"\x01"
    for base in range(6):
        for how in range(8):
            yield bytes([base, 4, how, how + base, how, 1, 33])


def transaction_seeds() -> Iterator[bytes]:
    yield extract(finalize(TWICE, VAULT.policy))
    for psbt_in in UNSIGNED.inputs:
        previous = codec.previous_transaction(psbt_in)
        if previous is not None:
            yield previous.raw


def transaction(data: bytes) -> None:
    """Read a transaction and have it judged as a spend of our own coins."""
    parsed = parse_transaction(data)
    assert parsed.raw == data
    assert parsed.weight >= len(data)
    consensus.check(data, [(SCRIPT.script_pubkey, 50_000)] * len(parsed.inputs))


def proof(data: bytes) -> None:
    """Judge a BIP 322 proof: the message is the first line."""
    message, _, given = data.decode("utf-8", "surrogateescape").partition("\n")
    verify_proof(given, message, SCRIPT.script_pubkey)


def proof_seeds() -> Iterator[bytes]:
    yield f"{MESSAGE}\n{PROOF}".encode()
    yield f"\n{PROOF[3:]}".encode()
    yield b"a\nful" + base64.b64encode(bytes(40))
    yield b"a\nsmp" + base64.b64encode(b"\xfe\xff\xff\xff\xff")


def descriptor(data: bytes) -> None:
    """Read a descriptor and write it again."""
    policy = parse_descriptor(data.decode("utf-8", "surrogateescape"), Network.REGTEST)
    assert parse_descriptor(format_descriptor(policy), Network.REGTEST) == policy


def descriptor_seeds() -> Iterator[bytes]:
    text = format_descriptor(VAULT.policy)
    yield text.encode()
    yield text.partition("#")[0].encode()
    yield text.replace("<0;1>", "0").replace("h", "'").partition("#")[0].encode()
    for script in ("sh-wsh", "sh"):
        other = soft_vault(2, 3, script, sorted_keys=False).policy
        yield format_descriptor(other).partition("#")[0].encode()
    yield format_descriptor(LEAF_VAULT.policy).partition("#")[0].encode()
    for name in FORMS:
        yield format_descriptor(branch_vault(name).policy).partition("#")[0].encode()


def reading(read: Read) -> Callable[[Path], Read]:
    """Return what prepares a reader that needs nothing."""
    return lambda _folder: read


TARGETS = (
    Target("psbt", psbt_seeds, reading(judged), (PsbtError,), 8192, runs=150, steps=60_000),
    Target(
        "psbt_fields",
        edit_seeds,
        reading(lambda data: judged(edited(data))),
        (PsbtError,),
        256,
        runs=150,
        steps=100_000,
        steps_per_byte=2_000,
    ),
    Target(
        "psbt_shared",
        shared_seeds,
        reading(lambda data: shared_judged(edited(data, SHARED))),
        (PsbtError,),
        256,
        runs=100,
        steps=100_000,
        steps_per_byte=2_000,
    ),
    Target(
        "psbt_taproot",
        shared_seeds,
        reading(lambda data: judged(edited(data, LEAF), LEAF_VAULT, LEAF_ONCE)),
        (PsbtError,),
        256,
        runs=100,
        steps=100_000,
        steps_per_byte=2_000,
    ),
    Target("psbt_returned", returned_seeds, reading(returned), (PsbtError,), 8192, steps=60_000),
    Target("transaction", transaction_seeds, reading(transaction), (PsbtError,), 8192),
    Target("message", proof_seeds, reading(proof), (PsbtError,)),
    Target("descriptor", descriptor_seeds, reading(descriptor), (PsbtError,)),
)
