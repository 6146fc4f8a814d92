"""A wallet's file is recognised by its content, never by its name, and read."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from coordinator import foreign_text
from coordinator.errors import NotImportable, UsageError
from coordinator.foreign_json import Field, read_json
from coordinator.foreign_text import codes_in
from coordinator.interop import (
    bbqr,
    bip138,
    bip388,
    bsms,
    caravan,
    coldcard,
    core,
    descriptor_file,
    descriptors,
    electrum,
    jade,
    key_file,
    liana,
    own_json,
    pmofn,
    specter,
    ur,
    ur_types,
)
from coordinator.interop.key_text import read_key, refuse_private_text
from coordinator.interop.wallet_file import OWN_FORMAT, WalletFile
from coordinator.names import require_known
from psbt.errors import PolicyError, PsbtError
from psbt.network import Network

KEYS_SIZE_MAX: Final = 1024 * 1024
SIZE_MAX: Final = 16 * 1024 * 1024
DEPTH_MAX: Final = 16
LISTED_MAX: Final = 100
NESTING_MAX: Final = 3
BERKELEY: Final = slice(12, 16), b"b1\x05\x00"
"""Where a Berkeley DB, as Bitcoin Core's wallet.dat of before 0.21, says what it is."""
LABELLED: Final = 64
"""So much of a text is looked at for what it says it is."""
INVISIBLE: Final = re.compile("[\u200b\u200c\u2060\ufeff]")
"""What a web page or an editor leaves in a text, and nobody sees."""
ADDRESS = re.compile(
    r"bitcoin:\S+|(?:bc|tb|bcrt)1[02-9ac-hj-np-z]{25,90}|[123mn][1-9A-HJ-NP-Za-km-z]{25,34}",
    re.IGNORECASE,
)
JSON_STARTS: Final = re.compile(r"\{|\[\s*(?:[\[{\"]|\])")


class Given(NamedTuple):
    """What a person says of a file: its format, which of its wallets, its token."""

    format: str | None = None
    wallet: str | None = None
    token: str | None = None


class JsonFormat(Protocol):
    """How JSON of a format is told from others, and read."""

    def is_one(self, found: Field, /) -> bool:
        """Tell whether JSON is of this format."""
        ...

    def read(self, found: Field, network: Network, /) -> list[WalletFile]:
        """Return the wallets it holds; raises PolicyError or ValueError naming the field."""
        ...


class TextFormat(NamedTuple):
    """How a text of a format is told from others, and read."""

    is_one: Callable[[str], bool]
    read: Callable[[str, Network], list[WalletFile]]


# Asked in this order: a shape that others contain comes last.
JSON_FORMATS: Final[dict[str, JsonFormat]] = {
    "core": core, "caravan": caravan, "electrum": electrum, "jade": jade, "bip388": bip388,
    "liana": liana, "specter": specter, "json": own_json,
}  # fmt: skip


def _descriptors(text: str, network: Network) -> list[WalletFile]:
    return descriptors.wallets(descriptor_file.descriptors_in(text), network)


TEXT_FORMATS: Final = {
    "bsms": TextFormat(bsms.is_one, bsms.read),
    "specter-diy": TextFormat(specter.is_diy, specter.read_diy),
    "descriptor": TextFormat(descriptor_file.starts_descriptor, _descriptors),
    "coldcard": TextFormat(coldcard.is_one, coldcard.read),
}
RECORDS: Final = ("bsms", "coldcard")
"""Texts that programs keep whole within JSON of their own."""
NAMES: Final = (*TEXT_FORMATS, *JSON_FORMATS)
LABELS: Final = re.compile(
    r"\{[^{}\n]*\"type\"\s*:\s*\"(?:tx|addr|pubkey|input|output|xpub|spscan)\""
)
IMPORT_LABELS: Final = "take them into the vaults that are known: cardquorum label import FILE"
IMPORT_WALLET: Final = "import it as one: cardquorum vault import FILE --name VAULT"
IMPORT_KEY: Final = "keep it as a key held elsewhere: cardquorum key import FILE --name LABEL"
SHOW_WALLET: Final = "show the wallet's descriptor, or its multisig file, as codes"
SEND: Final = "check it and send it: cardquorum tx broadcast FILE"
BBQR_KINDS: Final = {
    "T": ("a transaction", SEND), "C": ("CBOR", SHOW_WALLET), "X": ("a program", SHOW_WALLET),
}  # fmt: skip
ASK_FOR_DESCRIPTOR: Final = "ask for the wallet's descriptor, or its multisig file"
LIST_DESCRIPTORS: Final = (
    "nothing of it was stored; have Bitcoin Core list its descriptors: bitcoin-cli listdescriptors"
)
DECRYPT: Final = "decrypt it with the program that wrote it, and import what was in it"
# What binary files begin with, what they are, and what to do with them.
MAGICS: Final = (
    (b"psbt\xff", "a PSBT, a payment", "import it as one: cardquorum spend import VAULT FILE"),
    (b"%PDF", "a PDF", "give the text of its codes, or type its lines: cardquorum recover"),
    (
        b"\xe2\x43\x00\x01",
        "what an NFC tag holds",
        "read it with a telephone and save its text as a file, or export by microSD or QR code",
    ),
    (b"BEB", "a descriptor backup of Liana's of before BIP 138", "open it in Liana"),
    (b"H:2,", "Sparrow's own wallet", "export it there: Output Descriptor, or BSMS"),
    (b"SPRW", "Sparrow's own wallet", "export it there: Output Descriptor, or BSMS"),
    (b"PK\x03\x04", "a ZIP archive", "take the wallet's file out of it"),
    (b"BITCOIN_CORE_WALLET_DUMP", "a dump of Bitcoin Core's wallet", LIST_DESCRIPTORS),
    (
        b"# Wallet dump created by Bitcoin",
        "Bitcoin Core's private keys",
        LIST_DESCRIPTORS,
    ),
    (b"SQLite format 3", "a database", "export the wallet from the program that wrote it"),
    (b"\x1f\x8b", "compressed (gzip)", "unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive", "take the wallet's file out of it"),
    (b"-----BEGIN PGP MESSAGE", "encrypted by PGP", DECRYPT),
    (b"age-encryption.org/", "encrypted by age", DECRYPT),
    (b"-----BEGIN AGE ENCRYPTED", "encrypted by age", DECRYPT),
    (b"Salted__", "encrypted by OpenSSL", DECRYPT),
    (b"<!DOCTYPE", "a web page", "save the wallet's own export, not the page it is offered on"),
    (b"<html", "a web page", "save the wallet's own export, not the page it is offered on"),
)
TRANSACTION = re.compile(r"0[12]000000(?:00)?(?:01)?[0-9a-fA-F]{100,}")


def read_bytes(data: bytes, network: Network, name: str, *, given: Given = Given()) -> WalletFile:  # noqa: B008 -- a value
    """Return the wallet a file holds; raises PolicyError, or UsageError for what is no text."""
    if len(data) > SIZE_MAX:
        raise PolicyError(f"{name} has {len(data):,} bytes; a wallet's file has up to {SIZE_MAX:,}")
    _refuse_binary(data)
    return read_text(foreign_text.decoded(data, name), network, given)


def read_text(text: str, network: Network, given: Given = Given()) -> WalletFile:  # noqa: B008 -- a value
    """Return the wallet a text holds; raises PolicyError that says what it is instead."""
    if given.format is not None:
        require_known("format", given.format, NAMES)
    try:
        files = _files(_visible(text), network, given, nesting=NESTING_MAX)
    except PsbtError:
        raise
    except ValueError as failure:
        raise PolicyError(str(failure)) from failure
    return _chosen(files, network, given.wallet)


def read_keys(data: bytes, name: str, token: str | None = None) -> key_file.KeyFile:
    """Return the keys of one signer that a file holds, at least one; raises PolicyError."""
    found = _keys_in(data, name, token)
    if not found.keys:
        raise NotImportable(
            f"the {found.format} holds no key for a wallet of several", key_file.SINGLE_REMEDY
        )
    return found


def _keys_in(data: bytes, name: str, token: str | None = None) -> key_file.KeyFile:
    if len(data) > KEYS_SIZE_MAX:
        raise PolicyError(f"{name} has {len(data):,} bytes; keys have up to {KEYS_SIZE_MAX:,}")
    _refuse_binary(data)
    text = _visible(foreign_text.decoded(data, name))
    refuse_private_text(text)
    if ur.is_part(text):
        return _ur_keys(ur.joined(codes_in(text, ur.SCHEME)))
    carried = _carried(text, Given(token=token))
    text = text if carried is None else carried.strip()
    try:
        if JSON_STARTS.match(text):
            return _keys_in_json(read_json(text, depth_max=DEPTH_MAX, unique=True))
        if bsms.is_one(text) and not bsms.is_descriptor_record(text):
            record = bsms.read_key_record(text)
            return key_file.KeyFile(
                bsms.FORMAT, [key_file.signer_key(record.key.prefix.script, record.key)]
            )
        if descriptor_file.starts_descriptor(text) and "," not in text:
            raise NotImportable(
                "this is the descriptor of a wallet with a single key", key_file.SINGLE_REMEDY
            )
        _refuse_wallet(any(kind.is_one(text) for kind in TEXT_FORMATS.values()))
        _refuse_other(text)
        return key_file.read_expression(text)
    except PsbtError:
        raise
    except ValueError as failure:
        raise PolicyError(str(failure)) from failure


def _keys_in_json(whole: object) -> key_file.KeyFile:
    found = Field(whole, "the file")
    if isinstance(whole, list) and whole and all(map(key_file.is_one, found.items(LISTED_MAX))):
        if len(whole) > 1:
            raise PolicyError(f"the file holds {len(whole)} keys: give one at a time")
        found = found[0]
    _refuse_wallet(_kind_of(found) is not None and not key_file.is_one(found))
    return key_file.read(found)


def _refuse_wallet(is_one: bool) -> None:  # noqa: FBT001 -- its answer
    """Name a wallet's file where one key was asked for."""
    if is_one:
        raise NotImportable("this is a wallet's file, not one signer's key", IMPORT_WALLET)


def _visible(text: str) -> str:
    """Return a text without what nobody sees."""
    return INVISIBLE.sub("", text).strip()


def _files(text: str, network: Network, given: Given, *, nesting: int) -> list[WalletFile]:
    if nesting == 0:
        raise PolicyError(f"the file is wrapped more than {NESTING_MAX} times")
    if not text:
        raise PolicyError("the file is empty")
    refuse_private_text(text)
    if ur.is_part(text):
        return _from_ur(ur.joined(codes_in(text, ur.SCHEME)), network, given, nesting=nesting)
    carried = _carried(text, given)
    if carried is not None:
        return _files(carried.strip(), network, given, nesting=nesting - 1)
    if given.format in TEXT_FORMATS:
        return TEXT_FORMATS[given.format].read(text, network)
    if JSON_STARTS.match(text):
        return _from_json(text, network, given.format)
    for kind in TEXT_FORMATS.values():
        if kind.is_one(text):
            return kind.read(text, network)
    if key_file.is_expression(text):
        raise NotImportable("this is one key, not a wallet of several", IMPORT_KEY)
    _refuse_other(text)
    return _descriptors(text, network)


def _from_ur(
    message: ur.Message, network: Network, given: Given, *, nesting: int
) -> list[WalletFile]:
    """Return the wallets of a UR message: an output, or the text that its bytes hold."""
    if message.type in ur_types.OUTPUTS:
        return [_of_output(message, network)]
    if message.type == ur_types.BYTES:
        data = ur_types.bytes_of(message)
        _refuse_binary(data)
        text = foreign_text.decoded(data, "the text of the codes").strip()
        return _files(text, network, given, nesting=nesting - 1)
    if message.type in (*ur_types.ACCOUNTS, *ur_types.KEYS, ur_types.MULTI_ACCOUNTS):
        raise NotImportable(f"this is one signer's key (ur:{message.type})", IMPORT_KEY)
    return ur_types.refuse_other(message.type)


def _of_output(message: ur.Message, network: Network) -> WalletFile:
    text, format_ = ur_types.descriptor_of(message), ur_format(message)
    (file,) = descriptors.wallets([text], network, format_)
    if numbers := ur_types.keys_without_origin(message):
        told = ", ".join(map(str, numbers))
        return file.warned(
            "origin_unknown",
            f"the {format_} tells no origin of keys {told}; each is its own: they can be watched,"
            " and a signer may not find them",
        )
    return file


def ur_format(message: ur.Message) -> str:
    """Return what the format of a message is called."""
    return f"UR ({message.type})"


def _ur_keys(message: ur.Message) -> key_file.KeyFile:
    """Return the keys of one signer that a UR message holds."""
    name = ur_format(message)
    if message.type in ur_types.KEYS:
        found: list[tuple[str | None, ur_types.UrKey]] = [(None, ur_types.key_of(message))]
    elif message.type in ur_types.ACCOUNTS:
        listed = ur_types.account_outputs(message)
        found = [(script, key) for script, key in listed if script is not None]
    elif message.type == ur_types.MULTI_ACCOUNTS:
        found = [(None, key) for key in ur_types.keys_of(message)]
    elif message.type in ur_types.OUTPUTS:
        listed = ur_types.keys_of_output(message)
        found = [(script, key) for script, key in listed if script is not None]
        _refuse_wallet(not found)
    elif message.type == ur_types.BYTES:
        return read_keys(ur_types.bytes_of(message), "the codes")
    else:
        ur_types.refuse_other(message.type)
    keys = [
        key_file.signer_key(script, read_key(key.text, f"key {number}").key)
        for number, (script, key) in enumerate(found, 1)
    ]
    return key_file.KeyFile(name, keys)


def _inner(found: Field, depth: int = NESTING_MAX) -> list[Field]:
    """Return the wallets of a known format that stand inside other JSON, each object once."""
    value = found.value
    if not depth or not isinstance(value, dict | list) or len(value) > LISTED_MAX:
        return []
    members = [found[each] for each in (value if isinstance(value, dict) else range(len(value)))]
    formats = [kind for kind in JSON_FORMATS.values() if kind is not own_json]
    return [
        each
        for member in members
        for each in (
            [member] if any(kind.is_one(member) for kind in formats) else _inner(member, depth - 1)
        )
    ]


def _kind_of(found: Field) -> JsonFormat | None:
    return next((kind for kind in JSON_FORMATS.values() if kind.is_one(found)), None)


def _listed(found: Sequence[Field], network: Network) -> list[WalletFile]:
    """Return the wallets of a list of them, each of any format; raises where none is one."""
    files: list[WalletFile] = []
    refused: list[PolicyError] = []
    for each in found:
        kind = _kind_of(each)
        if kind is None:
            continue
        try:
            files += kind.read(each, network)
        except PolicyError as failure:
            refused.append(failure)
    if not files:
        raise refused[0] if refused else PolicyError("the list holds no wallet known here")
    return files


def _from_json(text: str, network: Network, wanted: str | None) -> list[WalletFile]:
    if electrum.is_old(text):
        raise electrum.refuse_old()
    changed = electrum.has_changes(text)
    text = f"[{text}]" if changed else text
    if LABELS.match(text):
        raise NotImportable("these are labels (BIP 329), not a wallet", IMPORT_LABELS)
    whole = read_json(text, size_max=SIZE_MAX, depth_max=DEPTH_MAX * 4, unique=True)
    found = Field(whole, "the file")
    found = electrum.without_changes(found) if changed else found
    files = _wallets_in(found, network, wanted)
    if own_json.holds_secrets(found.value):
        return [file.beside_secrets() for file in files]
    return files


def _wallets_in(found: Field, network: Network, wanted: str | None) -> list[WalletFile]:
    """Return the wallets of JSON of a known format, of a list, or of any that holds some."""
    if wanted is not None:
        return JSON_FORMATS[wanted].read(found, network)
    if kind := _kind_of(found):
        return kind.read(found, network)
    listed = found if isinstance(found.value, list) else None
    if isinstance(found.value, dict) and isinstance(found.value.get("wallets"), list):
        listed = found["wallets"]
    members = list(listed.items(LISTED_MAX)) if listed is not None else []
    if any(map(_kind_of, members)):
        return _listed(members, network)
    if key_file.is_one(found):
        raise NotImportable("these are the keys of one signer, not a wallet of several", IMPORT_KEY)
    if inner := _inner(found):
        return _listed(inner, network)
    texts = own_json.descriptors_within(found)
    if texts:
        files = descriptors.wallets(texts, network, OWN_FORMAT)
        return own_json.as_said(files, found, network) if isinstance(found.value, dict) else files
    if records := list(_records_within(found, network)):
        return records
    raise _unknown_json(found)


def _records_within(found: Field, network: Network) -> Iterator[WalletFile]:
    """Yield the wallets of whole texts of other formats that JSON of any shape holds."""
    for text in own_json.texts_within(found):
        kind = next(
            (TEXT_FORMATS[name] for name in RECORDS if TEXT_FORMATS[name].is_one(text)), None
        )
        if kind is not None:
            yield from kind.read(text, network)


def _unknown_json(found: Field) -> PolicyError:
    """Return why JSON is no wallet, by the name of what it is."""
    if isinstance(found.value, dict) and key_file.SINGLE_KEY in found.value:
        return NotImportable(
            f"this is {key_file.SINGLE}, not a wallet of several", key_file.SINGLE_REMEDY
        )
    setting = found.value if isinstance(found.value, list) else []
    name_quorum_keys = [type(each) for each in setting[:3]]
    if len(setting) == 4 and name_quorum_keys == [str, list, list]:  # and options
        return NotImportable(
            "this is a setting of a Coldcard, not what it exports",
            "export it there: Settings, Multisig Wallets, the wallet, Coldcard Export",
        )
    fields = ", ".join(list(found.value)[:8])[:200] if isinstance(found.value, dict) else "a list"
    return PolicyError(
        f"the JSON is of no wallet format known here; it holds {fields or 'nothing'}"
    )


def _carried(text: str, given: Given) -> str | None:
    """Return the text that codes or an encryption carry; None where the text is the file."""
    if bbqr.is_one(text):
        found = bbqr.joined(codes_in(text, bbqr.START))
        _refuse_binary(found.data)
        try:
            return foreign_text.decoded(found.data, "the text of the codes")
        except UsageError as failure:
            what, remedy = BBQR_KINDS.get(found.kind, ("no text", SHOW_WALLET))
            raise NotImportable(f"these codes hold {what}, not a wallet", remedy) from failure
    if pmofn.is_part(text):
        return pmofn.joined(foreign_text.lines(text))
    if (command := core.command_in(text)) is not None:
        return command
    if bsms.is_encrypted(text) and not text.lower().startswith(
        ("70736274", "02000000", "01000000")
    ):
        if given.token is None:
            raise NotImportable(
                "this is an encrypted BSMS record, or no text of a wallet",
                "give its token: --token TOKEN",
            )
        return bsms.decrypted(text, bsms.read_token(given.token))
    return None


def _refuse_other(text: str) -> None:
    """Name a text that is a payment or an address, and base64 of what is no text."""
    if text.startswith("cHNidP") or text[:10].lower() == "70736274ff":
        _refuse_binary(b"psbt\xff")
    if TRANSACTION.fullmatch(text):
        raise NotImportable("this is a transaction, not a wallet's file", SEND)
    if ADDRESS.fullmatch(text):
        raise NotImportable("this is an address, not a wallet's file", ASK_FOR_DESCRIPTOR)
    _refuse_binary(text[:LABELLED].encode())
    electrum.refuse_encrypted(text)
    compact = "".join(text.split())
    if len(compact) % 4 or len(compact) > SIZE_MAX:
        return
    try:
        data = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        return
    _refuse_binary(data)


def _refuse_binary(data: bytes) -> None:
    """Name a file that is no text, by what it begins with."""
    if bip138.is_backup(data):
        raise NotImportable(
            "this is a descriptor backup (BIP 138)", "open it: cardquorum recover FILE --name NAME"
        )
    place, mark = BERKELEY
    if data[place] == mark:
        raise NotImportable(
            "this is Bitcoin Core's wallet.dat, not what it exports", LIST_DESCRIPTORS
        )
    for magic, what, remedy in MAGICS:
        if data.startswith(magic):
            raise NotImportable(f"this is {what}, not a wallet's file", remedy)


def _chosen(files: Sequence[WalletFile], network: Network, wanted: str | None) -> WalletFile:
    """Return the one wallet, or the one of this name or checksum; the same one again is one."""
    distinct: dict[str, list[WalletFile]] = {}
    for file in files:
        checksum = descriptors.multipath(file, network).rpartition("#")[2]
        distinct.setdefault(checksum, []).append(file)
    fitting = [
        each if wanted in (None, checksum) else [file for file in each if file.name == wanted]
        for checksum, each in distinct.items()
    ]
    if len(found := list(filter(None, fitting))) == 1:
        return found[0][0]
    listed = ", ".join(f"{each[0].name or each[0].form} #{sum_}" for sum_, each in distinct.items())
    if wanted is not None:
        raise UsageError(f"the file holds no one wallet {wanted!r}; it holds {listed}")
    raise NotImportable(
        f"the file holds {len(distinct)} wallets: {listed}"[:1_000],
        "choose one by its name or checksum: --wallet CHECKSUM",
    )
