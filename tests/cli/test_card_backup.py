"""The encrypted backup a TAPSIGNER gives instead of copies."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from embit.bip32 import HDKey

from cards.emulation import open_card
from tests.cards.tapsigner_host import open_backup
from tests.program import PIN, Asked

ROOT = Path(__file__).parents[2]


def test_a_backup_is_written_once_and_privately(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tapsigner", "t")
    asked("card", "enrol", "t", "--emulated", "t", "--pin-stdin", stdin=PIN)
    file = tmp_path / "t.aes"
    words = ("card", "backup", "t", "--out", str(file), "--pin-stdin")
    asked(*words, stdin="000000", check=4)
    assert not file.exists()
    written = asked(*words, stdin=PIN)
    assert written == {"card": "t", "file": str(file), "carrier": "backup-file:t"}
    assert file.stat().st_mode & 0o777 == 0o600
    assert asked(*words, stdin=PIN, check=2)["error"]["code"] == "usage_error"


def test_a_card_that_gives_none_says_so(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "satochip", "s")
    asked("card", "enrol", "s", "--emulated", "s", "--pin-stdin", stdin=PIN)
    words = ("card", "backup", "s", "--out", str(tmp_path / "x"), "--pin-stdin")
    assert asked(*words, stdin=PIN, check=3)["error"]["code"] == "not_supported"
    assert not (tmp_path / "x").exists()


def test_copies_of_a_card_that_loads_no_seed_are_refused(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    for name in ("x", "y"):
        asked("emulate", "new", "tapsigner", name, "--no-setup")
    slots = ("--emulated", "x", "--emulated", "y")
    words = ("card", "setup", "a", *slots, "--generate", "--copies", "1", "--pin-stdin")
    out = ("--words-out", str(tmp_path / "w"))
    refused = asked(*words, *out, stdin=f"a={PIN}\na-2={PIN}\n", check=3)
    assert "card backup" in refused["error"]["message"]
    assert not (tmp_path / "w").exists()


def test_a_tapsigners_copy_is_its_backup(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tapsigner", "x", "--no-setup")
    file = tmp_path / "a.aes"
    words = ("card", "setup", "a", "--emulated", "x", "--generate", "--copies", "1", "--pin-stdin")
    refused = asked(*words, stdin=PIN, check=2)["error"]["message"]
    assert "--backup-out" in refused
    done = asked(*words, "--backup-out", str(file), stdin=PIN)
    assert done["backup"] == {"file": str(file), "carrier": "backup-file:a"}
    assert (done["copies"], done["created_on"]) == ([], "card")
    (carrier,) = asked("carrier", "list")["carriers"]
    assert (carrier["carrier"], carrier["key"]) == ("backup-file:a", "a")
    xprv, _ = open_backup(file.read_bytes(), digits(tmp_path))
    assert xprv.startswith(("xprv", "tprv"))


def test_a_backup_opens_as_recovery_says(asked: Asked, tmp_path: Path) -> None:
    """The line of RECOVERY.md, with the digits and the file put in, run as it stands there."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not here")
    (line,) = re.findall(r"`(openssl [^`]*)`", (ROOT / "RECOVERY.md").read_text())
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tapsigner", "x")
    asked("card", "enrol", "x", "--emulated", "x", "--pin-stdin", stdin=PIN)
    file = tmp_path / "x.aes"
    asked("card", "backup", "x", "--out", str(file), "--pin-stdin", stdin=PIN)
    known = {"DIGITS": digits(tmp_path).hex(), "FILE": str(file)}
    words = [known.get(word, word) for word in line.split()]
    assert {*known.values()} <= {*words}
    run = subprocess.run([openssl, *words[1:]], check=True, capture_output=True, text=True)
    xprv, path = run.stdout.split()
    assert HDKey.from_string(xprv).is_private
    assert HDKey.from_string(xprv).depth == 0
    account = asked("card", "show", "x")["keys"][0]
    assert path.startswith("m/")
    derived = HDKey.from_string(xprv).derive(f"m/{account['path']}").to_public()
    assert derived.key.sec() == HDKey.from_string(account["xpub"]).key.sec()


def digits(tmp_path: Path) -> bytes:
    """Return the backup key printed on the card x."""
    (file,) = tmp_path.rglob("x.card")
    reader = open_card(file)
    key: bytes = reader._card.flash.backup_key
    reader.close()
    return key


@pytest.mark.parametrize("out", ["taken", "nowhere/file"])
def test_a_backup_that_cannot_be_written_leaves_the_card_fresh(
    asked: Asked, tmp_path: Path, out: str
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", "tapsigner", "x", "--no-setup")
    (tmp_path / "taken").write_text("other things")
    words = ("card", "setup", "a", "--emulated", "x", "--generate", "--pin-stdin")
    asked(*words, "--backup-out", str(tmp_path / out), stdin=PIN, check=2)
    assert not asked("emulate", "list")["cards"][0]["initialised"]
    assert (tmp_path / "taken").read_text() == "other things"


@pytest.mark.parametrize("family", ["satochip", "keycard", "tangem"])
def test_a_card_without_a_backup_is_not_set_up_for_one(
    asked: Asked, tmp_path: Path, family: str
) -> None:
    asked("init", "--network", "regtest")
    asked("emulate", "new", family, "x", "--no-setup")
    words = ("card", "setup", "a", "--emulated", "x", "--generate", "--pin-stdin")
    out = ("--backup-out", str(tmp_path / "f"), "--words-out", str(tmp_path / "w"))
    refused = asked(*words, *out, stdin=PIN, check=3)["error"]
    assert "encrypted backup" in refused["message"]
    assert not (tmp_path / "f").exists()
    assert not asked("emulate", "list")["cards"][0]["has_pin"]


def test_a_backup_is_one_copy(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    words = ("card", "setup", "a", "--generate", "--copies", "2", "--emulated", "x")
    asked(*words, "--backup-out", str(tmp_path / "f"), check=2)
