"""Files and text from elsewhere: every reader a person can point at something."""

import base64
import gzip
import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from cards.errors import CardError
from coordinator import amounts, foreign_text
from coordinator.audit import advisories
from coordinator.chain import Tip
from coordinator.chain.url import parse_url
from coordinator.cli.attendant import read_secrets
from coordinator.errors import CoordinatorError
from coordinator.home import backups
from coordinator.home.settings import SETTINGS_FILE, open_home
from coordinator.interop import bbqr, bip138
from coordinator.payment import (
    batch,
    ceremonies,
    foreign_transaction,
    payees,
    payment_files,
    psbt_file,
)
from coordinator.payment.progress import progress
from coordinator.recovery import recover, typed_lines
from coordinator.vault import drills, vaults
from coordinator.wallet import labels, scans
from psbt import codec
from psbt.combiner import combine
from psbt.errors import PsbtError
from psbt.extractor import extract
from psbt.finalizer import finalize
from psbt.keys import format_xpub, parse_path
from psbt.message import message_psbt, simple_proof
from psbt.mnemonic import seed_from_words
from psbt.network import Network
from psbt.policy import (
    CHANGE,
    RECEIVE,
    format_address,
    format_descriptor,
    parse_address,
    vault_script,
)
from psbt.signer import with_signatures
from psbt.transaction import Transaction, TransactionInput, TransactionOutput, sized
from storage import vaults as vault_book
from storage.database import open_database
from storage.errors import AlreadyExists, NotFound, StorageError
from tests.fuzz.home import NAME, KeptHome
from tests.fuzz.psbt_targets import ONCE, SHARED, TWICE, UNSIGNED, VAULT, edited, reading
from tests.fuzz.target import Target

Read = Callable[[bytes], object]

ROOTS = (CoordinatorError, PsbtError, NotFound, AlreadyExists)
DESCRIPTOR = format_descriptor(VAULT.policy)
STORED = (CoordinatorError, StorageError)
OTHER = format_descriptor(replace(VAULT.policy, threshold=1))
ADDRESS = format_address(vault_script(VAULT.policy, RECEIVE, 0).script_pubkey, Network.REGTEST)
TXID = codec.txid(UNSIGNED)
XPUB = format_xpub(VAULT.policy.keys[0].key, Network.REGTEST)
KEYS = [each.key.public_key for each in VAULT.policy.keys]
ADVISER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PINS = ("blue", "red")


def as_typed(data: bytes) -> str:
    """Return bytes as the command line has its arguments, whatever they are."""
    return data.decode("utf-8", "surrogateescape")


def in_file(data: bytes, *, legacy: bool = False) -> str:
    """Return the text of a file."""
    return foreign_text.decoded(data, "the file", legacy=legacy)


def encrypted_copy(content: str = OTHER) -> bytes:
    """Return a copy encrypted to our keys, the same one every time."""
    paths = [each.path for each in VAULT.policy.keys]
    return bip138.encrypt(content, KEYS, paths, chance=lambda size: bytes([7]) * size)


def prepare_import(folder: Path) -> Read:
    kept = KeptHome(folder)

    def read(data: bytes) -> None:
        with kept.undone() as database, database.begin() as db:
            plan = vaults.VaultPlan("other", 2, ())
            vaults.import_text(kept.home, db, plan, text=in_file(data))

    return read


def import_seeds() -> Iterator[bytes]:
    yield DESCRIPTOR.encode()
    yield OTHER.encode()
    yield json.dumps({"name": NAME, "descriptor": OTHER, "birthday_height": 1}).encode()
    yield b"# from elsewhere\n" + OTHER.encode() + b"\n"


def prepare_recover(folder: Path) -> Read:
    kept = KeptHome(folder)
    keys = (XPUB,)

    def read(data: bytes) -> None:
        with kept.undone() as database, database.begin() as db:
            found = recover.descriptor_of(kept.home, db, data, keys=keys)
            vaults.import_text(kept.home, db, vaults.VaultPlan("other", 2, ()), text=found)

    return read


def recover_seeds() -> Iterator[bytes]:
    yield OTHER.encode()
    yield "\n".join(typed_lines.numbered(OTHER)).encode()
    yield encrypted_copy()
    yield base64.encodebytes(encrypted_copy())
    yield "\n".join(bbqr.split(OTHER.encode(), "U", 120)).encode()
    yield json.dumps({"descriptor": OTHER}).encode()
    yield b"%PDF-1.4"


def opened_copy(data: bytes) -> None:
    """Read the inside of an encrypted copy: anyone with one key can write it."""
    secret = bip138._tagged("BIP138_DECRYPTION_SECRET", b"".join(sorted(k[-32:] for k in KEYS)))
    nonce = b"\1" * 12
    sealed = ChaCha20Poly1305(secret).encrypt(nonce, data, None)
    masked = bip138._masked(secret, KEYS[0])
    file = b"".join((bip138.MAGIC, b"\1\0\1", masked, b"\1", nonce, sized(sealed)))
    bip138.decrypt(file, KEYS[0])


def copy_seeds() -> Iterator[bytes]:
    for content in (
        DESCRIPTOR.encode(),
        json.dumps({"descriptor_sets": [{"descriptor": DESCRIPTOR}]}).encode(),
        b'{"descriptor_sets": [{"descriptor": {}}, 3]}',
    ):
        yield b"\1" + (380).to_bytes(2, "big") + sized(content)
    yield b"\2" + sized(b"about") + sized(b"content") + b"\0\0"


def prepare_labels(folder: Path) -> Read:
    kept = KeptHome(folder)

    def read(data: bytes) -> None:
        with kept.undone() as database, database.begin() as db:
            taken = labels.import_text(db, in_file(data))
            written = labels.exported(db)
            again = labels.import_text(db, written)
            assert again.changed == 0, "an export changes what it was exported from"
            assert taken.labels >= taken.changed

    return read


def label_seeds() -> Iterator[bytes]:
    said = (
        {"type": "tx", "ref": TXID, "label": "rent", "origin": "wpkh([d34db33f/84'/0'/0'])"},
        {"type": "addr", "ref": ADDRESS, "label": "aunt"},
        {"type": "output", "ref": f"{TXID}:0", "label": "dusty\u2028x", "spendable": False},
        {"type": "input", "ref": f"{TXID}:1", "label": "in"},
        {"type": "pubkey", "ref": KEYS[0].hex(), "label": "key"},
        {"type": "xpub", "ref": XPUB, "label": "blue"},
        {"type": "later", "ref": "x", "label": "unknown"},
    )
    yield "\n".join(json.dumps(each) for each in said).encode()
    for each in said:
        yield json.dumps(each, ensure_ascii=False).encode()


def table(data: bytes) -> None:
    """Read a table of payments."""
    found = batch.read(in_file(data, legacy=True), "regtest")
    assert found.total_sats == sum(payment.value_sats for payment in found.payments)


def table_seeds() -> Iterator[bytes]:
    yield f"address,amount,label\n{ADDRESS},150000,rent\n{ADDRESS},0.0015btc,\n".encode()
    yield f'"{ADDRESS}";"1 000 sat";"a, b"\r\n'.encode()
    yield f"{ADDRESS}\t5000\trent".encode("utf-16")


def coin_line() -> str:
    """Return a coin of our vault as `coin export` writes it."""
    scripts = [
        vault_script(VAULT.policy, keychain, 3).script_pubkey for keychain in (RECEIVE, CHANGE)
    ]
    outputs = tuple(TransactionOutput(70_000, script) for script in scripts)
    source = TransactionInput(UNSIGNED_SOURCE, b"\x51")
    return Transaction((source,), outputs).raw.hex() + f",7,{'ab' * 32}"


UNSIGNED_SOURCE = codec.unsigned_transaction(UNSIGNED).inputs[0].outpoint


def prepare_coins(folder: Path) -> Read:
    kept = KeptHome(folder)

    def read(data: bytes) -> None:
        with kept.undone() as database, database.begin() as db:
            vault = vault_book.vault_named(db, NAME)
            payment_files.take(kept.home, db, vault, data=data)
            assert all(payment_files.lines(db, vault))

    return read


def coin_seeds() -> Iterator[bytes]:
    yield coin_line().encode()
    yield (coin_line() + "\n\n" + coin_line().partition(",")[0]).encode()
    yield codec.to_bytes(UNSIGNED)
    yield codec.to_base64(UNSIGNED).encode()


def prepare_payment(folder: Path) -> Read:
    kept = KeptHome(folder)

    def read(data: bytes) -> None:
        psbt = data[1:]
        if data[:1] in EDITED:
            psbt = edited(psbt, EDITED[data[:1]])
        with kept.undone() as database:
            with suppress(*ROOTS), database.begin() as db:
                payment_files.open_payment(
                    kept.home, db, vault_book.vault_named(db, NAME), data=psbt
                )
            ceremonies.add(kept.home, database, kept.ceremony, data=psbt)
            with database.begin() as db:
                record = ceremonies.ceremony_book.ceremony_named(db, kept.ceremony)
                progress(record)
            ceremonies.finalize(kept.home, database, kept.ceremony)

    return read


EDITED = {b"\0": (), b"\2": SHARED}
"""By its first byte, what an input edits: our payment, or ours with somebody else's coin."""


def payment_seeds() -> Iterator[bytes]:
    for first in range(6):
        yield bytes([2, first])
        yield bytes([2, first, 4, first, 0, first, 1, 33])
    for psbt in (UNSIGNED, ONCE, TWICE):
        yield b"\1" + codec.to_bytes(psbt)
    yield b"\1" + codec.to_base64(TWICE).encode()
    for first in range(3):
        yield bytes([0, first])
        yield bytes([0, first, 1, 3, 0, 1, 1, 1, 2, 5, 0, 33, 33, 2])


def prepare_finished(folder: Path) -> Read:
    kept = KeptHome(folder)

    def read(data: bytes) -> None:
        given = data[1:]
        if data[:1] in EDITED:
            given = edited(given, EDITED[data[:1]])
        with kept.undone() as database, database.begin() as db:
            foreign_transaction.check(kept.home, db, given)

    return read


def finished_seeds() -> Iterator[bytes]:
    final = finalize(TWICE, VAULT.policy)
    yield b"\1" + extract(final)
    yield b"\1" + codec.to_bytes(final)
    yield b"\1" + codec.to_bytes(SHARED[2])
    yield from payment_seeds()


def handed_over(data: bytes) -> None:
    """Read what came back from a signer, in whatever form, and take its signatures."""
    psbt_file.holds_psbt(data)
    signed = psbt_file.read_signed(data, ONCE)
    combine(ONCE, signed, VAULT.policy)


def handed_over_seeds() -> Iterator[bytes]:
    final = extract(finalize(TWICE, VAULT.policy))
    for raw in (codec.to_bytes(TWICE), final):
        yield raw
        yield base64.b64encode(raw)
        yield raw.hex().upper().encode("utf-16")
        yield json.dumps({"psbt": base64.b64encode(raw).decode(), "complete": True}).encode()
    yield b'"' + base64.urlsafe_b64encode(codec.to_bytes(UNSIGNED)).rstrip(b"=") + b'"\r\n'


def drilled(data: bytes) -> None:
    """Check a drill that somebody sent."""
    drills.verified(data, {NAME: DESCRIPTOR})


def drill_seeds() -> Iterator[bytes]:
    text = f"{drills.subject(NAME, VAULT.policy)}, block -"
    asked = message_psbt(text, VAULT.policy, vault_script(VAULT.policy, RECEIVE, 0))
    given = [answer for cosigner in (0, 2) for answer in VAULT.answers(asked, cosigner)]
    said = {
        "format": drills.FORMAT,
        "vault": NAME,
        "network": "regtest",
        "descriptor": DESCRIPTOR,
        "message": text,
        "proofs": [{"pubkey": r.pubkey.hex(), "signature": s.hex()} for r, s in given],
        "bip322": simple_proof(with_signatures(asked, given), VAULT.policy),
    }
    yield json.dumps(said).encode()
    yield json.dumps({**said, "proofs": [], "bip322": None}).encode()
    yield json.dumps({**said, "message": text + "x"}).encode()


def prepare_advisories(folder: Path) -> Read:
    file = folder / "advisories.json"
    key = ADVISER.public_key().public_bytes_raw().hex()

    def read(data: bytes) -> None:
        file.write_bytes(data)
        advisories.advisories(file, key)

    return read


def advisory_seeds() -> Iterator[bytes]:
    flaw = {
        "id": "CQ-1",
        "family": "satochip",
        "versions": ["0.12"],
        "severity": "danger",
        "sentence": "überall",
        "remedy": "replace it",
    }
    said = {"format": advisories.FORMAT, "issued": "2026-11-01", "advisories": [flaw]}
    signature = ADVISER.sign(advisories.signed_bytes(said)).hex()
    yield json.dumps({"signature": signature, **said}).encode()


def prepare_settings(folder: Path) -> Read:

    def read(data: bytes) -> None:
        (folder / SETTINGS_FILE).write_bytes(data)
        home = open_home(folder)
        assert parse_url(home.chain).text == home.chain

    return read


def setting_seeds() -> Iterator[bytes]:
    for network, chain in (
        ("regtest", "regtest:"),
        ("signet", "bitcoind+http://127.0.0.1:38332?cookie=/x&timeout=10"),
        ("mainnet", "electrum+ssl://[::1]:50002?proxy=127.0.0.1:9050&gap=20&verify=no"),
        ("testnet4", "esplora+https://host.example/api"),
        ("mainnet", "p2p://192.168.1.5:8333"),
    ):
        yield f'network = "{network}"\nchain = "{chain}"\n'.encode()
    yield b"a = " + b"[" * 1_500


def parts(data: bytes) -> None:
    """Put the texts of QR codes together."""
    texts = in_file(data).splitlines()
    found = bbqr.joined(texts)
    if found.data:
        assert bbqr.joined(bbqr.split(found.data, found.kind, 300)) == found


def part_seeds() -> Iterator[bytes]:
    for kind, content in (("U", DESCRIPTOR.encode()), ("P", codec.to_bytes(ONCE)[:900])):
        yield "\n".join(bbqr.split(content, kind, 200)).encode()
    yield b"B$HU0100" + b"AB" * 8
    yield b"B$2U0100MFRGG==="


def typed(data: bytes) -> None:
    """Read what is typed as an option or an argument: every kind of it."""
    kind, text = data[:1], as_typed(data[1:])
    readers: tuple[Callable[[str], object], ...] = (
        amounts.parse_amount,
        amounts.parse_feerate,
        lambda given: payees.parse_payee(given, "regtest"),
        amounts.parse_txid,
        amounts.parse_coin,
        lambda given: parse_address(given, Network.MAINNET),
        parse_path,
        seed_from_words,
        parse_url,
        lambda given: scans.parse_birthday(given, Tip(100, "00" * 32), "regtest"),
        lambda given: vaults.parse_key_expression(given, Network.REGTEST),
        lambda given: read_secrets(PINS, io.BytesIO(os.fsencode(given)), single=False),
        lambda given: typed_lines.joined(given.splitlines()),
    )
    readers[kind[0] % len(readers) if kind else 0](text)


def typed_seeds() -> Iterator[bytes]:
    for kind, text in enumerate(
        (
            "0.0015btc",
            "12.5",
            f"{ADDRESS}:0.1btc",
            TXID,
            f"{TXID}:1",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "m/48h/1h/0h/2'",
            "abandon " * 11 + "about",
            "electrum+tcp://host.example:50001?timeout=5",
            "2026-05-01T10:00:00+02:00",
            f"[00000000/48h/1h/0h/2h]{XPUB}",
            "blue=123456\nred.new=1\n",
            "\n".join(typed_lines.numbered(DESCRIPTOR[:90])),
        )
    ):
        yield bytes([kind]) + text.encode()
    yield b"\5" + b"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
    yield b"\2" + f"bitcoin:{ADDRESS}?amount=0.1&label=a%20b&req-x=1".encode()


def archive(files: dict[str, bytes]) -> bytes:
    """Return an archive that is not compressed."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def empty() -> bytes:
    """Return the file of a database with nothing in it."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / backups.DATABASE_FILE
        open_database(f"sqlite:///{file}").kw["bind"].dispose()
        return file.read_bytes()


def prepare_archive(folder: Path) -> Read:
    file, target = folder / "backup", folder / "home"

    def read(data: bytes) -> None:
        file.write_bytes(data if data.startswith(b"\x1f\x8b") else gzip.compress(data, 1, mtime=0))
        try:
            backups.restore(file, target)
        finally:
            shutil.rmtree(target, ignore_errors=True)
            left = {path.name for path in folder.iterdir()} - {file.name}
            assert not left, f"restore leaves {left}"

    return read


def archive_seeds() -> Iterator[bytes]:
    settings = b'network = "regtest"\nchain = "regtest:"\n'
    yield archive({SETTINGS_FILE: settings, "emulated/a.card": b"x"})
    yield archive({backups.DATABASE_FILE: b"SQLite format 3\0" + bytes(100)})
    yield archive({"pairings/a.memory": b"x", "../x": b"y", "/etc/x": b"z"})
    yield gzip.compress(archive({SETTINGS_FILE: settings, backups.DATABASE_FILE: empty()}), mtime=0)


def prepare_database(folder: Path) -> Read:
    """Restore a database whose pages were changed: what was read may be refused, never a bug."""
    pages = empty()
    settings = b'network = "regtest"\nchain = "regtest:"\n'

    def read(data: bytes) -> None:
        changed = bytearray(pages)
        for at in range(0, len(data) - 3, 4):
            place = int.from_bytes(data[at : at + 3], "big") % len(changed)
            changed[place] = data[at + 3]
        file, target = folder / "backup", folder / "home"
        content = {SETTINGS_FILE: settings, backups.DATABASE_FILE: bytes(changed)}
        file.write_bytes(gzip.compress(archive(content), 1, mtime=0))
        try:
            backups.restore(file, target)
            open_database(open_home(target).database_url).kw["bind"].dispose()
        finally:
            shutil.rmtree(target, ignore_errors=True)

    return read


def database_seeds() -> Iterator[bytes]:
    yield b""
    for place in range(0, 100, 16):
        yield place.to_bytes(3, "big") + b"\xff"


TARGETS = (
    Target("vault_import", import_seeds, prepare_import, ROOTS, steps=60_000, runs=60),
    Target("recover", recover_seeds, prepare_recover, ROOTS, steps=60_000, runs=60),
    Target("encrypted_copy", copy_seeds, reading(opened_copy), ROOTS),
    Target("labels", label_seeds, prepare_labels, ROOTS, steps=60_000, runs=60),
    Target("table", table_seeds, reading(table), ROOTS),
    Target("coins", coin_seeds, prepare_coins, ROOTS, steps=300_000, runs=20),
    Target("payment", payment_seeds, prepare_payment, ROOTS, steps=600_000, runs=10),
    Target("finished", finished_seeds, prepare_finished, ROOTS, steps=600_000, runs=10),
    Target(
        "psbt_file", handed_over_seeds, reading(handed_over), ROOTS, 8192, runs=150, steps=60_000
    ),
    Target("drill", drill_seeds, reading(drilled), ROOTS),
    Target("advisories", advisory_seeds, prepare_advisories, ROOTS),
    Target("settings", setting_seeds, prepare_settings, ROOTS),
    Target("qr_parts", part_seeds, reading(parts), ROOTS),
    Target("typed", typed_seeds, reading(typed), (*ROOTS, CardError), 1024),
    Target("archive", archive_seeds, prepare_archive, STORED, 16_384, runs=100),
    Target("database", database_seeds, prepare_database, STORED, 256, runs=8, steps=300_000),
)
