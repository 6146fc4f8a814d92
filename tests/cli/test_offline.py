"""A home that asks no chain: coins and payments come and go by file."""

import base64
import io
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageSequence

from psbt import codec
from psbt.coins import Outpoint
from psbt.network import Network
from psbt.policy import parse_address
from psbt.transaction import Transaction, TransactionInput, TransactionOutput
from tests.cli.test_money import STRANGER, chain, pay, sign
from tests.interop.test_qr_pictures import photographed
from tests.once import copy_of
from tests.program import PIN, Asked, asking, made_vault
from tests.psbt.altered import paying


def new_offline(home: Path) -> None:
    """Make a home without a chain that has the cards and the vault of `made_vault`."""
    asked, online = asking(home), asking(home.with_name("online"))
    made_vault(online)
    asked("init", "--network", "regtest", "--chain", "none:")
    shutil.copytree(online.home / "emulated", home / "emulated", dirs_exist_ok=True)
    for label in "abc":
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    file = home.with_name("vault.json")
    file.write_text(online("vault", "export", "v")["text"])
    checksum = online("vault", "show", "v")["checksum"]
    asked("vault", "import", str(file), "--name", "v", "--checksum", checksum)


@pytest.fixture
def offline(tmp_path: Path) -> Asked:
    """Return a home without a chain that has the same cards and the same vault."""
    copy_of(new_offline, tmp_path / "offline")
    return asking(tmp_path / "offline")


def test_coins_come_by_file_and_the_payment_goes_by_file(
    vault: Asked, offline: Asked, tmp_path: Path
) -> None:
    file = tmp_path / "coins.txt"
    assert vault("coin", "export", "v", str(file))["transactions"] == 1
    assert offline("coin", "import", "v", str(file))["coins"] == 3
    assert offline("coin", "import", "v", str(file))["coins"] == 0
    assert offline("balance", "v")["confirmed_sats"] == 3_000_000
    made = pay(offline, "--to", f"{STRANGER}:400000")
    sign(offline, made["ceremony"], "a", "b")
    final = offline("spend", "finalize", made["ceremony"])
    assert chain(tmp_path).broadcast(bytes.fromhex(final["hex"])) == final["txid"]
    assert offline("spend", "broadcast", made["ceremony"], check=7)["error"]["hint"]


def test_a_payment_comes_as_a_psbt_with_its_coins(
    vault: Asked, offline: Asked, tmp_path: Path
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    sign(vault, made["ceremony"], "a")
    file = tmp_path / "payment.psbt"
    vault("spend", "export", made["ceremony"], "--out", str(file), "--format", "psbt")
    opened = offline("spend", "import", "v", str(file))
    assert opened["signatures"] == 1
    review: dict[str, Any] = opened["review"]
    assert review["outputs"] == made["review"]["outputs"]
    assert {each["code"] for each in review["warnings"]} == {"unconfirmed_input"}
    again = offline("spend", "import", "v", str(file))
    assert (again["ceremony"], again["known"], again["signatures"]) == (
        opened["ceremony"], True, 0,
    )  # fmt: skip
    done = sign(offline, opened["ceremony"], "c")
    assert done["signed_by"] == ["a", "c"]
    back = tmp_path / "back.psbt"
    offline("spend", "export", opened["ceremony"], "--out", str(back))
    assert vault("spend", "add", made["ceremony"], str(back))["complete"]


def test_a_foreign_or_spent_coin_is_refused(vault: Asked, offline: Asked, tmp_path: Path) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    file = tmp_path / "payment.txt"
    vault("spend", "export", made["ceremony"], "--out", str(file))
    vault("spend", "abandon", made["ceremony"])
    assert vault("spend", "import", "v", str(file))["ceremony"]
    offline("vault", "create", "w", "--threshold", "2", "--card", "a", "--card", "b")
    assert (
        "not spend a coin"
        in offline("spend", "import", "w", str(file), check=5)["error"]["message"]
    )


def test_a_home_with_a_chain_takes_no_coins_by_file(vault: Asked, tmp_path: Path) -> None:
    file = tmp_path / "coins.txt"
    vault("coin", "export", "v", str(file))
    refused = vault("coin", "import", "v", str(file), check=2)["error"]["message"]
    assert refused == "this home asks regtest: for its coins: cardquorum sync"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("zz\n", "line 1 is not HEX"),
        ("\n00,5\n", "line 2 is not HEX"),
        ("00\n", "line 1 holds no transaction"),
        ("\xff", "neither a PSBT nor lines"),
    ],
)
def test_a_file_of_something_else_is_refused(
    offline: Asked, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "coins.txt"
    file.write_bytes(text.encode("latin-1"))
    assert said in offline("coin", "import", "v", str(file), check=2)["error"]["message"]
    assert offline("coins", "v")["coins"] == []


FORMS = {
    "binary": bytes,
    "hex": lambda raw: raw.hex().encode() + b"\r\n",
    "base64 with a mark": lambda raw: b"\xef\xbb\xbf" + base64.b64encode(raw),
    "UTF-16": lambda raw: base64.b64encode(raw).decode().encode("utf-16"),
    "quoted": lambda raw: b'"' + base64.b64encode(raw) + b'"\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_coins_and_payments_come_in_every_form_of_a_psbt(
    vault: Asked, offline: Asked, tmp_path: Path, form: str
) -> None:
    raw = base64.b64decode(pay(vault, "--to", f"{STRANGER}:400000")["psbt"])
    file = tmp_path / "payment"
    file.write_bytes(FORMS[form](raw))
    assert offline("coin", "import", "v", str(file))["coins"] == 3
    assert offline("spend", "import", "v", str(file))["ceremony"]


def test_lines_of_transactions_come_in_any_encoding(
    vault: Asked, offline: Asked, tmp_path: Path
) -> None:
    file = tmp_path / "coins.txt"
    vault("coin", "export", "v", str(file))
    file.write_bytes(file.read_text().replace("\n", "\r\n").encode("utf-16"))
    assert offline("coin", "import", "v", str(file))["coins"] == 3


def test_a_bump_replaces_what_an_offline_home_gave_out(
    vault: Asked, offline: Asked, tmp_path: Path
) -> None:
    file = tmp_path / "coins.txt"
    vault("coin", "export", "v", str(file))
    offline("coin", "import", "v", str(file))
    made = pay(offline, "--to", f"{STRANGER}:400000")
    offline("spend", "export", made["ceremony"])
    old = codec.transaction_of(made["psbt"])
    change = max(old.outputs, key=lambda out: out.value_sats)
    outputs = [
        out._replace(value_sats=out.value_sats - 5_000) if out == change else out
        for out in old.outputs
    ]
    file.write_bytes(paying(made["psbt"], outputs))
    bumped = offline("spend", "import", "v", str(file))
    assert bumped["replaces"] == made["ceremony"]
    assert sign(offline, bumped["ceremony"], "a", "b")["complete"]


def test_an_amount_above_all_bitcoin_is_refused_by_its_line(offline: Asked, tmp_path: Path) -> None:
    script = parse_address(STRANGER, Network.REGTEST)
    coin = TransactionInput(Outpoint("ab" * 32, 0))
    rich = Transaction((coin,), (TransactionOutput((1 << 64) - 1, script),))
    (tmp_path / "coins.txt").write_text(rich.raw.hex())
    error = offline("coin", "import", "v", str(tmp_path / "coins.txt"), check=2)["error"]
    assert "line 1 holds no transaction" in error["message"]
    assert "21 million" in error["message"]


@pytest.mark.parametrize(("there", "back"), [("bbqr", "ur"), ("ur", "bbqr")])
def test_a_payment_goes_and_comes_back_by_pictures_alone(
    vault: Asked, offline: Asked, tmp_path: Path, there: str, back: str
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    sign(vault, made["ceremony"], "a")
    shown = tmp_path / "shown.gif"
    vault("spend", "export", made["ceremony"], "--format", there, "--out", str(shown))
    photos = []
    with Image.open(shown) as screen:
        for number, frame in enumerate(ImageSequence.Iterator(screen)):
            still = io.BytesIO()
            frame.convert("L").save(still, "PNG")
            photo = tmp_path / f"photo-{number}.png"
            photo.write_bytes(photographed(still.getvalue()))
            photos.append(str(photo))
    assert len(photos) > 1
    missing = offline("spend", "import", "v", *photos[1:], check=None)
    assert "missing" in missing["error"]["message"] or there == "ur"
    opened = offline("spend", "import", "v", *reversed(photos))
    assert opened["signatures"] == 1
    sign(offline, opened["ceremony"], "c")
    answer = tmp_path / "answer.gif"
    offline("spend", "export", opened["ceremony"], "--format", back, "--out", str(answer))
    assert vault("spend", "add", made["ceremony"], str(answer))["complete"]
    vault("spend", "finalize", made["ceremony"])
    assert vault("spend", "broadcast", made["ceremony"])["txid"]


def test_a_still_picture_holds_one_code(vault: Asked, tmp_path: Path) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    out = ("--out", str(tmp_path / "codes.png"))
    refused = vault("spend", "export", made["ceremony"], "--format", "bbqr", *out, check=2)
    assert "name a .gif" in refused["error"]["message"]
    assert not (tmp_path / "codes.png").exists()


def test_who_asks_a_chain_that_is_none_is_told_how_coins_come(tmp_path: Path) -> None:
    asked = asking(tmp_path / "home")
    asked("init", "--network", "signet", "--chain", "none:")
    error = asked("sync", check=7)["error"]
    assert error["code"] == "chain_unreachable"
    assert "cardquorum coin import VAULT FILE" in error["hint"]
    assert "try again" not in error["hint"]
