"""Secrets in memory: one way in, one way out, overwritten on close."""

import hmac
import secrets
from collections.abc import Collection
from types import TracebackType
from typing import NoReturn, Self


class Secret:
    """Bytes that print as dots, do not pickle, and are overwritten on close.

    SECURITY.md lists the copies Python makes that cannot be wiped.
    """

    def __init__(self, value: bytes | bytearray) -> None:
        self._value = bytearray(value)

    def reveal(self) -> bytes:
        """Return the value; only commands, channels and emulators may call this."""
        return bytes(self._value)

    def copy(self) -> Self:
        """Return the same value in memory of its own, to be closed on its own."""
        return type(self)(self._value)

    def is_digits(self) -> bool:
        """Tell whether it is decimal digits and nothing else."""
        return self._value.isdigit()

    def is_one_of(self, values: Collection[bytes]) -> bool:
        """Tell whether it is one of these."""
        return any(hmac.compare_digest(self._value, value) for value in values)

    def begins(self, other: "Secret") -> bool:
        """Tell whether the other secret begins with this one."""
        return other._value.startswith(self._value)  # noqa: SLF001 -- of its own kind

    def close(self) -> None:
        """Overwrite the value with zeros; afterwards it is empty."""
        self._value[:] = bytes(len(self._value))
        self._value.clear()

    def __len__(self) -> int:
        """Return the length in bytes."""
        return len(self._value)

    def __enter__(self) -> Self:
        """Wipe at the end of a with block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Wipe."""
        self.close()

    def __repr__(self) -> str:
        """Show dots."""
        return f"{type(self).__name__}(••••)"

    def __reduce__(self) -> NoReturn:
        """Refuse to pickle or copy."""
        raise TypeError("a secret is neither pickled nor copied")


class Pin(Secret):
    """A PIN as typed: bytes, because nobody but the card knows what is allowed in it."""

    @classmethod
    def of(cls, secret: Secret) -> Self:
        """Return the same value as a PIN, in memory of its own."""
        return cls(secret._value)  # noqa: SLF001 -- of its own kind


class KeptPin:
    """A copy of the PIN that a card has accepted, for a login that gets lost; or none."""

    def __init__(self) -> None:
        self.value: Pin | None = None

    def keep(self, pin: Pin) -> None:
        """Keep this one instead of any before."""
        self.forget()
        self.value = pin.copy()

    def forget(self) -> None:
        """Wipe it."""
        pin, self.value = self.value, None
        if pin is not None:
            pin.close()


def fresh_puk(digits: int) -> Secret:
    """Return a random PUK of so many digits."""
    return Secret("".join(secrets.choice("0123456789") for _ in range(digits)).encode())
