"""The emulated Satochip's second factor: a key shared with a telephone, HMAC-SHA1 answers."""

import hmac
import secrets

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

from cards.satochip.emulator_memory import Card, Handler, Reader, Refusal, Request
from cards.satochip.wire import (
    BLOCK,
    INS_CRYPT_2FA,
    INS_RESET_2FA_KEY,
    INS_SET_2FA_KEY,
    SW_2FA_MISSING,
    SW_2FA_SET,
    SW_INCORRECT_ALG,
    SW_INCORRECT_INITIALIZATION,
    SW_INCORRECT_P2,
    SW_INVALID_PARAMETER,
    SW_SIGNATURE_INVALID,
    SW_WRONG_LENGTH,
)

KEY_SIZE = 20
ANSWER_FLAG = 0x8000
DECRYPT, ENCRYPT = 1, 2
INIT, PROCESS, FINALIZE = 1, 2, 3


class Padding:
    """What stands behind the data of a challenge and tells one purpose from another."""

    DIGEST = 32 * b"\xcc"
    SCHNORR = 32 * b"\xdd"
    SEED_RESET = 32 * b"\xff"
    KEY_IMPORT = 0x10
    KEY_RESET = 0x20
    SELF_RESET = 44 * b"\xaa"

    @staticmethod
    def slot(purpose: int, number: int) -> bytes:
        """Return the padding of a purpose that names a key slot."""
        return 32 * bytes((purpose ^ number,))


def identifier(key: bytes) -> bytes:
    """Return the name under which a telephone knows the key."""
    return hmac.digest(key, b"id_2FA", "sha1")


def cipher_key(key: bytes) -> bytes:
    """Return the AES key between card and telephone."""
    return hmac.digest(key, b"key_2FA", "sha1")[:BLOCK]


def check_answer(card: Card, challenge: bytes, answer: bytes) -> None:
    """Demand the second factor's answer to the challenge where there is a second factor."""
    key = card.flash.second_factor
    if not key:
        return
    if len(answer) < KEY_SIZE:
        raise Refusal(SW_WRONG_LENGTH)
    if not hmac.compare_digest(hmac.digest(key, challenge, "sha1"), answer[:KEY_SIZE]):
        raise Refusal(SW_SIGNATURE_INVALID)


def check_flagged_answer(card: Card, challenge: bytes, fields: Reader) -> None:
    """Demand the answer after its two bytes of flags, as signing commands carry it."""
    if not card.flash.second_factor:
        return
    flags, answer = fields.short(), fields.take(KEY_SIZE)
    if flags != ANSWER_FLAG:
        raise Refusal(SW_INCORRECT_ALG)
    check_answer(card, challenge, answer)


def set_key(card: Card, request: Request) -> bytes:
    """SET 2FA KEY: from now on what matters needs the second factor."""
    if card.flash.second_factor:
        raise Refusal(SW_2FA_SET)
    fields = Reader(request.data, SW_WRONG_LENGTH)
    key, amount_limit = fields.take(KEY_SIZE), int.from_bytes(fields.take(8))
    card.flash.second_factor, card.flash.amount_limit = key, amount_limit
    return b""


def reset_key(card: Card, request: Request) -> bytes:
    """RESET 2FA KEY: needs the second factor once more."""
    if len(request.data) < KEY_SIZE:
        raise Refusal(SW_WRONG_LENGTH)
    key = _key(card)
    check_answer(card, identifier(key) + Padding.SELF_RESET, request.data)
    card.flash.second_factor, card.flash.amount_limit = b"", 0
    return b""


def crypt(card: Card, request: Request) -> bytes:
    """CRYPT TRANSACTION 2FA: P1 chooses the direction, P2 begins, goes on or ends."""
    key = cipher_key(_key(card))
    if request.p2 == INIT:
        return _begin(card, request, key)
    if request.p2 not in {PROCESS, FINALIZE}:
        raise Refusal(SW_INCORRECT_P2)
    fields = Reader(request.data)
    chunk = fields.take(fields.short())
    running = card.power.cipher
    if running is None:
        raise Refusal(SW_INCORRECT_INITIALIZATION)
    if len(chunk) % BLOCK:
        raise Refusal(SW_WRONG_LENGTH)
    if request.p2 == FINALIZE:
        card.power.cipher = None
    return len(chunk).to_bytes(2) + running(chunk)


def _begin(card: Card, request: Request, key: bytes) -> bytes:
    if request.p1 not in {DECRYPT, ENCRYPT}:
        raise Refusal(SW_INVALID_PARAMETER)
    encrypts = request.p1 == ENCRYPT
    iv = secrets.token_bytes(BLOCK) if encrypts else request.data
    if len(iv) != BLOCK:
        raise Refusal(SW_WRONG_LENGTH)
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv))
    running: CipherContext = cipher.encryptor() if encrypts else cipher.decryptor()
    card.power.cipher = running.update
    return iv + identifier(card.flash.second_factor) if encrypts else b""


def _key(card: Card) -> bytes:
    if not card.flash.second_factor:
        raise Refusal(SW_2FA_MISSING)
    return card.flash.second_factor


HANDLERS: dict[int, Handler] = {
    INS_SET_2FA_KEY: set_key,
    INS_RESET_2FA_KEY: reset_key,
    INS_CRYPT_2FA: crypt,
}
