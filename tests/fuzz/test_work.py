"""The work of readers grows as their input does: counted in steps for 6,000 things of a kind."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from coordinator.errors import CoordinatorError
from coordinator.foreign_json import read_json
from coordinator.interop import bbqr, bip329
from coordinator.payment import batch, payment_files
from coordinator.recovery import typed_lines
from coordinator.vault import drills
from coordinator.wallet import labels
from psbt import codec
from psbt.coins import Outpoint
from psbt.combiner import combine, new_signatures
from psbt.errors import PsbtError
from psbt.fields import Fields, Maps, write
from psbt.finalizer import finalize
from psbt.keys import children
from psbt.policy import RECEIVE, addresses, format_descriptor, parse_descriptor, vault_script
from psbt.review import Context, review
from psbt.transaction import (
    Transaction,
    TransactionInput,
    TransactionOutput,
    parse_transaction,
    sized,
)
from storage import vaults as vault_book
from tests.fuzz.home import NAME, KeptHome
from tests.fuzz.psbt_targets import ONCE, VAULT
from tests.fuzz.text_targets import drill_seeds, opened_copy
from tests.fuzz.work import steps

MANY = 6_000
STORED = 1_000
Act = Callable[[], object]


@cache
def names() -> list[str]:
    return [f"{number:064x}" for number in range(MANY)]


def label_lines() -> str:
    return "\n".join(json.dumps({"type": "tx", "ref": name, "label": "x"}) for name in names())


def paying(outputs: Iterable[TransactionOutput], txid: str = "ab" * 32) -> Transaction:
    return Transaction((TransactionInput(Outpoint(txid, 0), b"\x51"),), tuple(outputs))


def with_derivations(maps: Maps, where: str, kind: bytes) -> bytes:
    """Return a PSBT in whose first input or output our key's first children are named."""
    key = VAULT.policy.keys[0].key
    derive = children(key.public_key, key.chain_code)
    own = (bytes(4) + bytes(4) + n.to_bytes(4, "little") for n in range(MANY))
    named: Fields = {kind + derive(n)[0]: origin for n, origin in enumerate(own)}
    first, *rest = getattr(maps, where)
    return write(maps._replace(**{where: ({**first, **named}, *rest)}))


def looked_at(data: bytes) -> None:
    """Read, review and combine a PSBT; a refusal may end each."""
    psbt = codec.parse(data)
    for act in (
        lambda: review(psbt, VAULT.policy, Context()),
        lambda: new_signatures(ONCE, psbt, VAULT.policy),
    ):
        with suppress(PsbtError):
            act()


def many_labels() -> Act:
    text = label_lines()
    return lambda: bip329.read(text)


def many_rows() -> Act:
    paid = addresses(VAULT.policy, RECEIVE, range(batch.ROWS_MAX))
    text = "\n".join(f"{address},5000,x" for address in paid)
    return lambda: batch.read(text, "regtest")


def many_input_derivations() -> Act:
    data = with_derivations(codec.read_maps(codec.to_bytes(ONCE)), "inputs", b"\x06")
    return lambda: looked_at(data)


def many_output_derivations() -> Act:
    data = with_derivations(codec.read_maps(codec.to_bytes(ONCE)), "outputs", b"\x02")
    return lambda: looked_at(data)


def many_counted_maps() -> Act:
    maps = codec.read_maps(codec.to_bytes(ONCE), 2)
    coins = ({**maps.inputs[0], b"\x0f": n.to_bytes(4, "little")} for n in range(MANY))
    bare = tuple({k: v for k, v in each.items() if k[0] in b"\x0e\x0f"} for each in coins)
    own = {**maps.globals, b"\x04": b"\xfe" + MANY.to_bytes(4, "little")}
    data = write(Maps(own, bare, maps.outputs))
    return lambda: looked_at(data)


def many_outputs() -> Act:
    raw = paying(TransactionOutput(5, b"\x51") for _ in names()).raw
    return lambda: parse_transaction(raw).txid


def many_proofs() -> Act:
    said = json.loads(next(iter(drill_seeds())))
    said["proofs"] = [{"pubkey": "02" + name, "signature": "00" * 64} for name in names()]
    data = json.dumps(said).encode()
    return lambda: drills.verified(data)


def many_typed_lines() -> Act:
    typed = [f"{number % 300:02} abcde fghij klmn q{number:03}" for number in range(MANY)]
    return lambda: typed_lines.joined(typed)


def many_keys() -> Act:
    body = format_descriptor(VAULT.policy).partition("#")[0]
    key = body[body.index("[") : body.index(",[")]
    text = f"wsh(sortedmulti(2,{','.join([key] * MANY)}))"
    return lambda: parse_descriptor(text, VAULT.policy.network)


def many_descriptors() -> Act:
    content = json.dumps({"descriptor_sets": [{"descriptor": "x"}] * MANY}).encode()
    payload = b"\1" + (380).to_bytes(2, "big") + sized(content)
    return lambda: opened_copy(payload)


def many_values() -> Act:
    data = json.dumps([{"a": [number]} for number in range(MANY)]).encode()
    return lambda: read_json(data)


def many_parts() -> Act:
    parts = bbqr.split(bytes(range(256)) * 40, "P", 16)
    return lambda: bbqr.joined(parts * (MANY // len(parts) + 1))


@pytest.mark.parametrize(
    ("begin", "each"),
    [
        (many_labels, 60),
        (many_rows, 250),
        (many_input_derivations, 150),
        (many_output_derivations, 150),
        (many_counted_maps, 250),
        (many_outputs, 50),
        (many_proofs, 30),
        (many_typed_lines, 20),
        (many_keys, 400),
        (many_descriptors, 20),
        (many_values, 30),
        (many_parts, 40),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_so_many_things_take_so_many_steps_each(begin: Callable[[], Act], each: int) -> None:
    act = begin()

    def ended() -> None:
        with suppress(PsbtError, CoordinatorError):  # more than anybody needs may be refused
            act()

    assert steps(ended) <= each * MANY


def test_a_payment_of_many_coins_takes_so_many_steps_each() -> None:
    coins = 500
    psbt = VAULT.sign(VAULT.spend([5_000] * coins, 4_000 * coins, 0), 1)
    data = codec.to_bytes(VAULT.sign(psbt, 0))

    def whole() -> None:
        signed = codec.parse(data)
        review(signed, VAULT.policy, Context())
        finalize(combine(psbt, signed, VAULT.policy), VAULT.policy)

    assert steps(whole) <= 3_000 * coins


def stored_labels(_kept: KeptHome, db: Session) -> Act:
    text = "\n".join(label_lines().splitlines()[:STORED])
    return lambda: labels.import_text(db, text)


def stored_coins(kept: KeptHome, db: Session) -> Act:
    script = vault_script(VAULT.policy, RECEIVE, 3).script_pubkey
    made = (paying([TransactionOutput(5_000, script)], name) for name in names()[:STORED])
    data = "\n".join(transaction.raw.hex() for transaction in made).encode()
    return lambda: payment_files.take(kept.home, db, vault_book.vault_named(db, NAME), data=data)


def coins_stored_together(kept: KeptHome, db: Session) -> Act:
    script = vault_script(VAULT.policy, RECEIVE, 3).script_pubkey
    data = paying([TransactionOutput(5_000, script)] * STORED).raw.hex().encode()
    return lambda: payment_files.take(kept.home, db, vault_book.vault_named(db, NAME), data=data)


@pytest.mark.parametrize(
    ("begin", "each"),
    [(stored_labels, 400), (stored_coins, 1_000), (coins_stored_together, 200)],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_so_many_things_are_stored_in_so_many_steps_each(
    begin: Callable[[KeptHome, Session], Act], each: int, tmp_path: Path
) -> None:
    kept = KeptHome(tmp_path)
    with kept.undone() as database, database.begin() as db:
        act = begin(kept, db)
        assert steps(act) <= each * STORED
        assert steps(act) <= each * STORED
