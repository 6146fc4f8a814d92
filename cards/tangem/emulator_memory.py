"""What an emulated Tangem remembers: in its flash, and while it has power."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cards.tangem.wire import (
    DEFAULT_CODE,
    DEFAULT_PASSCODE,
    WALLET_EMPTY,
    Fields,
    Item,
    Mode,
    Version,
    code_hash,
)

SLOTS = 20


@dataclass
class Wallet:
    """One slot."""

    index: int
    status: int = WALLET_EMPTY
    key: bytes = field(default=b"", repr=False)
    chain_code: bytes = field(default=b"", repr=False)
    signed: int = 0
    attested: int = 0

    @property
    def loaded(self) -> bool:
        """Tell whether there is a key in it."""
        return bool(self.key)


@dataclass
class Flash:
    """Everything that survives power-off; only this is kept in the card's file."""

    profile: str
    card_id: bytes
    uid: bytes
    card_key: bytes = field(repr=False)
    settings: int
    delay: int
    code: bytes = field(default=code_hash(DEFAULT_CODE), repr=False)
    passcode: bytes = field(default=code_hash(DEFAULT_PASSCODE), repr=False)
    failures: int = 0
    wallets: list[Wallet] = field(
        default_factory=lambda: [Wallet(index) for index in range(SLOTS)], repr=False
    )
    siblings: list[bytes] = field(default_factory=list)
    backup_status: int = 0

    @property
    def version(self) -> Version:
        """Return the firmware version."""
        return Version.parse(self.profile)

    @property
    def code_is_default(self) -> bool:
        """Tell whether nobody has set an access code."""
        return self.code == code_hash(DEFAULT_CODE)

    @property
    def passcode_is_default(self) -> bool:
        """Tell whether nobody has set a passcode."""
        return self.passcode == code_hash(DEFAULT_PASSCODE)

    def allows(self, setting: int) -> bool:
        """Tell whether a bit of the settings mask is set."""
        return bool(self.settings & setting)


def revived(fields: Any) -> Flash:  # noqa: ANN401 -- whatever was kept, checked by whoever asks
    """Return the flash that was kept with these fields."""
    return Flash(**fields | {"wallets": [Wallet(**each) for each in fields["wallets"]]})


class Session(NamedTuple):
    """An encrypted session that is open."""

    mode: Mode
    key: bytes


@dataclass
class Wait:
    """A command that is being waited for, and for how long, in hundredths of a second."""

    apdu: bytes = field(repr=False)
    left: int


@dataclass
class Card:
    """A card with power."""

    flash: Flash
    session: Session | None = field(default=None, repr=False)
    wait: Wait | None = None


class Request(NamedTuple):
    """A command as a handler sees it, its encryption taken off."""

    ins: int
    mode: Mode
    fields: Fields


class Answer(NamedTuple):
    """What a handler answers, card id excepted, which comes first in every answer."""

    items: Sequence[Item]
    sw: int = 0x9000


Handler = Callable[[Card, Request], Answer]
