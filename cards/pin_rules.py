"""What a family takes as a PIN, a PUK or a duress PIN: told before one is typed, checked first."""

from collections.abc import Mapping
from typing import NamedTuple

from cards.errors import PinUnsuitable
from cards.pin import Secret

WORDS = {"pin": "PIN", "puk": "PUK", "duress": "duress PIN"}


class CodeRule(NamedTuple):
    """How long a code is (`most` None: any length above), whether only digits fit.

    `everybodys` are the codes cards leave the factory with, which protect nothing.
    """

    least: int
    most: int | None = None
    digits: bool = False
    everybodys: frozenset[bytes] = frozenset()

    def __str__(self) -> str:
        """Say what fits, as `6 digits` or `4 to 16 characters`."""
        return f"{self._length} {'digits' if self.digits else 'characters'}"

    @property
    def _length(self) -> str:
        if self.most is None:
            return f"at least {self.least}"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"

    def check_size(self, code: Secret, name: str) -> None:
        """Raise PinUnsuitable for a code of a length no card of the family ever had."""
        if len(code) < self.least or (self.most is not None and len(code) > self.most):
            unit = "digits" if self.digits else "bytes"
            raise PinUnsuitable(f"{name} has {self._length} {unit}, not {len(code)}")

    def check(self, code: Secret, name: str) -> None:
        """Raise PinUnsuitable for a code the card would not take as a new one."""
        self.check_size(code, name)
        if self.digits and not code.is_digits():
            raise PinUnsuitable(f"{name} has {self}, and nothing but digits")
        if code.is_one_of(self.everybodys):
            raise PinUnsuitable(f"{name} is the code every card leaves the factory with")


def check_all(rules: Mapping[str, CodeRule], codes: Mapping[str, Secret], whose: str) -> None:
    """Raise PinUnsuitable unless every code fits its rule and the duress PIN is one of its own."""
    for kind, code in codes.items():
        if kind in rules:
            rules[kind].check(code, f"the {WORDS.get(kind, kind)} of {whose}")
    duress = codes.get("duress")
    if duress is None:
        return
    for kind in ("pin", "puk"):
        other = codes.get(kind)
        if other is not None and duress.begins(other):
            raise PinUnsuitable(
                f"the duress PIN of {whose} is neither its PIN nor how its PUK begins"
            )
