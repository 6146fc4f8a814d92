"""What a Tangem answers, taken apart, and what it means by a status word."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from cards.bip32 import PublicNode
from cards.errors import (
    CardError,
    CardNotInitialised,
    NotSupported,
    NotUnlocked,
    ProtocolError,
    StatusWordError,
)
from cards.tangem import NAME
from cards.tangem.wire import (
    OUT_OF_SCOPE,
    PAUSE_MAX,
    WALLET_EMPTY,
    WALLET_IMPORTED,
    WALLET_LOADED,
    Fields,
    Sw,
    Tag,
    Version,
    luhn_holds,
)

ID_SIZE = 8
POINT = 33
CURVE = b"secp256k1"
NOT_PERSONALISED, PURGED = 0, 3
BYTE, SETTINGS_MAX = 0xFF, 0xFFFFFFFF
_MEANINGS: dict[int, Callable[[], CardError]] = {
    Sw.WRONG_PASSCODE: partial(
        NotUnlocked, "the card has another passcode than the one it was shown"
    ),
    Sw.NO_WALLET: partial(CardNotInitialised, "the card has no key"),
    Sw.WALLET_EXISTS: partial(NotSupported, NAME, "a second key of the same seed"),
}


class CardFacts(NamedTuple):
    """What READ says of a card."""

    card_id: bytes
    version: Version
    card_key: bytes
    settings: int
    issuer_key: bytes
    id_signature: bytes
    delay: int
    slots: int
    code_is_default: bool
    passcode_is_default: bool
    backup_status: int
    backup_count: int


class Wallet(NamedTuple):
    """A slot: its curve and key where it has one."""

    slot: int
    status: int
    curve: bytes
    public_key: bytes
    chain_code: bytes

    @property
    def usable(self) -> bool:
        """Tell whether there is a key that signs."""
        return bool(self.status & WALLET_LOADED) and not self.status & WALLET_EMPTY

    @property
    def imported(self) -> bool:
        """Tell whether the key was made elsewhere."""
        return bool(self.status & WALLET_IMPORTED)

    @property
    def empty(self) -> bool:
        """Tell whether a key fits in."""
        return self.status == WALLET_EMPTY

    @property
    def ours(self) -> bool:
        """Tell whether the key can sign Bitcoin transactions by path."""
        return self.usable and self.curve == CURVE and bool(self.chain_code)


def version_of(fields: Fields) -> Version:
    """Return the firmware version; raises NotSupported for 8 and above."""
    text = fields.text(Tag.FIRMWARE)
    try:
        version = Version.parse(text)
    except (ValueError, TypeError):
        raise ProtocolError("the card's firmware version cannot be read") from None
    if version.major >= OUT_OF_SCOPE:
        raise NotSupported(NAME, f"driving here: firmware {version} is beyond 7.x")
    return version


def parse_card(fields: Fields) -> CardFacts:
    """Read the answer to READ; the version comes before anything else."""
    version = version_of(fields)
    if fields.number(Tag.STATUS, BYTE) in {NOT_PERSONALISED, PURGED}:
        raise CardError("the card is not personalised, or purged for good")
    if fields.find(Tag.NEEDS_ACTIVATION) is not None:
        raise CardError("the card still wants to be activated by its issuer")
    card_id = fields.need(Tag.CARD_ID)
    if len(card_id) != ID_SIZE or not luhn_holds(card_id):
        raise ProtocolError(f"the card's id of {len(card_id)} bytes does not check")
    data = Fields.parse(fields.need(Tag.CARD_DATA))
    backup_status = fields.number(Tag.BACKUP_STATUS, BYTE) or 0
    return CardFacts(
        card_id=card_id,
        version=version,
        card_key=fields.need(Tag.CARD_KEY),
        settings=_needed(fields, Tag.SETTINGS, SETTINGS_MAX),
        issuer_key=fields.need(Tag.ISSUER_KEY),
        id_signature=data.find(Tag.ID_SIGNATURE) or b"",
        delay=fields.number(Tag.DELAY, PAUSE_MAX) or 0,
        slots=fields.number(Tag.SLOTS, BYTE) or 1,
        code_is_default=fields.find(Tag.CODE_IS_DEFAULT) is not None,
        passcode_is_default=fields.find(Tag.PASSCODE_IS_DEFAULT) is not None,
        backup_status=backup_status,
        backup_count=_needed(fields, Tag.BACKUP_COUNT, BYTE) if backup_status else 0,
    )


def _needed(fields: Fields, tag: int, most: int) -> int:
    fields.need(tag)
    return fields.number(tag, most) or 0


def parse_wallets(fields: Fields) -> list[Wallet]:
    """Read a piece of the list of slots; one without any is an error."""
    found = [parse_wallet(Fields.parse(each)) for each in fields.every(Tag.WALLET)]
    if not found:
        raise ProtocolError("the card's list of wallets is empty")
    return found


def parse_wallet(fields: Fields) -> Wallet:
    """Read one slot; `key_of` says whether its key is one of BIP 32."""
    status, index = fields.number(Tag.STATUS, BYTE), fields.number(Tag.INDEX, BYTE)
    if status is None or index is None:
        raise ProtocolError("the card tells a wallet without status or number")
    return Wallet(
        slot=index,
        status=status,
        curve=(fields.find(Tag.CURVE) or b"").rstrip(b"\0"),
        public_key=fields.find(Tag.PUBLIC_KEY) or b"",
        chain_code=fields.find(Tag.CHAIN_CODE) or b"",
    )


def parse_key(fields: Fields) -> PublicNode:
    """Read a public key with its chain code."""
    return key_of(fields.need(Tag.PUBLIC_KEY), fields.need(Tag.CHAIN_CODE))


def key_of(public_key: bytes, chain_code: bytes) -> PublicNode:
    """Return a key with its chain code; raises ProtocolError unless both have BIP 32's sizes."""
    key = PublicNode(public_key, chain_code)
    if len(key.public_key) != POINT or len(key.chain_code) != POINT - 1:
        raise ProtocolError(
            f"a key of {len(key.public_key)} and {len(key.chain_code)} bytes is none of BIP 32"
        )
    return key


def parse_signatures(fields: Fields, count: int) -> list[bytes]:
    """Cut signatures of 64 bytes apart."""
    joined = fields.need(Tag.SIGNATURE)
    if len(joined) != 64 * count:
        raise ProtocolError(f"{len(joined)} bytes are not {count} signatures")
    return [joined[at : at + 64] for at in range(0, len(joined), 64)]


def refusal(sw: int, ins: int) -> CardError:
    """Return the error a status word stands for."""
    return _MEANINGS.get(sw, partial(StatusWordError, sw, ins))()
