"""The own check of scripts never accepts what the engine refuses; and what a wait asks for."""

import random
from dataclasses import replace

import pytest

from psbt import codec, consensus, interpreter, outline
from psbt.errors import ConsensusRejected
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.interpreter import Spending, refusal
from psbt.multisig import pushed
from psbt.timelocks import psbt_branches
from psbt.transaction import Transaction, TransactionInput, parse_transaction
from tests.judges import judge
from tests.psbt.branch_vaults import (
    BLOCKS,
    CASES,
    HEIGHT,
    branch_vault,
    last_keys,
    signed_by_branch,
    spend_by,
)

FINAL, NO_LOCK, IS_TIME = 0xFFFFFFFF, 1 << 31, 1 << 22


def altered(witness: tuple[bytes, ...], rng: random.Random) -> tuple[bytes, ...]:
    """Change, drop, double or swap items of a witness; its script stays."""
    items, code = list(witness[:-1]), witness[-1]
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(items)) if items else 0
        match rng.randrange(5 if items else 1):
            case 0:
                items.insert(at, rng.choice([b"", b"\x01", b"\x02", b"\x00", bytes(33)]))
            case 1:
                del items[at]
            case 2:
                items.insert(at, items[at])
            case 3:
                items[at] = rng.choice([b"", b"\x01", b"\x80", items[at][:-1] + b"\x02"])
            case 4:
                other = rng.randrange(len(items))
                items[at], items[other] = items[other], items[at]
    return (*items, code)


@pytest.mark.parametrize(("name", "branch"), CASES)
def test_what_the_engine_refuses_is_never_accepted(
    name: str, branch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge("pbk")
    vault, rng = branch_vault(name), random.Random(f"{name} {branch}")
    psbt = spend_by(vault, branch, [200_000])
    signed = signed_by_branch(vault, psbt, branch, *last_keys(vault, branch))
    real = parse_transaction(extract(finalize(signed, vault.policy, branch=branch)))
    spent = outline.spent(psbt)
    for _ in range(25):
        spending = real.inputs[0]._replace(witness=altered(real.inputs[0].witness, rng))
        raw = replace(real, inputs=(spending,)).raw
        monkeypatch.setattr(consensus, "engine_available", lambda: False)
        try:
            consensus.check(raw, spent)
        except ConsensusRejected:
            continue
        monkeypatch.setattr(consensus, "engine_available", lambda: True)
        assert consensus.check(raw, spent) == consensus.ACCEPTED


@pytest.mark.parametrize(("name", "branch"), CASES)
def test_what_a_branch_signs_is_accepted_without_the_engine(
    name: str, branch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = branch_vault(name)
    psbt = spend_by(vault, branch, [200_000])
    signed = signed_by_branch(vault, psbt, branch, *last_keys(vault, branch))
    monkeypatch.setattr(consensus, "engine_available", lambda: False)
    raw = extract(finalize(signed, vault.policy, branch=branch))
    assert consensus.check(raw, outline.spent(psbt)) == consensus.OWN_CHECK


@pytest.mark.parametrize(
    ("name", "version", "sequence", "locktime", "opens"),
    [
        ("one later key", 2, BLOCKS, 0, True),
        ("one later key", 2, BLOCKS + 1, 0, True),
        ("one later key", 2, BLOCKS | 1 << 16, 0, True),
        ("one later key", 2, BLOCKS - 1, 0, False),
        ("one later key", 1, BLOCKS, 0, False),
        ("one later key", 2, BLOCKS | NO_LOCK, 0, False),
        ("one later key", 2, BLOCKS | IS_TIME, 0, False),
        ("one later key", 2, 0xFFFFFFFD, 0, False),
        ("after a height", 2, 0xFFFFFFFD, HEIGHT, True),
        ("after a height", 1, 0, HEIGHT, True),
        ("after a height", 2, 0xFFFFFFFE, HEIGHT + 1, True),
        ("after a height", 2, 0xFFFFFFFE, 499_999_999, True),
        ("after a height", 2, FINAL, HEIGHT, False),
        ("after a height", 2, 0, HEIGHT - 1, False),
        ("after a height", 2, 0, 500_000_000, False),
        ("after a height", 2, 0, 2_000_000_000, False),
    ],
)
def test_sequence_and_lock_time_open_a_branch(
    name: str, version: int, sequence: int, locktime: int, *, opens: bool
) -> None:
    vault = branch_vault(name)
    psbt = spend_by(vault, "recovery", [200_000])
    psbt.tx_version, psbt.locktime, psbt.inputs[0].sequence = version, locktime, sequence
    found = codec.parse(codec.to_bytes(psbt))
    assert ("recovery" in psbt_branches(found, vault.policy)) is opens
    wait = vault.policy.branch("recovery").wait
    assert wait is not None
    number = (wait.blocks or wait.height or 0).to_bytes(3, "little")
    opcode = b"\xb2" if wait.blocks else b"\xb1"
    unsigned = codec.unsigned_transaction(found)
    code = pushed(number) + opcode
    told = refusal(code, (), Spending(unsigned, 0, bytes(32)))
    assert (told is None) is opens


@pytest.mark.parametrize(
    ("code", "witness", "told"),
    [
        ("63516851", (), "too few items"),
        ("6351675268", (b"\x01",), None),
        ("6351675268", (b"",), None),
        ("6351675268", (b"\x02",), "something else than 1 or nothing"),
        ("635168", (b"",), "ends with 0 items"),
        ("6351", (b"\x01",), "does not end"),
        ("68", (), "too few items"),
        ("5151", (), "ends with 2 items"),
        ("00", (), "or with false"),
        ("0069", (), "does not hold"),
        ("9200", (b"\x80",), "is not a number"),
        ("92", (b"\x05",), None),
        ("93", (b"\x01", b"\x02"), None),
        ("5152ae", (), "too few items"),
        ("ac", (b"\x30", b"\x02" * 33), "sighash type"),
        ("736451675268", (b"",), None),
        ("6b516c", (b"\x01",), "ends with 2 items"),
        ("63635168675168", (b"",), None),
        ("60011087", (), None),
        ("7687", (b"\x02",), None),
        ("92", (b"\x80\x00",), None),
        ("92", (b"\x7f\x00",), "is not a number"),
        ("92", (b"\x01" * 5,), None),
        ("92", (b"\x01" * 6,), "is not a number"),
        ("ff", (), "no form known here"),
        ("05aabb", (), "no form known here"),
    ],
)
def test_scripts_are_run_as_the_rules_say(
    code: str, witness: tuple[bytes, ...], told: str | None
) -> None:
    spending = Transaction((TransactionInput(("00" * 32, 0)),), ())
    found = refusal(bytes.fromhex(code), witness, Spending(spending, 0, bytes(32)))
    assert found is None if told is None else found is not None
    if told is not None:
        assert told in str(found)


def test_a_script_of_unknown_opcodes_is_not_read() -> None:
    assert interpreter.instructions(b"\x75") is None
    assert interpreter.instructions(b"\x61") is None
    assert interpreter.instructions(b"\x4c" + bytes(76)) is None
    assert interpreter.instructions(b"\x4b" + bytes(75)) is not None
    assert interpreter.instructions(b"\x60\x02ab\x00") is not None
