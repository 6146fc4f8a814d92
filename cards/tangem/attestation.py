"""Whether a Tangem is its maker's: who signed its id, and whether it has the keys it names."""

import hashlib
import json
import secrets
from contextlib import suppress
from typing import NamedTuple

from coincurve import PublicKey

from cards.errors import NotEvidence, NotGenuine, NotSupported, ProtocolError
from cards.family import CardMemory, Roots
from cards.session import Attestation, Verdict
from cards.signature import low_s, verify
from cards.tangem import NAME
from cards.tangem.answers import CardFacts
from cards.tangem.roots import MANUFACTURER_KEY
from cards.tangem.wire import HD_SINCE, SIBLINGS_LABEL, Fields, Setting, Tag

CHALLENGE = 16
SIGNATURE = 64
DOCUMENT_MAX = 4096
TANGEM = bytes.fromhex("02630EC6371DA464986F51346B64E6A9711C530B1DD5FC3A145414373C231F7862")
SMART_CASH = bytes.fromhex(
    "042EDE119BF337B264FDA132CFC7C177824D3617DAC80F25DBB2A4A8A1183C03B9"
    "152305F8F1DB97004518480D5091ADC1CAB9EACCC18E1B9E9C3BEFB293DD37B2"
)
# Not certificates: the public keys of the makers.
ROOTS = Roots(published=(TANGEM, SMART_CASH), test=(MANUFACTURER_KEY,))
DOCUMENT = ("manufacturerSignature", "issuerSignature")
BACKUPS = {0: "it is in no backup set", 1: "it is linked to a backup set of {} cards"}
ACTIVE = "it is one of {} cards of an active backup set, which carry the same keys"


class IssuerSignatures(NamedTuple):
    """What the vendor's server tells of a card: maker over issuer, issuer over the card's key."""

    manufacturer: bytes
    issuer: bytes

    @classmethod
    def parse(cls, document: bytes) -> "IssuerSignatures":
        """Read the server's JSON; raises NotEvidence."""
        try:
            fields = json.loads(document) if len(document) <= DOCUMENT_MAX else {}
            found = cls(*(bytes.fromhex(fields[name]) for name in DOCUMENT))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise NotEvidence(f"what was given is no JSON with {' and '.join(DOCUMENT)}") from None
        if {len(each) for each in found} != {SIGNATURE}:
            raise NotEvidence(f"the issuer's signatures are not of {SIGNATURE} bytes each")
        return found


def keep_issuer_signatures(
    memory: CardMemory, facts: CardFacts, roots: Roots, *, document: bytes
) -> None:
    """Keep what the vendor's server says of this card; raises NotEvidence for anything else."""
    anybodys = Roots(roots.published + roots.test)
    try:
        check_issuer(facts, anybodys, IssuerSignatures.parse(document))
    except NotGenuine as failure:
        raise NotEvidence(
            f"the issuer's signatures are not this card's: {failure.reason}"
        ) from None
    memory.write(facts.card_id.hex(), document)


def kept_issuer_signatures(memory: CardMemory, facts: CardFacts) -> IssuerSignatures | None:
    """Return what was kept of a card, or None."""
    with suppress(NotEvidence):
        return IssuerSignatures.parse(memory.read(facts.card_id.hex()) or b"")
    return None


def names_its_maker(facts: CardFacts, roots: Roots) -> bytes | None:
    """Return the maker's key that signed the card's id, or None."""
    return _signer(facts.card_id, facts.id_signature, roots.published + roots.test)


def refuse_unfit(facts: CardFacts, roots: Roots) -> None:
    """Refuse an id nobody signed, and a card that gives no keys by path."""
    known = Roots(ROOTS.published + roots.published, ROOTS.test + roots.test)
    if names_its_maker(facts, known) is None:
        raise NotGenuine("no maker known here signed its id")
    if facts.version < HD_SINCE or not facts.settings & Setting.HD_WALLETS:
        raise NotSupported(NAME, f"keys by path: its firmware {facts.version} has none")


def verdict(facts: CardFacts, roots: Roots, issuer: IssuerSignatures | None) -> Attestation:
    """Judge a card whose own key has been proved; raises NotGenuine."""
    maker = names_its_maker(facts, roots)
    if maker is None:
        raise NotGenuine("no maker known here signed its id")
    if maker not in roots.published:
        found = Verdict.TEST, "a developer card: its id is signed by a published key"
    elif issuer is None:
        found = (
            Verdict.UNPROVEN,
            "its maker signed its id, but its issuer's signatures are not at hand",
        )
    else:
        check_issuer(facts, roots, issuer)
        found = Verdict.GENUINE, "maker, issuer and card key follow each other"
    siblings = 0 if facts.backup_status in BACKUPS else facts.backup_count
    backup = BACKUPS.get(facts.backup_status, ACTIVE).format(facts.backup_count + 1)
    return Attestation(found[0], f"{found[1]}; {backup}", siblings)


def check_issuer(facts: CardFacts, roots: Roots, issuer: IssuerSignatures) -> None:
    """Follow maker → issuer → card key; raises NotGenuine."""
    try:
        compressed = PublicKey(facts.issuer_key).format()
    except ValueError:
        raise NotGenuine("its issuer's key is no point") from None
    if _signer(compressed, issuer.manufacturer, roots.published) is None:
        raise NotGenuine("no maker known here signed its issuer's key")
    if not signed(facts.issuer_key, facts.card_key, issuer.issuer):
        raise NotGenuine("its issuer did not sign its key")


def check_card(facts: CardFacts, challenge: bytes, answer: Fields) -> None:
    """See that the card has the key it names; raises NotGenuine."""
    siblings = answer.every(Tag.SIBLING_KEY)
    message = challenge + answer.need(Tag.SALT)
    if siblings:
        message += SIBLINGS_LABEL + b"".join(siblings)
    if not signed(facts.card_key, message, answer.need(Tag.CARD_SIGNATURE)):
        raise NotGenuine("it answered the challenge with a signature that is not its key's")


def check_wallet(facts: CardFacts, key: bytes, challenge: bytes, *, answer: Fields) -> None:
    """See that the card has the wallet's key, and says so itself; raises NotGenuine."""
    if not signed(key, challenge + answer.need(Tag.SALT), answer.need(Tag.SIGNATURE)):
        raise NotGenuine("its wallet's key did not sign the challenge")
    message = key + challenge + (answer.find(Tag.CARD_SALT) or b"")
    message += answer.find(Tag.STATUS) or b""
    if not signed(facts.card_key, message, answer.need(Tag.CARD_SIGNATURE)):
        raise NotGenuine("its key did not sign its wallet's key")


def fresh_challenge() -> bytes:
    """Return 16 random bytes."""
    return secrets.token_bytes(CHALLENGE)


def signed(key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether r‖s, S in either half, is the key's signature of the message."""
    try:
        low = low_s(signature)
    except ProtocolError:
        return False
    return verify(key, hashlib.sha256(message).digest(), low)


def _signer(message: bytes, signature: bytes, keys: tuple[bytes, ...]) -> bytes | None:
    return next((key for key in keys if signed(key, message, signature)), None)
