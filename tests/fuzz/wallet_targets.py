"""Other wallets' files: every format, keys of one signer, and what QR codes hold."""

import io
import json
from collections.abc import Iterator

import cbor2
from PIL import Image

from coordinator.errors import CoordinatorError
from coordinator.interop import (
    bbqr,
    bsms,
    bytewords,
    descriptors,
    key_file,
    pmofn,
    qr_pictures,
    ur,
    ur_types,
    writing,
)
from coordinator.interop.camera import Scan
from coordinator.interop.recognition import Given, read_bytes, read_keys
from coordinator.interop.wallet_file import WalletFile, checked, first_address, wallet_of
from psbt.errors import PsbtError
from psbt.network import Network
from tests.fuzz.psbt_targets import VAULT
from tests.fuzz.target import Target

HERE = Network.REGTEST
NAMES = tuple(f"key {number}" for number in range(len(VAULT.policy.keys)))
WALLET = wallet_of(VAULT.policy, "family", NAMES)
KEY = WALLET.keys[0]
TOKEN = "0001020304050607"
REFUSALS = (CoordinatorError, PsbtError)
TYPES = (*ur_types.OUTPUTS, *ur_types.ACCOUNTS, *ur_types.KEYS, "bytes")


def wallet(data: bytes) -> None:
    """Read a wallet's file of any format; what is read holds together."""
    _hold(read_bytes(data, HERE, "the file", given=Given(token=TOKEN)))


def wallet_seeds() -> Iterator[bytes]:
    for format_ in writing.FORMATS:
        yield "\n".join(writing.write(WALLET, HERE, format_)).encode()
    yield bsms.encrypted(bsms.write(WALLET, HERE), bytes.fromhex(TOKEN)).encode()
    yield "\n".join(pmofn.split(writing.write(WALLET, HERE, "specter-diy")[0], 100)).encode()
    signers = [
        {
            "fingerprint": (key.fingerprint or b"").hex(),
            "derivation": list(key.path or ()),
            "xpub": descriptors.key_of(key, HERE).rpartition("]")[2],
            "path": [],
        }
        for key in WALLET.keys
    ]
    told = {"variant": "wsh(multi(k))", "sorted": True, "threshold": 2, "signers": signers}
    yield json.dumps({"network": "localtest", "multisig_name": "x", "descriptor": told}).encode()
    text = writing.write(WALLET, HERE, "descriptor")[0]
    yield json.dumps({"name": "x", "accounts": [{"descriptor": text, "timestamp": 9}]}).encode()
    yield json.dumps({"name": "x", "wallet": {"descriptor_str": text, "mnemonic": "some"}}).encode()
    electrum = writing.write(WALLET, HERE, "electrum")[0]
    yield f'{electrum},\n{{"op": "add", "path": "/tx_fees/00", "value": 1}}'.encode()
    yield f'main_descriptor = "{text}"'.encode()
    yield b"{'seed_version': 11}"


def keys(data: bytes) -> None:
    """Read the keys of one signer."""
    for each in read_keys(data, "the file", TOKEN).keys:
        descriptors.key_of(each.key, HERE)


def key_seeds() -> Iterator[bytes]:
    yield descriptors.key_of(KEY, HERE).encode()
    yield key_file.write_slip132(KEY, "wsh", HERE).encode()
    yield key_file.write_ccxp(KEY, "wsh", HERE).encode()
    yield key_file.write_cobo(KEY, HERE).encode()
    yield bsms.write_key_record(KEY, HERE, "a key").encode()
    yield "\n".join(ur.split(ur_types.write_account(KEY, HERE))).encode()
    yield json.dumps({"name": "a", "type": "specter", "keys": [_device_key()]}).encode()


def _device_key() -> dict[str, str]:
    """Return a key as Specter keeps it of a device."""
    origin, _, xpub = descriptors.key_of(KEY, HERE)[1:].partition("]")
    fingerprint, _, path = origin.partition("/")
    return {"fingerprint": fingerprint, "derivation": f"m/{path}", "type": "wsh", "xpub": xpub}


def ur_content(data: bytes) -> None:
    """Read what codes hold, whose checksum fits: anyone can write one."""
    kind = TYPES[data[0] % len(TYPES)] if data else "bytes"
    code = f"ur:{kind}/{bytewords.encode(data[1:])}".encode()
    if kind in ur_types.OUTPUTS or kind == "bytes":
        _hold(read_bytes(code, HERE, "the code"))
    else:
        read_keys(code, "the code")


def ur_content_seeds() -> Iterator[bytes]:
    for message in (
        ur_types.write_output(WALLET, HERE),
        ur_types.write_descriptor(WALLET, HERE),
        ur_types.write_account(KEY, HERE),
    ):
        yield bytes([TYPES.index(message.type)]) + message.cbor
    yield bytes([TYPES.index("bytes")]) + cbor2.dumps(b"Name: a\nPolicy: 1 of 1\n")


def ur_parts(data: bytes) -> None:
    """Put codes together whose checksums fit: each line of hex is the CBOR of a part."""
    codes = []
    for line in data.splitlines()[:50]:
        numbers, _, content = line.partition(b" ")
        try:
            body = bytewords.encode(bytes.fromhex(content.decode("ascii", "replace")))
        except ValueError:
            continue
        codes.append(f"ur:bytes/{numbers.decode('ascii', 'replace')}/{body}")
    ur.joined(codes)


def ur_part_seeds() -> Iterator[bytes]:
    for size, more in ((60, 10), (40, 0)):
        lines = []
        for code in ur.split(ur_types.write_output(WALLET, HERE), size, more):
            _, numbers, body = code.split("/")
            lines.append(f"{numbers} {bytewords.decode(body).hex()}".encode())
        yield b"\n".join(lines[3:] if more else lines)


def picture(data: bytes) -> None:
    """Read the codes in a picture of any kind, of every frame."""
    if qr_pictures.is_picture(data):
        qr_pictures.codes(data, "the picture")


def picture_seeds() -> Iterator[bytes]:
    parts = bbqr.split(bytes(40), "B", 60)
    for suffix in (".gif", ".png"):
        drawn = qr_pictures.drawn(parts[: 1 if suffix == ".png" else 2], suffix)
        yield drawn
        with Image.open(io.BytesIO(drawn)) as image:
            for kind in ("BMP", "TIFF", "JPEG", "WEBP"):
                written = io.BytesIO()
                image.convert("L").resize((60, 60)).save(written, kind)
                yield written.getvalue()


def scanned(data: bytes) -> None:
    """Take codes as a camera sees them; what is whole is what files of the same codes hold."""
    scan = Scan()
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        scan.take(line)
    assert scan.told
    if scan.whole and scan.total > 1:
        lines = scan.data.decode("utf-8", "surrogateescape").split("\n")
        again = Scan()
        assert all(again.take(line) for line in lines)
        assert again.whole


def scan_seeds() -> Iterator[bytes]:
    message = ur_types.write_output(WALLET, HERE)
    for codes in (
        bbqr.split(message.cbor, "C", 120),
        ur.split(message, 60, 10)[3:],
        pmofn.split("a" * 200, 60),
        ["ur:crypto-psbt/1of2/aaaa/qqqq", "ur:crypto-psbt/2of2/aaaa/qqqq"],
    ):
        yield "\n".join(codes).encode()


def _hold(found: WalletFile) -> None:
    """Check that a wallet that was read has an address, and is the same when checked again."""
    first_address(found, HERE)
    again = checked(found, HERE)
    assert again.keys == found.keys


TARGETS = (
    Target("wallet_file", wallet_seeds, lambda _: wallet, REFUSALS, steps=120_000),
    Target("signer_keys", key_seeds, lambda _: keys, REFUSALS),
    Target("ur_content", ur_content_seeds, lambda _: ur_content, REFUSALS, steps=120_000),
    Target("picture", picture_seeds, lambda _: picture, REFUSALS, runs=60, steps=1_000_000),
    Target("scan", scan_seeds, lambda _: scanned, REFUSALS, steps=200_000),
    Target("ur_parts", ur_part_seeds, lambda _: ur_parts, REFUSALS, steps=200_000),
)
