"""What an emulated TAPSIGNER does with its key: made, derived, shown, signed with, backed up."""

import hashlib

from coincurve import PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from cards import emulation
from cards.emulation import public_key
from cards.session import HARDENED
from cards.signature import compact_from_der
from cards.tapsigner.emulator_memory import Arguments, CallRefused, Card, byte_string, steps
from cards.tapsigner.wire import (
    CHAIN_CODE,
    DEPTH_MAX,
    NONCE,
    SUBPATH_MAX,
    XPUB_VERSION,
    ErrorCode,
    proof_digest,
    xor,
)

DEFAULT_PATH = [84 | HARDENED, HARDENED, HARDENED]
HARDENED_STEPS = range(HARDENED, 2 * HARDENED)
NORMAL_STEPS = range(HARDENED)
BACKUPS_MAX = 127
ONE_IN = 8
LOW_R_BELOW = 0x80
XPRV_VERSION = bytes.fromhex("0488ADE4")
EXPLICIT_ABOVE = 32_768
Answer = dict[str, object]
ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def new(card: Card, arguments: Arguments) -> Answer:
    """Make the master key: private from the card, chain code from the host."""
    flash = card.flash
    if flash.master:
        raise CallRefused(ErrorCode.INVALID_STATE, "key picked already")
    chain_code = byte_string(arguments, "chain_code", CHAIN_CODE)
    if len(set(chain_code)) == 1 or arguments.get("slot", 0) != 0:
        raise CallRefused(ErrorCode.BAD_ARGUMENTS, "bad chain_code or slot")
    card.authenticate("new", arguments)
    flash.master, flash.chain_code = PrivateKey().secret, chain_code
    flash.path = list(DEFAULT_PATH)
    return {"slot": 0, "card_nonce": card.next_nonce()}


def derive(card: Card, arguments: Arguments) -> Answer:
    """Store a path, and prove its key."""
    card.require_key()
    nonce = user_nonce(arguments)
    path = steps(arguments, "path", HARDENED_STEPS, most=DEPTH_MAX)
    card.authenticate("derive", arguments)
    if path is not None:
        card.flash.path = path
    secret, chain_code = stored_key(card)
    digest = proof_digest(card.power.nonce, nonce, chain_code)
    return {
        "sig": signed(secret, digest),
        "chain_code": chain_code,
        "master_pubkey": public_key(card.flash.master),
        "pubkey": public_key(secret),
        "card_nonce": card.next_nonce(),
    }


def xpub(card: Card, arguments: Arguments) -> Answer:
    """Show the master's or the stored path's extended public key, without its parent."""
    card.require_key()
    card.authenticate("xpub", arguments)
    if arguments.get("master"):
        path, secret, chain_code = [], card.flash.master, card.flash.chain_code
    else:
        path, (secret, chain_code) = card.flash.path, stored_key(card)
    place = bytes((len(path),)) + bytes(4) + (path[-1] if path else 0).to_bytes(4)
    return {
        "xpub": XPUB_VERSION + place + chain_code + public_key(secret),
        "card_nonce": card.next_nonce(),
    }


def read(card: Card, arguments: Arguments) -> Answer:
    """Prove the stored path's key, and show it to whoever knows the CVC."""
    card.require_key()
    nonce = user_nonce(arguments)
    key = card.authenticate("read", arguments)
    secret, _ = stored_key(card)
    shown = public_key(secret)
    return {
        "sig": signed(secret, proof_digest(card.power.nonce, nonce, b"\0")),
        "pubkey": shown[:1] + xor(shown[1:], key),
        "card_nonce": card.next_nonce(),
    }


def sign(card: Card, arguments: Arguments) -> Answer:
    """Sign a digest; one time in eight the nonces drawn are all unlucky."""
    card.require_key()
    subpath = steps(arguments, "subpath", NORMAL_STEPS, most=SUBPATH_MAX) or []
    masked = byte_string(arguments, "digest", 32)
    if arguments.get("slot", 0) != 0:
        raise CallRefused(ErrorCode.BAD_ARGUMENTS, "bad slot")
    key = card.authenticate("sign", arguments)
    if emulation.chance(ONE_IN):
        raise CallRefused(ErrorCode.UNLUCKY, "unlucky number")
    secret, _ = stored_key(card).below(subpath)
    return {
        "slot": 0,
        "sig": signed(secret, xor(masked, key)),
        "pubkey": public_key(secret),
        "card_nonce": card.next_nonce(),
    }


def backup(card: Card, arguments: Arguments) -> Answer:
    """Show the master key, encrypted under the key printed on the back."""
    if card.flash.satschip:
        raise CallRefused(ErrorCode.UNKNOWN_COMMAND, "unknown command")
    card.require_key()
    card.authenticate("backup", arguments)
    card.flash.backups = min(card.flash.backups + 1, BACKUPS_MAX)
    data = cipher(card.flash.backup_key, backup_text(card))
    return {"data": data, "card_nonce": card.next_nonce()}


def backup_text(card: Card) -> bytes:
    """Return the lines of a backup: the master's xprv, and the stored path."""
    raw = XPRV_VERSION + bytes(9) + card.flash.chain_code + b"\0" + card.flash.master
    path = "/".join(["m", *(_written(step) for step in card.flash.path)])
    return f"{encode_check(raw)}\n{path}\n".encode()


def cipher(backup_key: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt a backup, which is the same: AES-128-CTR from counter 0."""
    return Cipher(algorithms.AES(backup_key), modes.CTR(bytes(16))).encryptor().update(data)


def stored_key(card: Card) -> emulation.Node:
    """Return private key and chain code at the stored path."""
    return emulation.Node(card.flash.master, card.flash.chain_code).below(card.flash.path)


def signed(secret: bytes, digest: bytes) -> bytes:
    """Return r‖s as the card makes it: a random nonce, low R and low S."""
    while True:
        compact = compact_from_der(emulation.sign_high_or_low(secret, digest))
        if compact[0] < LOW_R_BELOW:
            return compact


def user_nonce(arguments: Arguments) -> bytes:
    """Return the host's nonce; one of equal bytes is refused."""
    nonce = byte_string(arguments, "nonce", NONCE)
    if len(set(nonce)) == 1:
        raise CallRefused(ErrorCode.WEAK_NONCE, "weak nonce")
    return nonce


def _written(step: int) -> str:
    """Write a step as the card does in its backups."""
    number = step & ~HARDENED
    return (f"0x{number:08x}" if number > EXPLICIT_ABOVE else str(number)) + "h"


def encode_check(payload: bytes) -> str:
    """Return the payload with its checksum in base 58."""
    checksum = hashlib.sha256(hashlib.sha256(payload).digest()).digest()[:4]
    number = int.from_bytes(payload + checksum)
    digits = ""
    while number:
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    zeros = len(payload) - len(payload.lstrip(b"\0"))
    return ALPHABET[0] * zeros + digits
