"""The database, the home's files and backups are not believed: damage is named, never shown."""

import io
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coordinator.home import backups
from tests.altered import unguarded
from tests.program import PIN, Asked, asking, run_program

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
PAY = ("spend", "create", "v", "--to", f"{STRANGER}:400000", "--feerate", "2")
Damage = Callable[..., None]
Words = tuple[str, ...]


@pytest.fixture
def damage(tmp_path: Path) -> Damage:
    def write(statement: str, *values: object) -> None:
        database = unguarded(tmp_path / "home" / "cardquorum.db")
        database.create_function("flipped", 1, flipped)
        database.execute("PRAGMA foreign_keys=OFF")
        database.execute("PRAGMA ignore_check_constraints=ON")
        assert database.execute(statement, values).rowcount == 1
        database.commit()
        database.close()

    return write


@pytest.fixture(scope="module")
def half_signed(vault_home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a home with a payment that one card has signed, and the payment's name."""
    home = tmp_path_factory.mktemp("half-signed") / "home"
    shutil.copytree(vault_home, home)
    vault = asking(home)
    ceremony: str = vault(*PAY)["ceremony"]
    signed(vault, ceremony, "a")
    return home, ceremony


@pytest.fixture
def ceremony(half_signed: tuple[Path, str], vault: Asked) -> str:
    home, ceremony = half_signed
    shutil.rmtree(vault.home)
    shutil.copytree(home, vault.home)
    return ceremony


def signed(vault: Asked, ceremony: str, card: str, check: int = 0) -> dict[str, Any]:
    words = ("spend", "sign", ceremony, "--emulated", card, "--yes", "--pin-stdin")
    return vault(*words, stdin=f"{card}={PIN}\n", check=check)


def flipped(blob: bytes) -> bytes:
    """Change the last bit."""
    return blob[:-1] + bytes([blob[-1] ^ 1])


KEY_DAMAGE = {
    "chain code": "UPDATE key SET chain_code = zeroblob(32) WHERE label = 'a'",
    "public key": "UPDATE key SET public_key = flipped(public_key) WHERE label = 'a'",
    "no public key": "UPDATE key SET public_key = zeroblob(33) WHERE label = 'a'",
    "fingerprint": "UPDATE key SET fingerprint = x'00000000' WHERE label = 'a'",
    "path": "UPDATE key SET path = '48h/1h/0h/1h' WHERE label = 'a'",
    "no path": "UPDATE key SET path = 'nonsense' WHERE label = 'a'",
    "depth": "UPDATE key SET depth = 3 WHERE label = 'a'",
    "threshold": "UPDATE vault SET threshold = 1",
    "no threshold": "UPDATE vault SET threshold = 0",
    "network": "UPDATE vault SET network = 'mainnet'",
    "no network": "UPDATE vault SET network = 'moon'",
    "descriptor": "UPDATE vault SET descriptor = replace(descriptor, 'tpub', 'tpuc')",
    "one cosigner less": "DELETE FROM cosigner WHERE position = 1",
    "order": "UPDATE cosigner SET position = 9 WHERE position = 0",
    "no key": "UPDATE cosigner SET key_id = 77 WHERE position = 0",
    "text for bytes": "UPDATE key SET fingerprint = 'abcd' WHERE label = 'a'",
    "bytes for text": "UPDATE key SET path = x'00' WHERE label = 'a'",
}


@pytest.mark.parametrize("which", KEY_DAMAGE)
def test_a_damaged_policy_gives_no_address_and_no_payment(
    vault: Asked, damage: Damage, ceremony: str, which: str
) -> None:
    damage(KEY_DAMAGE[which])
    for words in (
        ("address", "new", "v"),
        ("address", "list", "v"),
        ("address", "check", STRANGER),
        ("balance", "v"),
        ("vault", "show", "v"),
        ("spend", "show", ceremony),
        ("spend", "export", ceremony),
        ("spend", "finalize", ceremony),
        PAY,
    ):
        error = vault(*words, check=5)["error"]
        assert error["code"] in {"vault_altered", "row_damaged"}, words
        assert "cardquorum restore FILE --home NEWDIR" in error["hint"]
    assert signed(vault, ceremony, "b", check=5)["error"]


READABLE = [which for which in KEY_DAMAGE if " for " not in which and which != "no key"]
"""Rows that can be read, and say another thing than their vault's descriptor."""
CONTRADICTIONS = [
    which
    if which in {"chain code", "no path", "threshold"}
    else pytest.param(which, marks=pytest.mark.matrix)
    for which in READABLE
]


@pytest.fixture
def beside(vault: Asked) -> Asked:
    """Have a second vault, of keys that the first one has, too."""
    vault("vault", "create", "w", "--threshold", "2", "--card", "b", "--card", "c")
    vault("sync")
    return vault


def altered_only(statement: str) -> str:
    """Return a damage as one of vault v alone."""
    table = statement.split()[1 if statement.startswith("UPDATE") else 2]
    own = {"vault": "name = 'v'", "cosigner": "vault_id = (SELECT id FROM vault WHERE name = 'v')"}
    if table not in own:
        return statement
    return f"{statement} {'AND' if 'WHERE' in statement else 'WHERE'} {own[table]}"


@pytest.mark.parametrize("which", CONTRADICTIONS)
def test_an_altered_vault_is_named_and_keeps_no_other_back(
    beside: Asked, damage: Damage, which: str
) -> None:
    damage(altered_only(KEY_DAMAGE[which]))
    seen = beside("status", check=5)
    assert next((d["vault"], d["code"]) for d in seen["dangers"]) == ("v", "vault_altered")
    assert seen["next"][0]["command"] == "cardquorum restore FILE --home DIR"
    for words in (("balance",), ("sync",)):
        told = beside(*words, check=5)
        altered, whole = told["vaults"]
        assert (altered["vault"], altered["confirmed_sats"]) == ("v", None)
        assert altered["fault"]
        assert (whole["vault"], whole["confirmed_sats"], whole["fault"]) == ("w", 0, None)
        assert told["confirmed_sats"] is None
        assert beside(*words, "w")["vaults"] == [whole]
    assert {each["name"]: bool(each["fault"]) for each in seen["vaults"]} == {"v": True, "w": False}
    first, *others = beside("audit", "v", check=5)["findings"]
    assert first["code"] == "vault_altered"
    assert not [each for each in others if each["code"].startswith("location_")]


@pytest.mark.parametrize("words", [("balance",), ("status",)])
def test_an_altered_vault_keeps_no_other_from_a_new_block(
    beside: Asked, damage: Damage, words: Words
) -> None:
    (before,) = beside("balance", "w")["vaults"]
    damage("UPDATE vault SET threshold = 1 WHERE name = 'v'")
    beside("regtest", "mine", "1")
    altered, whole = beside(*words, check=5)["vaults"]
    assert (bool(altered["fault"]), whole["fault"]) == (True, None)
    assert whole["tip"]["height"] == before["tip"]["height"] + 1


def test_an_altered_vault_is_told_to_people_with_what_to_do(beside: Asked, damage: Damage) -> None:
    damage("UPDATE vault SET threshold = 1 WHERE name = 'v'")
    for words in (("status",), ("balance",), ("sync",)):
        told = run_program(beside.home, *words, check=5).out
        assert "DANGER: vault v: what is stored of vault v does not hold together" in told
        assert "cardquorum restore FILE --home NEWDIR" in told
        assert "1 000 000" not in told


def test_an_altered_vault_out_of_use_is_told_all_the_same(beside: Asked, damage: Damage) -> None:
    beside("vault", "retire", "v")
    assert "v" not in {each["vault"] for each in beside("status")["dangers"]}
    damage("UPDATE vault SET threshold = 1 WHERE name = 'v'")
    seen = beside("status", check=5)
    assert ("v", "vault_altered") in {(each["vault"], each["code"]) for each in seen["dangers"]}
    assert not seen["safe"]


@pytest.mark.parametrize("words", [("status",), ("balance",), ("sync",)])
def test_other_damage_is_never_passed_over(beside: Asked, damage: Damage, words: Words) -> None:
    damage("UPDATE coin SET value_sats = value_sats + 1 WHERE id = 1")
    assert beside(*words, check=5)["error"]["code"] == "row_damaged"


CEREMONY_DAMAGE = {
    "psbt": "UPDATE ceremony SET psbt = flipped(psbt)",
    "cut psbt": "UPDATE ceremony SET psbt = CAST(substr(psbt, 1, 90) AS BLOB)",
    "no psbt": "UPDATE ceremony SET psbt = x''",
    "txid": "UPDATE ceremony SET txid = replace(txid, substr(txid, 1, 1), 'g')",
    "fee": "UPDATE ceremony SET fee_sats = fee_sats - 1",
    "signature": "UPDATE signature SET signature = flipped(signature)",
    "no signature": "UPDATE signature SET signature = zeroblob(64)",
    "key of a signature": "UPDATE signature SET pubkey = flipped(pubkey)",
    "input of a signature": "UPDATE signature SET input_index = 9",
    "time": "UPDATE ceremony SET expires_at = 'never'",
    "vault": "UPDATE ceremony SET vault_id = 99",
}


@pytest.mark.parametrize("which", CEREMONY_DAMAGE)
def test_a_damaged_ceremony_is_neither_shown_nor_signed(
    vault: Asked, damage: Damage, ceremony: str, which: str
) -> None:
    damage(CEREMONY_DAMAGE[which])
    for verb in ("show", "export", "finalize"):
        assert vault("spend", verb, ceremony, check=5)["error"]["message"], which
    assert signed(vault, ceremony, "b", check=5)["error"]


def test_the_psbt_of_another_ceremony_is_not_this_one(
    vault: Asked, damage: Damage, ceremony: str
) -> None:
    other = vault("spend", "create", "v", "--to", f"{STRANGER}:900000", "--feerate", "2")
    damage(
        "UPDATE ceremony SET psbt = (SELECT psbt FROM ceremony WHERE public_id = ?)"
        " WHERE public_id = ?",
        other["ceremony"],
        ceremony,
    )
    assert "is not the one" in signed(vault, ceremony, "b", check=5)["error"]["message"]


def test_only_its_own_transaction_is_broadcast(vault: Asked, damage: Damage, ceremony: str) -> None:
    signed(vault, ceremony, "b")
    vault("spend", "finalize", ceremony)
    other = vault("spend", "create", "v", "--drain", STRANGER, "--feerate", "2")["ceremony"]
    signed(vault, other, "a")
    signed(vault, other, "b")
    raw = bytes.fromhex(vault("spend", "finalize", other)["hex"])
    damage("UPDATE ceremony SET final_tx = ? WHERE public_id = ?", raw, ceremony)
    error = vault("spend", "broadcast", ceremony, check=5)["error"]
    assert error["code"] == "psbt_error"
    assert vault("regtest", "show")["mempool"] == []
    damage("UPDATE ceremony SET final_tx = x'00' WHERE public_id = ?", ceremony)
    assert vault("spend", "broadcast", ceremony, check=5)["error"]["code"] == "psbt_error"


def test_a_damaged_payment_stands_in_no_other_commands_way(
    vault: Asked, damage: Damage, ceremony: str
) -> None:
    damage("UPDATE ceremony SET psbt = x'70736274ff00' WHERE public_id = ?", ceremony)
    seen = {each["id"]: each for each in vault("status")["ceremonies"]}
    assert seen[ceremony]["damaged"]
    assert seen[ceremony]["next"] == f"cardquorum spend abandon {ceremony}"
    vault("spend", "list")
    vault("history", "v")
    vault("spend", "abandon", ceremony)
    damage("UPDATE ceremony SET state = 'broadcast', broadcast_at = created_at")
    vault("status")
    assert vault(*PAY)["ceremony"]


COIN_DAMAGE = {
    "value": "UPDATE coin SET value_sats = value_sats + 1 WHERE id = 1",
    "script": "UPDATE coin SET script_pubkey = flipped(script_pubkey) WHERE id = 1",
    "index": 'UPDATE coin SET "index" = 7 WHERE id = 1',
    "keychain": "UPDATE coin SET keychain = 1 WHERE id = 1",
    "number": "UPDATE coin SET vout = 3 WHERE id = 1",
    "number beyond": "UPDATE coin SET vout = 4000 WHERE id = 1",
    "transaction": "UPDATE coin SET txid = replace(txid, substr(txid, 1, 1), 'g') WHERE id = 1",
    "bytes": "UPDATE chain_transaction SET raw = CAST(substr(raw, 1, 60) AS BLOB)",
    "other bytes": "UPDATE chain_transaction SET raw = flipped(raw)",
}


@pytest.mark.parametrize("which", COIN_DAMAGE)
def test_a_damaged_coin_is_never_counted(vault: Asked, damage: Damage, which: str) -> None:
    vault("sync")
    damage(COIN_DAMAGE[which])
    for words in (("balance", "v"), ("coins", "v"), ("status",), PAY):
        assert vault(*words, check=5)["error"]["code"] in {"row_damaged", "psbt_error"}


def test_an_address_is_derived_and_not_read(vault: Asked, damage: Damage) -> None:
    before = vault("address", "list", "v")
    thief = bytes.fromhex("0014") + b"\x66" * 20
    damage("UPDATE address SET script_pubkey = ? WHERE keychain = 0", thief)
    assert vault("address", "list", "v") == before
    damage("UPDATE address SET \"index\" = 'five' WHERE keychain = 0")
    error = vault("address", "list", "v", check=5)["error"]
    assert error["message"] == "the database is damaged: see address.index"


def test_a_reservation_that_was_lost_is_made_again(
    vault: Asked, damage: Damage, ceremony: str
) -> None:
    damage("DELETE FROM reservation")
    assert vault("balance", "v")["reserved_sats"] == 0
    assert signed(vault, ceremony, "b")["complete"]
    assert vault("balance", "v")["reserved_sats"] > 0


@pytest.mark.parametrize("data", [b"", b"garbage", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database(vault: Asked, tmp_path: Path, data: bytes) -> None:
    for file in (tmp_path / "home").glob("cardquorum.db*"):
        file.unlink()
    (tmp_path / "home" / "cardquorum.db").write_bytes(data)
    refused = vault("status", check=5)["error"]
    assert refused["code"] == "storage_error"
    assert "cardquorum restore" in refused["hint"]
    assert (tmp_path / "home" / "cardquorum.db").read_bytes() == data


@pytest.mark.parametrize("text", ["\0", "network = 1", 'network = "moon"', "[", "\xff", ""])
def test_settings_that_cannot_be_read_are_usage(vault: Asked, tmp_path: Path, text: str) -> None:
    (tmp_path / "home" / "settings.toml").write_text(text, encoding="latin-1")
    error = vault("status", check=2)["error"]
    assert error["code"] == "settings_error"
    assert "settings.toml" in error["message"]


def test_a_home_of_any_name_keeps_its_own_database(tmp_path: Path) -> None:
    for name in ("a#b", "a?b=c", "a%41", "ä b"):
        home = asking(tmp_path / name)
        home("init", "--network", "regtest")
        home("location", "add", "here", "--kind", "home")
        written = home("backup", "--out", str(tmp_path / f"{name}.backup"))
        back = asking(tmp_path / f"{name} again")
        back("restore", written["file"])
        assert [place["name"] for place in back("location", "list")["locations"]] == ["here"]
        assert (tmp_path / name / "cardquorum.db").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        f"{name}.backup" for name in ("a#b", "a?b=c", "a%41", "ä b")
    }


def test_a_restored_home_signs(vault: Asked, ceremony: str, tmp_path: Path) -> None:
    (tmp_path / "home" / "pairings").mkdir(exist_ok=True)
    (tmp_path / "home" / "pairings" / "ab.memory").write_bytes(b"pairing")
    writer = sqlite3.connect(tmp_path / "home" / "cardquorum.db")
    writer.execute("BEGIN IMMEDIATE")
    written = vault("backup", "--out", str(tmp_path / "backup"))
    writer.close()
    txid = vault("spend", "show", ceremony)["txid"]
    descriptor = vault("vault", "show", "v")["descriptor"]
    shutil.rmtree(tmp_path / "home")
    back = asking(tmp_path / "new")
    assert back("restore", str(tmp_path / "backup"))["sha256"] == written["sha256"]
    assert (tmp_path / "new" / "pairings" / "ab.memory").read_bytes() == b"pairing"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    words = ("--emulated", "c", "--yes", "--pin-stdin")
    refused = back("spend", "sign", ceremony, *words, stdin=PIN, check=5)["error"]
    assert refused["codes"] == ["policy_not_approved"]
    checksum = descriptor.rpartition("#")[2]
    assert back("vault", "approve", "v", "--checksum", checksum)["approved"]
    refused = back("spend", "sign", ceremony, *words, stdin=PIN, check=5)["error"]
    assert refused["codes"] == ["payment_not_approved"]
    other = back("spend", "sign", ceremony, *words, "--txid", "00" * 32, stdin=PIN, check=2)
    assert "nothing was signed" in other["error"]["message"]
    done = back("spend", "sign", ceremony, *words, "--txid", txid.upper(), stdin=PIN)
    assert done["complete"]
    back("spend", "finalize", ceremony)
    back("spend", "broadcast", ceremony)
    error = back("restore", str(tmp_path / "backup"), check=2)["error"]
    assert "not empty" in error["message"]


def archive(*members: tuple[str, bytes, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd"
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


SETTINGS = ("settings.toml", tarfile.REGTYPE, b'network = "regtest"\nchain = "regtest:"\n')
STRANGE = {
    "nothing": b"",
    "text": b"hello",
    "empty": archive(),
    "no database": archive(SETTINGS),
    "no settings": archive(("cardquorum.db", tarfile.REGTYPE, b"x")),
    "no SQLite": archive(SETTINGS, ("cardquorum.db", tarfile.REGTYPE, b"x" * 5000)),
    "above": archive(SETTINGS, ("../settings.toml", tarfile.REGTYPE, b"x")),
    "far above": archive(SETTINGS, ("emulated/../../x.card", tarfile.REGTYPE, b"x")),
    "absolute": archive(SETTINGS, ("/tmp/emulated/x.card", tarfile.REGTYPE, b"x")),  # noqa: S108 -- a name in an archive
    "deeper": archive(SETTINGS, ("x/emulated/x.card", tarfile.REGTYPE, b"x")),
    "other": archive(SETTINGS, ("other.txt", tarfile.REGTYPE, b"x")),
    "link": archive(SETTINGS, ("emulated/x.card", tarfile.SYMTYPE, b"")),
    "folder": archive(SETTINGS, ("emulated/x.card", tarfile.DIRTYPE, b"")),
}


@pytest.mark.parametrize("which", STRANGE)
def test_what_is_no_backup_is_refused_whole(asked: Asked, tmp_path: Path, which: str) -> None:
    (tmp_path / "file").write_bytes(STRANGE[which])
    before = sorted(tmp_path.iterdir())
    status = 5 if which == "no SQLite" else 2
    assert asked("restore", str(tmp_path / "file"), check=status)["error"]["message"]
    assert sorted(tmp_path.iterdir()) == before


def test_a_damaged_backup_is_refused_whole(vault: Asked, tmp_path: Path) -> None:
    whole = Path(vault("backup", "--out", str(tmp_path / "whole"))["file"]).read_bytes()
    back = asking(tmp_path / "back")
    for place in (0, 3, 12, len(whole) // 3, len(whole) // 2, len(whole) - 6):
        bad = bytearray(whole)
        bad[place] ^= 0x55
        (tmp_path / "bad").write_bytes(bad)
        ended = run_program(
            tmp_path / "back", "--json", "restore", str(tmp_path / "bad"), check=None
        )
        assert ended.status in {0, 2, 5}, ended
        assert (ended.status == 0) == (tmp_path / "back").exists()
        shutil.rmtree(tmp_path / "back", ignore_errors=True)
    (tmp_path / "bad").write_bytes(whole[: len(whole) // 2])
    assert json.dumps(back("restore", str(tmp_path / "bad"), check=2))


def test_a_backup_never_replaces_a_file(vault: Asked, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    vault("backup", "--out", str(tmp_path / "file"), check=2)
    assert (tmp_path / "file").read_text() == "mine"
    monstrous = archive(SETTINGS, ("cardquorum.db", tarfile.REGTYPE, b"x" * 11))
    (tmp_path / "large").write_bytes(monstrous)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backups, "MEMBER_MAX", 10)
        error = asking(tmp_path / "back")("restore", str(tmp_path / "large"), check=2)["error"]
    assert "does not belong" in error["message"]
