"""Bitcoin's script, as far as policies with branches use it: where the engine is not installed.

It is stricter than consensus, as nodes are that relay: minimal-if, null-fail, null-dummy, clean
stack; and signatures are of SIGHASH_ALL. An opcode that no form known here has is refused.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from psbt.errors import PsbtError
from psbt.keys import hash160
from psbt.multisig import OP_1, OP_16
from psbt.signature import compact_from_partial, verifies
from psbt.transaction import (
    FINAL_SEQUENCE,
    FIRST_TIME_LOCK,
    SEQUENCE_IS_TIME,
    SEQUENCE_MASK,
    SEQUENCE_NO_LOCK,
    Transaction,
)

PUSHED_MAX: Final = 75
NUMBER_MAX: Final = 5
IF, NOTIF, ELSE, ENDIF = 0x63, 0x64, 0x67, 0x68
TRUE, FALSE = b"\x01", b""


class Failed(Exception):
    """A script that does not hold, and why."""


class Instruction(NamedTuple):
    """An opcode, or what is pushed."""

    opcode: int
    data: bytes | None = None


class Spending(NamedTuple):
    """What an input of a transaction signs."""

    transaction: Transaction
    input_index: int
    digest: bytes


def instructions(script: bytes) -> list[Instruction] | None:
    """Return a script's instructions, None where one is not known here."""
    found, at = [], 0
    while at < len(script):
        opcode = script[at]
        at += 1
        if opcode <= PUSHED_MAX:
            data = script[at : at + opcode]
            at += opcode
            if len(data) < opcode:
                return None
            found.append(Instruction(opcode, data))
        elif OP_1 <= opcode <= OP_16:
            found.append(Instruction(opcode, bytes([opcode - OP_1 + 1])))
        elif opcode in (IF, NOTIF, ELSE, ENDIF) or opcode in OPCODES:
            found.append(Instruction(opcode))
        else:
            return None
    return found


def refusal(script: bytes, witness: Sequence[bytes], spending: Spending) -> str | None:
    """Say why a witness, its script left out, does not unlock a script; None where it does."""
    read = instructions(script)
    if read is None:
        return "its script is of no form known here"
    machine = Machine(list(witness), spending)
    try:
        machine.run(read)
    except Failed as failure:
        return str(failure)
    except IndexError:
        return "its witness has too few items"
    if len(machine.stack) != 1 or not machine.stack[0].strip(b"\x00"):
        return f"its script ends with {len(machine.stack)} items, or with false"
    return None


class Machine:
    """The stacks of one script, and which arms are run."""

    def __init__(self, stack: list[bytes], spending: Spending) -> None:
        self.stack = stack
        self.aside: list[bytes] = []
        self.arms: list[bool] = []
        self.spending = spending

    def run(self, read: Sequence[Instruction]) -> None:
        """Run instructions; raises Failed."""
        for opcode, data in read:
            if opcode in (IF, NOTIF, ELSE, ENDIF):
                self._branch(opcode)
            elif not all(self.arms):
                continue
            elif data is not None:
                self.stack.append(data)
            else:
                for step in OPCODES[opcode]:
                    step(self)
        if self.arms:
            raise Failed("an IF of its script does not end")

    def _branch(self, opcode: int) -> None:
        if opcode == ENDIF:
            self.arms.pop()
        elif opcode == ELSE:
            self.arms[-1] = not self.arms[-1]
        elif all(self.arms):
            chosen = self.stack.pop()
            if chosen not in (TRUE, FALSE):
                raise Failed("an IF of its script is given something else than 1 or nothing")
            self.arms.append((chosen == TRUE) == (opcode == IF))
        else:
            self.arms.append(False)

    def verify(self) -> None:
        """OP_VERIFY."""
        if not self.stack.pop().strip(b"\x00"):
            raise Failed("a condition of its script does not hold")

    def put_aside(self) -> None:
        """OP_TOALTSTACK."""
        self.aside.append(self.stack.pop())

    def take_back(self) -> None:
        """OP_FROMALTSTACK."""
        self.stack.append(self.aside.pop())

    def dup(self) -> None:
        """OP_DUP."""
        self.stack.append(self.stack[-1])

    def hash160(self) -> None:
        """OP_HASH160."""
        self.stack.append(hash160(self.stack.pop()))

    def if_dup(self) -> None:
        """OP_IFDUP."""
        if self.stack[-1].strip(b"\x00"):
            self.stack.append(self.stack[-1])

    def swap(self) -> None:
        """OP_SWAP."""
        self.stack[-2], self.stack[-1] = self.stack[-1], self.stack[-2]

    def equal(self) -> None:
        """OP_EQUAL."""
        self._answer(yes=self.stack.pop() == self.stack.pop())

    def not_zero(self) -> None:
        """OP_0NOTEQUAL."""
        self._answer(yes=self._number() != 0)

    def add(self) -> None:
        """OP_ADD."""
        total = self._number() + self._number()
        self.stack.append(bytes([total]) if total else b"")

    def check_signature(self) -> None:
        """OP_CHECKSIG."""
        pubkey, signature = self.stack.pop(), self.stack.pop()
        self._answer(yes=bool(signature) and self._signed(pubkey, signature))
        if signature and self.stack[-1] == FALSE:
            raise Failed("a signature does not verify")

    def check_multisig(self) -> None:
        """OP_CHECKMULTISIG: walk through the keys once."""
        pubkeys = [self.stack.pop() for _ in range(self._number())]
        signatures = [self.stack.pop() for _ in range(self._number())]
        if self.stack.pop():
            raise Failed("what stands before its signatures is not empty")
        keys = iter(pubkeys)
        yes = all(any(self._signed(key, value) for key in keys) for value in signatures if value)
        if any(signatures) and not (yes and all(signatures)):
            raise Failed("a signature is by no key of the script, in its order")
        self._answer(yes=all(signatures))

    def check_sequence(self) -> None:
        """OP_CHECKSEQUENCEVERIFY, in blocks (BIP 112)."""
        wanted = self._number(keep=True)
        sequence = self.spending.transaction.inputs[self.spending.input_index].sequence
        counted = not sequence & (SEQUENCE_NO_LOCK | SEQUENCE_IS_TIME)
        counts = self.spending.transaction.version > 1 and counted
        if wanted > SEQUENCE_MASK or not counts or sequence & SEQUENCE_MASK < wanted:
            raise Failed(f"the sequence {sequence:08x} waits no {wanted} blocks")

    def check_lock_time(self) -> None:
        """OP_CHECKLOCKTIMEVERIFY, by height (BIP 65)."""
        wanted, transaction = self._number(keep=True), self.spending.transaction
        final = transaction.inputs[self.spending.input_index].sequence == FINAL_SEQUENCE
        if final or not wanted <= transaction.locktime < FIRST_TIME_LOCK:
            raise Failed(f"the lock time {transaction.locktime} waits for no block {wanted}")

    def _answer(self, *, yes: bool) -> None:
        self.stack.append(TRUE if yes else FALSE)

    def _number(self, *, keep: bool = False) -> int:
        item = self.stack[-1] if keep else self.stack.pop()
        longer = item[-1:] == b"\x00" and item[-2:-1] < b"\x80"
        if len(item) > NUMBER_MAX or item[-1:] >= b"\x80" or longer:
            raise Failed(f"{item[:20].hex()} is not a number as its script writes them")
        return int.from_bytes(item, "little")

    def _signed(self, pubkey: bytes, value: bytes) -> bool:
        try:
            signature = compact_from_partial(value)
        except PsbtError as error:
            raise Failed(str(error)) from error
        return verifies(pubkey, self.spending.digest, signature)


OPCODES: Final[dict[int, tuple[Callable[[Machine], None], ...]]] = {
    0x69: (Machine.verify,),
    0x6B: (Machine.put_aside,),
    0x6C: (Machine.take_back,),
    0x73: (Machine.if_dup,),
    0x76: (Machine.dup,),
    0x7C: (Machine.swap,),
    0x87: (Machine.equal,),
    0x88: (Machine.equal, Machine.verify),
    0x92: (Machine.not_zero,),
    0x93: (Machine.add,),
    0xA9: (Machine.hash160,),
    0xAC: (Machine.check_signature,),
    0xAD: (Machine.check_signature, Machine.verify),
    0xAE: (Machine.check_multisig,),
    0xAF: (Machine.check_multisig, Machine.verify),
    0xB1: (Machine.check_lock_time,),
    0xB2: (Machine.check_sequence,),
}
