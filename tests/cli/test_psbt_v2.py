"""PSBTs of version 2, and without previous transactions: out, signed elsewhere, and back."""

import base64
from pathlib import Path

import pytest

from psbt import codec, fields
from tests.cli.test_money import STRANGER, pay, sign
from tests.cli.test_offline import offline
from tests.cli.test_signer_elsewhere import Elsewhere, elsewhere, ended
from tests.judges import judge
from tests.program import Asked
from tests.psbt.soft_vault import seed

__all__ = ["elsewhere", "offline"]

V2 = ("--psbt-version", "2")


def exported(asked: Asked, ceremony: str, *words: str) -> bytes:
    return base64.b64decode(asked("spend", "export", ceremony, *words)["psbt"])


@pytest.mark.parametrize(
    "words",
    [
        (*V2, "--slim"),
        *(pytest.param(each, marks=pytest.mark.matrix) for each in [V2, ("--slim",)]),
    ],
    ids=["both", "version 2", "slim"],
)
def test_another_wallet_signs_what_is_exported(
    elsewhere: Elsewhere, words: tuple[str, ...]
) -> None:
    wally = judge("wallycore")
    data = exported(elsewhere.asked, elsewhere.ceremony, *words)
    psbt = wally.psbt_from_bytes(data, 0)
    assert wally.psbt_get_version(psbt) == (2 if "2" in words else 0)
    if "--slim" in words:
        assert all(fields.IN_NON_WITNESS_UTXO not in m for m in fields.read(data)[0].inputs)
    key = wally.bip32_key_from_seed(seed(7), wally.BIP32_VER_TEST_PRIVATE, 0)
    wally.psbt_sign_bip32(psbt, key, 0)
    back = elsewhere.add(bytes(wally.psbt_to_bytes(psbt, 0)))
    assert (back["signatures"], back["signed_by"]) == (2, ["aunt"])
    ended(elsewhere)


def test_a_file_holds_the_version_that_was_asked_for(vault: Asked, tmp_path: Path) -> None:
    ceremony = pay(vault, "--to", f"{STRANGER}:400000")["ceremony"]
    file = tmp_path / "two.psbt"
    words = ("--psbt-version", "2", "--format", "psbt", "--out", str(file))
    told = vault("spend", "export", ceremony, *words)
    assert (told["psbt_version"], told["slim"], told["format"]) == (2, False, "psbt")
    assert file.read_bytes() == base64.b64decode(told["psbt"])
    assert fields.read(file.read_bytes())[0].version == 2


def test_a_version_that_is_none_is_a_usage_error(vault: Asked) -> None:
    ceremony = pay(vault, "--to", f"{STRANGER}:400000")["ceremony"]
    error = vault("spend", "export", ceremony, "--psbt-version", "1", check=2)["error"]
    assert "expected 0 or 2" in error["message"]
    assert vault("spend", "abandon", ceremony)["warning"] is None  # nothing went out


def test_version_2_goes_to_another_home_and_back_in_several_rounds(
    vault: Asked, offline: Asked, tmp_path: Path
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    there, back = tmp_path / "there.psbt", tmp_path / "back.psbt"
    two = ("--psbt-version", "2")
    there.write_bytes(exported(vault, made["ceremony"], *two))
    opened = offline("spend", "import", "v", str(there))
    assert (opened["signatures"], opened["known"]) == (0, False)
    assert opened["review"]["outputs"] == made["review"]["outputs"]
    sign(vault, made["ceremony"], "a")
    there.write_bytes(exported(vault, made["ceremony"], *two, "--slim"))
    again = offline("spend", "import", "v", str(there))
    assert (again["ceremony"], again["known"]) == (opened["ceremony"], True)
    assert again["signatures"] == len(made["review"]["inputs"])
    assert sign(offline, opened["ceremony"], "c")["signed_by"] == ["a", "c"]
    back.write_bytes(exported(offline, opened["ceremony"], *two))
    assert vault("spend", "add", made["ceremony"], str(back))["complete"]
    final = vault("spend", "finalize", made["ceremony"])
    assert final["consensus"] == "accepted"
    assert final["txid"] == codec.txid(codec.parse(back.read_bytes()))


def test_a_slim_payment_is_filled_in_where_its_coins_are_known(
    vault: Asked, tmp_path: Path
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    slim = exported(vault, made["ceremony"], "--slim", "--psbt-version", "2")
    vault("spend", "abandon", made["ceremony"])
    (tmp_path / "slim").write_bytes(slim)
    opened = vault("spend", "import", "v", str(tmp_path / "slim"))
    assert opened["review"]["warnings"] == made["review"]["warnings"]
    assert codec.read_maps(opened["psbt"]) == codec.read_maps(made["psbt"])


def test_sequences_changed_on_the_way_are_refused_by_their_input(
    vault: Asked, tmp_path: Path
) -> None:
    made = pay(vault, "--to", f"{STRANGER}:400000")
    maps = fields.read(exported(vault, made["ceremony"], "--psbt-version", "2"))[0]
    changed = tuple({**values, fields.IN_SEQUENCE: bytes(4)} for values in maps.inputs)
    (tmp_path / "changed").write_bytes(fields.write(maps._replace(inputs=changed)))
    for words in (("add", made["ceremony"]), ("import", "v")):
        error = vault("spend", *words, str(tmp_path / "changed"), check=5)["error"]
        assert (error["code"], error["field"]) == ("not_only_signatures", "inputs[0].sequence")
