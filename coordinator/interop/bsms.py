"""BSMS 1.0 (BIP 129): a signer's key record, and the coordinator's descriptor record.

Either may be encrypted with a token. The first address is checked whatever the restrictions say.
"""

import hashlib
import hmac
import re
from dataclasses import replace
from typing import Final, NamedTuple

from coordinator.errors import NotImportable, UsageError
from coordinator.foreign_text import lines
from coordinator.interop import descriptors
from coordinator.interop.key_text import KEY_MAX, read_key
from coordinator.interop.wallet_file import WalletFile, WalletKey, checked, first_address
from psbt.errors import PolicyError
from psbt.network import Network
from psbt.policy import CHANGE, RECEIVE
from psbt.signed_message import is_signed_by

FORMAT: Final = "BSMS"
VERSION: Final = "BSMS 1.0"
NO_RESTRICTIONS: Final = "No path restrictions"
USUAL: Final = "/<0;1>/*"
UNENCRYPTED: Final = "00"
TOKEN_SIZES: Final = (8, 16)
DECIMAL_LEAST, DECIMAL_MOST = 17, 39  # fewer digits may be hex
PASSWORD: Final = b"No SPOF"
ROUNDS: Final = 2048
MAC_SIZE: Final = 32
IV_SIZE: Final = 16
RECORD_MAX: Final = 32_768
DESCRIPTION_MAX: Final = 80
ENCRYPTED = re.compile(r"(?:[0-9a-fA-F]{2}){33,}")
OPEN = re.compile(r"(pub[1-9A-HJ-NP-Za-km-z]{100,110})/\*(?=[,)])")
"""A key whose indexes stand below it without a keychain; unbounded, a long text took seconds."""
RESTRICTION = re.compile(r"/([0-9]{1,10})/\*")


class KeyRecord(NamedTuple):
    """What a signer sends in round 1; the signature covers the four lines before it."""

    token: str
    key: WalletKey
    description: str
    signature: str | None


def is_one(text: str) -> bool:
    """Tell whether a text is a record that is not encrypted."""
    return text.lstrip()[:5].upper() == "BSMS "


def is_encrypted(text: str) -> bool:
    """Tell whether a text may be an encrypted record: hex alone."""
    return len(text) <= 4 * RECORD_MAX and bool(ENCRYPTED.fullmatch("".join(text.split())))


def is_descriptor_record(text: str) -> bool:
    """Tell whether a record is of round 2: its second line is a descriptor."""
    listed = _lines(text)
    return len(listed) > 1 and "(" in listed[1]


def is_key_record(text: str) -> bool:
    """Tell whether a record is of round 1: its second line is a token."""
    listed = _lines(text)
    return len(listed) > 1 and bool(re.fullmatch("00|[0-9a-fA-F]{16}|[0-9a-fA-F]{32}", listed[1]))


def read(text: str, network: Network) -> list[WalletFile]:
    """Read a descriptor record (round 2); raises PolicyError naming the line."""
    listed = _lines(text)
    if is_key_record(text):
        raise NotImportable(
            f"this is a {FORMAT} key record, one signer's key, not a wallet",
            "keep it: cardquorum key import FILE --name LABEL",
        )
    if len(listed) != 4:
        raise PolicyError(f"a {FORMAT} descriptor record has 4 lines, this one {len(listed)}")
    _, descriptor, restrictions, address = listed
    if not address:
        raise PolicyError(f"line 4 of the {FORMAT} record has no first address")
    below = _restricted(restrictions)
    body = descriptor.partition("#")[0]
    restricted = restrictions.lower() not in ("", NO_RESTRICTIONS.lower())
    bare = "*" not in body and restricted
    is_open = bool(OPEN.search(body))
    if below != USUAL and not bare and not is_open and "/**" not in body:
        raise PolicyError(
            f"line 3 of the {FORMAT} record restricts it to {restrictions[:40]}, and the keys on"
            " line 2 derive something else"
        )
    texts = [descriptor]
    if bare:  # a template that leaves the keychains to the restrictions
        texts = [descriptors.with_children(_checked_body(descriptor), "/**")]
    if is_open:  # as Nunchuk writes it; the first address proves it
        texts = [OPEN.sub(r"\1/**", _checked_body(descriptor))]
    if below != USUAL:
        texts = [_checked_body(texts[0]).replace("/**", below)]
    found = [
        checked(replace(file, first_address=address), network)
        for file in descriptors.wallets(texts, network, FORMAT)
    ]
    if not is_open or restricted:
        return found
    message = "the keys of the BSMS derive /*; by its first address receive is /0/*, and change is"
    return [file.warned("change_assumed", f"{message} taken to be /1/*") for file in found]


def write(file: WalletFile, network: Network) -> str:
    """Return a descriptor record: the template, restrictions and the first address.

    Restrictions are the same for all keys; raises UsageError where their keychains are not.
    """
    receive, change = file.keys[0].keychains
    if any(key.keychains != (receive, change) for key in file.keys):
        raise UsageError(f"a {FORMAT} record cannot tell different keychains of each key")
    pair = f"/<{receive};{change}>/*"
    body = descriptors.multipath(file, network).partition("#")[0].replace(pair, "/**")
    restrictions = f"/{receive}/*,/{change}/*"
    return "\n".join((VERSION, body, restrictions, first_address(file, network))) + "\n"


def read_key_record(text: str) -> KeyRecord:
    """Read a key record (round 1); raises PolicyError naming the line."""
    listed = _lines(text)
    if len(listed) not in (4, 5) or not is_key_record(text):
        raise PolicyError(f"a {FORMAT} key record has a token and 5 lines, this one {len(listed)}")
    if len(listed[3]) > DESCRIPTION_MAX:
        raise PolicyError(
            f"line 4 of the {FORMAT} record has more than {DESCRIPTION_MAX} characters"
        )
    key, below = read_key(listed[2][:KEY_MAX], f"line 3 of the {FORMAT} record")
    if below:
        raise PolicyError(f"line 3 of the {FORMAT} record has {below[:20]!r} behind its key")
    signature = listed[4] if len(listed) > 4 else None
    if signature and not is_signed_by(signature, "\n".join(listed[:4]), key.key.public_key):
        raise PolicyError(f"line 5 of the {FORMAT} record is no signature of it by its key")
    return KeyRecord(listed[1].lower(), key, listed[3], signature)


def write_key_record(
    key: WalletKey, network: Network, description: str = "", *, token: bytes | None = None
) -> str:
    """Return the four lines of a key record that its signature is for; Sparrow takes it without."""
    written = descriptors.key_of(key, network).replace("h/", "'/").replace("h]", "']")
    shown = UNENCRYPTED if token is None else token.hex()
    return "\n".join((VERSION, shown, written, description[:DESCRIPTION_MAX])) + "\n"


def read_token(text: str) -> bytes:
    """Read a token as hex or decimal; raises UsageError."""
    text = "".join(text.split())
    for size in TOKEN_SIZES:
        if re.fullmatch(f"[0-9a-fA-F]{{{2 * size}}}", text):
            return bytes.fromhex(text)
    if text.isdecimal() and text.isascii() and DECIMAL_LEAST <= len(text) <= DECIMAL_MOST:
        number = int(text)
        size = next((size for size in TOKEN_SIZES if number < 1 << 8 * size), 0)
        if size:
            return number.to_bytes(size, "big")
    raise UsageError("a BSMS token is 16 or 32 hex digits, or a decimal number of 64 or 128 bits")


def decrypted(text: str, token: bytes) -> str:
    """Open an encrypted record; raises PolicyError for another token or an altered record."""
    data = bytes.fromhex("".join(text.split())) if is_encrypted(text) else b""
    mac, ciphertext = data[:MAC_SIZE], data[MAC_SIZE:]
    key = _encryption_key(token)
    plain = _ctr(key, mac[:IV_SIZE], ciphertext) if ciphertext else b""
    if not hmac.compare_digest(mac, _mac(key, token, plain)):
        raise PolicyError(f"the {FORMAT} record does not open with this token, or it was altered")
    try:
        return plain.decode()
    except UnicodeDecodeError:
        raise PolicyError(f"the {FORMAT} record holds what is no text") from None


def encrypted(text: str, token: bytes) -> str:
    """Encrypt a record, given without the newline at its end."""
    key, plain = _encryption_key(token), text.rstrip("\n").encode()
    mac = _mac(key, token, plain)
    return (mac + _ctr(key, mac[:IV_SIZE], plain)).hex()


def _lines(text: str) -> list[str]:
    if len(text) > RECORD_MAX:
        raise PolicyError(
            f"a {FORMAT} record of {len(text):,} characters; {RECORD_MAX:,} is the most"
        )
    listed = [line.strip("\r\n \t") for line in lines(text.strip("\r\n \t") + "\n")]
    if listed[0] != VERSION:
        raise PolicyError(f"line 1 of the {FORMAT} record is {listed[0][:20]!r}, not {VERSION!r}")
    if len(listed) == 3:
        listed.append("")
    return listed


def _restricted(text: str) -> str:
    """Return the keychains that restrictions leave below each key; blank ones are none.

    Receive alone, 0, has change beside it.
    """
    if text.lower() in ("", NO_RESTRICTIONS.lower()):
        return USUAL
    told = [part.strip() for part in text.split(",")]
    matched = [RESTRICTION.fullmatch(part) for part in told]
    steps = [int(found[1]) for found in matched if found]
    if len(steps) < len(told):
        raise PolicyError(f"line 3 of the {FORMAT} record: {text[:40]!r} are no path restrictions")
    if steps == [RECEIVE]:
        return USUAL
    if len(steps) != len((RECEIVE, CHANGE)):
        raise NotImportable(
            f"line 3 of the {FORMAT} record restricts it to {text[:40]}; a vault here has two"
            " keychains, receive and change",
            descriptors.KEEP_IT,
        )
    return f"/<{steps[RECEIVE]};{steps[CHANGE]}>/*"


def _checked_body(descriptor: str) -> str:
    return descriptors.body_of(descriptor, f"line 2 of the {FORMAT} record").text


def _encryption_key(token: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", PASSWORD, token, ROUNDS, 32)


def _mac(key: bytes, token: bytes, plain: bytes) -> bytes:
    return hmac.new(hashlib.sha256(key).digest(), token.hex().encode() + plain, "sha256").digest()


def _ctr(key: bytes, nonce: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import (  # noqa: PLC0415 -- costs 15 ms
        Cipher,
        algorithms,
        modes,
    )

    cipher = Cipher(algorithms.AES(key), modes.CTR(nonce)).encryptor()
    return cipher.update(data) + cipher.finalize()
