"""A TAPSIGNER made of software: what comes in, who answers it, and how it is refused."""

import hashlib
import secrets
from collections.abc import Callable, Mapping

import cbor2
from coincurve import PrivateKey

from cards.apdu import Command, Response
from cards.emulation import Emulator, Refusal, kept, random_key
from cards.errors import NotSupported, ProtocolError
from cards.tapsigner import AID, NAME, emulator_keys
from cards.tapsigner.emulator_memory import Arguments, CallRefused, Card, Flash, revived
from cards.tapsigner.roots import TEST_BATCH_KEY, TEST_ROOT_KEY
from cards.tapsigner.wire import (
    CLA,
    CVC_SIZES,
    DIGITS_ONLY_SINCE,
    INS,
    NONCE_KEPT_SINCE,
    PROTOCOL,
    REQUEST_MAX,
    ErrorCode,
    decode_map,
    proof_digest,
    xor,
)

FIRMWARES = ("0.9.0", "1.0.0", "1.0.1", "1.0.2", "1.0.3")
SW_UNKNOWN_INS = 0x6D00
SW_WRONG_LENGTH = 0x6700
SELECT = bytes.fromhex("00A40400")
BACKUP_KEY = 16
Answer = dict[str, object]
Handler = Callable[[Card, Arguments], Answer]

TapsignerEmulator = Emulator[Flash, Card]


def emulate(profile: str) -> TapsignerEmulator:
    """Make a card as it leaves the factory, certified by the test root."""
    card = uncertified(profile)
    batch = PrivateKey(TEST_BATCH_KEY).public_key.format()
    card.flash.certificates = [
        certificate(TEST_BATCH_KEY, card.flash.public_key),
        certificate(TEST_ROOT_KEY, batch),
    ]
    return card


def uncertified(profile: str) -> TapsignerEmulator:
    """Make a card nobody has certified."""
    if profile not in FIRMWARES:
        raise NotSupported(NAME, f"version {profile}, only {', '.join(FIRMWARES)}")
    flash = Flash(profile, random_key(), [], secrets.token_bytes(BACKUP_KEY))
    return Emulator(flash, Card, answered)


def without_wait(profile: str) -> TapsignerEmulator:
    """Make a card that does not know `wait`, as the maker's own emulator."""
    card = emulate(profile)
    card.flash.knows_wait = False
    return card


def revive(state: bytes) -> TapsignerEmulator:
    """Make the card whose state this is; raises CardError for anything else."""
    return Emulator(kept(state, revived, "TAPSIGNER"), Card, answered)


def certificate(signer: bytes, key: bytes) -> bytes:
    """Return a signature that tells its signer, over a public key."""
    signature = PrivateKey(signer).sign_recoverable(hashlib.sha256(key).digest(), hasher=None)
    return bytes((39 + signature[64],)) + signature[:64]


def answered(card: Card, apdu: bytes) -> Response:
    """Answer SELECT, and the one command there is: a CBOR map each way."""
    try:
        command = Command.parse(apdu)
    except ProtocolError:
        raise Refusal(SW_WRONG_LENGTH) from None
    if apdu[:4] == SELECT and command.data == AID:
        card.power.selected = True
        return Response(cbor2.dumps(status(card, {})))
    if not card.power.selected or (command.cla, command.ins) != (CLA, INS):
        raise Refusal(SW_UNKNOWN_INS)
    if (command.p1, command.p2) != (0, 0) or len(command.data) > REQUEST_MAX:
        raise Refusal(SW_WRONG_LENGTH)
    try:
        said = _called(card, command.data)
    except CallRefused as refused:
        if card.flash.version < NONCE_KEPT_SINCE:
            card.next_nonce()
        said = {"error": refused.text, "code": refused.code}
    return Response(cbor2.dumps(said))


def _called(card: Card, request: bytes) -> Answer:
    """Answer one CBOR request."""
    try:
        arguments = decode_map(request)
    except ProtocolError:
        raise CallRefused(ErrorCode.BAD_CBOR, "bad CBOR") from None
    name = arguments.get("cmd")
    if not isinstance(name, str):
        raise CallRefused(ErrorCode.BAD_ARGUMENTS, "no cmd")
    if name not in HANDLERS:
        raise CallRefused(ErrorCode.UNKNOWN_COMMAND, "unknown command")
    return HANDLERS[name](card, arguments)


def status(card: Card, _arguments: Arguments) -> Answer:
    """Tell who the card is."""
    flash = card.flash
    told: Answer = {
        "proto": PROTOCOL,
        "ver": flash.profile,
        "birth": flash.birth,
        "pubkey": flash.public_key,
        "card_nonce": card.power.nonce,
        "tapsigner": True,
    }
    told |= {"satschip": True} if flash.satschip else {"num_backups": flash.backups}
    if flash.master:
        told["path"] = flash.path
    if flash.delay:
        told["auth_delay"] = flash.delay
    return told


def check(card: Card, arguments: Arguments) -> Answer:
    """Prove the card's own key."""
    nonce = emulator_keys.user_nonce(arguments)
    digest = proof_digest(card.power.nonce, nonce)
    return {
        "auth_sig": emulator_keys.signed(card.flash.card_key, digest),
        "card_nonce": card.next_nonce(),
    }


def certs(card: Card, _arguments: Arguments) -> Answer:
    """Show the certificates; before 1.0.0 that used up the nonce without a word."""
    if card.flash.version < NONCE_KEPT_SINCE:
        card.next_nonce()
    return {"cert_chain": card.flash.certificates}


def change(card: Card, arguments: Arguments) -> Answer:
    """Replace the CVC."""
    data = arguments.get("data")
    if not isinstance(data, bytes) or len(data) not in CVC_SIZES:
        raise CallRefused(ErrorCode.BAD_ARGUMENTS, "bad data")
    if not card.flash.backups:
        raise CallRefused(ErrorCode.BACKUP_FIRST, "backup first")
    key = card.authenticate("change", arguments)
    cvc = xor(data, key[: len(data)])
    if card.flash.version >= DIGITS_ONLY_SINCE and not cvc.isdigit():
        raise CallRefused(ErrorCode.BAD_ARGUMENTS, "digits only")
    card.flash.cvc = cvc
    return {"success": True, "card_nonce": card.next_nonce()}


def wait(card: Card, arguments: Arguments) -> Answer:
    """Let a second of the delay pass; a CVC may come along once there is none.

    The maker's own emulator knows no such command.
    """
    if not card.flash.knows_wait:
        raise CallRefused(ErrorCode.UNKNOWN_COMMAND, "unknown command")
    if card.flash.delay:
        card.flash.delay -= 1
    elif "xcvc" in arguments:
        card.authenticate("wait", arguments)
    return {"success": True, "auth_delay": card.flash.delay}


def nfc(card: Card, _arguments: Arguments) -> Answer:
    """Tell the address a telephone is shown."""
    ident = hashlib.sha256(card.flash.public_key).hexdigest()[:16]
    used = "S" if card.flash.master else "U"
    fragment = f"t=1&u={used}&c={ident}&n={secrets.token_hex(8)}&s="
    digest = hashlib.sha256(fragment.encode()).digest()
    proof = emulator_keys.signed(card.flash.card_key, digest)
    return {"url": f"https://tapsigner.com/start#{fragment}{proof.hex()}"}


HANDLERS: dict[str, Handler] = {
    "status": status,
    "check": check,
    "certs": certs,
    "change": change,
    "wait": wait,
    "nfc": nfc,
    "new": emulator_keys.new,
    "derive": emulator_keys.derive,
    "xpub": emulator_keys.xpub,
    "read": emulator_keys.read,
    "sign": emulator_keys.sign,
    "backup": emulator_keys.backup,
}
VARIANTS: Mapping[str, Callable[[str], TapsignerEmulator]] = {
    "no-wait": without_wait,
    "uncertified": uncertified,
}
