"""What an emulated TAPSIGNER does with its key: made, derived, shown, signed with, backed up."""

import hmac
import secrets

from coincurve import PrivateKey

from cards import emulation
from cards.session import HARDENED
from cards.signature import compact_from_der
from cards.tapsigner.backup import cipher
from cards.tapsigner.base58 import encode_check
from cards.tapsigner.emulator_memory import Arguments, Card, Refusal, byte_string, steps
from cards.tapsigner.wire import (
    BAD_ARGUMENTS,
    CHAIN_CODE,
    DEPTH_MAX,
    INVALID_STATE,
    NONCE,
    SUBPATH_MAX,
    UNKNOWN_COMMAND,
    UNLUCKY,
    WEAK_NONCE,
    XPUB_VERSION,
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


def new(card: Card, arguments: Arguments) -> Answer:
    """Make the master key: private from the card, chain code from the host."""
    flash = card.flash
    if flash.master:
        raise Refusal(INVALID_STATE, "key picked already")
    chain_code = byte_string(arguments, "chain_code", CHAIN_CODE)
    if len(set(chain_code)) == 1 or arguments.get("slot", 0) != 0:
        raise Refusal(BAD_ARGUMENTS, "bad chain_code or slot")
    card.authenticate("new", arguments)
    flash.master, flash.chain_code = PrivateKey().secret, chain_code
    flash.path = list(DEFAULT_PATH)
    return {"slot": 0, "card_nonce": card.next_nonce()}


def derive(card: Card, arguments: Arguments) -> Answer:
    """Store a path, and prove its key."""
    card.require_key()
    nonce = user_nonce(arguments)
    path = steps(arguments, "path", HARDENED_STEPS, DEPTH_MAX)
    card.authenticate("derive", arguments)
    if path is not None:
        card.flash.path = path
    secret, chain_code = stored_key(card)
    digest = proof_digest(card.power.nonce, nonce, chain_code)
    return {
        "sig": signed(secret, digest),
        "chain_code": chain_code,
        "master_pubkey": public(card.flash.master),
        "pubkey": public(secret),
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
        "xpub": XPUB_VERSION + place + chain_code + public(secret),
        "card_nonce": card.next_nonce(),
    }


def read(card: Card, arguments: Arguments) -> Answer:
    """Prove the stored path's key, and show it to whoever knows the CVC."""
    card.require_key()
    nonce = user_nonce(arguments)
    key = card.authenticate("read", arguments)
    secret, _ = stored_key(card)
    shown = public(secret)
    return {
        "sig": signed(secret, proof_digest(card.power.nonce, nonce, b"\0")),
        "pubkey": shown[:1] + xor(shown[1:], key),
        "card_nonce": card.next_nonce(),
    }


def sign(card: Card, arguments: Arguments) -> Answer:
    """Sign a digest; one time in eight the nonces drawn are all unlucky."""
    card.require_key()
    subpath = steps(arguments, "subpath", NORMAL_STEPS, SUBPATH_MAX) or []
    masked = byte_string(arguments, "digest", 32)
    if arguments.get("slot", 0) != 0:
        raise Refusal(BAD_ARGUMENTS, "bad slot")
    key = card.authenticate("sign", arguments)
    if emulation.chance(ONE_IN):
        raise Refusal(UNLUCKY, "unlucky number")
    secret, chain_code = stored_key(card)
    for step in subpath:
        secret, chain_code = private_child(secret, chain_code, step)
    return {
        "slot": 0,
        "sig": signed(secret, xor(masked, key)),
        "pubkey": public(secret),
        "card_nonce": card.next_nonce(),
    }


def backup(card: Card, arguments: Arguments) -> Answer:
    """Show the master key, encrypted under the key printed on the back."""
    if card.flash.satschip:
        raise Refusal(UNKNOWN_COMMAND, "unknown command")
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


def stored_key(card: Card) -> tuple[bytes, bytes]:
    """Return private key and chain code at the stored path."""
    secret, chain_code = card.flash.master, card.flash.chain_code
    for step in card.flash.path:
        secret, chain_code = private_child(secret, chain_code, step)
    return secret, chain_code


def private_child(secret: bytes, chain_code: bytes, step: int) -> tuple[bytes, bytes]:
    """Return private key and chain code one step below (BIP 32)."""
    data = b"\0" + secret if step >= HARDENED else public(secret)
    digest = hmac.digest(chain_code, data + step.to_bytes(4), "sha512")
    return PrivateKey(secret).add(digest[:32]).secret, digest[32:]


def public(secret: bytes) -> bytes:
    """Return the compressed public key."""
    return PrivateKey(secret).public_key.format()


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
        raise Refusal(WEAK_NONCE, "weak nonce")
    return nonce


def fresh_key() -> bytes:
    """Return a private key."""
    return secrets.token_bytes(32)


def _written(step: int) -> str:
    """Write a step as the card does in its backups."""
    number = step & ~HARDENED
    return (f"0x{number:08x}" if number > EXPLICIT_ABOVE else str(number)) + "h"
