"""The command line's contract: one document always, exit statuses, and what is refused as usage."""

import io
import json
import sys
from pathlib import Path

import pytest

from coordinator import files
from coordinator.errors import UsageError
from tests.program import PIN, Asked, Program, asking

STRANGER = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
PAY = ("spend", "create", "v", "--to", f"{STRANGER}:10000", "--feerate", "1")


def test_version_is_one_document(program: Program) -> None:
    assert program("--json", "--version").document["version"].startswith("0.")
    assert program("--version", "--json").document["version"].startswith("0.")


@pytest.mark.parametrize("words", [(), ("spend",), ("vault",), ("regtest",)])
def test_a_missing_command_is_one_document(program: Program, words: tuple[str, ...]) -> None:
    error = program("--json", *words, check=2).document["error"]
    assert (error["code"], error["message"]) == ("usage", "missing command")
    assert program(*words, check=2).out.lstrip().startswith("Usage:") or not words


def test_a_bug_tells_its_story_when_asked(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("coordinator.home.settings.open_home", broken)
    for words in (("-v",), ("-vv",), ("-v", "-v")):
        assert "Traceback" in program("--json", "status", *words, check=1).err
    assert "Traceback" not in program("--json", "status", check=1).err


def test_a_full_disk_is_no_bug(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("coordinator.home.settings.open_home", full)
    error = program("--json", "status", check=5).document["error"]
    assert "No space left" in error["message"]
    assert "disk" in error["hint"]


@pytest.mark.parametrize("birthday", ["²", "9" * 30, "yesterday", "-1", "1234567890"])
def test_an_odd_birthday_is_usage(vault: Asked, birthday: str) -> None:
    words = ("vault", "create", "w", "--threshold", "1", "--card", "a", "--birthday", birthday)
    assert vault(*words, check=2)["error"]["code"] == "usage_error"
    assert [each["name"] for each in vault("vault", "list")["vaults"]] == ["v"]


def test_a_birthday_is_a_date_or_a_height(vault: Asked) -> None:
    vault("regtest", "mine", "7")
    words = ("vault", "create", "w", "--threshold", "1", "--card", "a", "--birthday", "7")
    assert vault(*words)["birthday_height"] == 7
    words = ("vault", "create", "x", "--threshold", "1", "--card", "b", "--birthday", "2024-05-06")
    assert vault(*words)["birthday"] == "2024-05-06T00:00:00Z"


@pytest.mark.parametrize(
    "words",
    [
        ("--feerate", "1"),
        ("--to", f"{STRANGER}:1000", "--feerate", ""),
        ("--to", f"{STRANGER}:1000", "--feerate", "0"),
        ("--to", f"{STRANGER}:1000", "--feerate", "1", "--target", "2"),
        ("--to", STRANGER, "--feerate", "1"),
        ("--to", f"{STRANGER}:0", "--feerate", "1"),
        ("--to", f"{STRANGER}:0.1", "--feerate", "1"),
        ("--to", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4:1000", "--feerate", "1"),
        ("--drain", "", "--feerate", "1"),
        ("--drain", STRANGER, "--feerate", "1", "--coin", "nonsense"),
        ("--drain", STRANGER, "--feerate", "1", "--coin", f"{'ab' * 32}:0"),
        ("--drain", STRANGER, "--feerate", "1", "--expires", "0"),
    ],
)
def test_a_payment_that_cannot_be_meant_is_usage(vault: Asked, words: tuple[str, ...]) -> None:
    assert vault("spend", "create", "v", *words, check=2)["error"]["code"] in {
        "usage",
        "usage_error",
    }
    assert vault("spend", "list")["ceremonies"] == []


def test_the_fee_rate_comes_from_the_chain_where_none_is_given(vault: Asked) -> None:
    made = vault("spend", "create", "v", "--to", f"{STRANGER}:1000", "--target", "3")
    assert 1000 <= made["review"]["feerate"] < 1020


def test_a_review_names_coins_as_the_lists_do(vault: Asked) -> None:
    made = vault(*PAY)
    held = [c["outpoint"] for c in vault("coins", "v")["coins"] if c["reserved_by"]]
    assert [spent["outpoint"] for spent in made["review"]["inputs"]] == held


def test_an_export_tells_where_the_ceremony_stands(vault: Asked) -> None:
    ceremony = vault(*PAY)["ceremony"]
    told = vault("spend", "export", ceremony)
    assert (told["have"], told["need"], told["complete"], told["cards"]) == (0, 2, False, [])
    assert told["psbt"] == vault("spend", "show", ceremony)["psbt"]


@pytest.mark.parametrize("out", [".", "/", "..", "/nonexistent/x"])
def test_a_file_that_cannot_be_written_is_usage(vault: Asked, out: str) -> None:
    ceremony = vault(*PAY)["ceremony"]
    error = vault("spend", "export", ceremony, "--out", out, check=2)["error"]
    assert error["message"].startswith("cannot write")


def test_writing_a_file_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    (tmp_path / "a.new").write_text("mine")
    files.write_private(tmp_path / "a", b"data")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "a.new"}
    assert (tmp_path / "a.new").read_text() == "mine"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="cannot write"):
        files.write_private(tmp_path / "folder", b"data")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "a.new", "folder"}


def test_endless_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SIZE_MAX", 10)
    (tmp_path / "ten").write_bytes(b"0123456789")
    assert files.read_bytes(tmp_path / "ten") == b"0123456789"
    with pytest.raises(UsageError, match="/dev/zero is larger"):
        files.read_bytes(Path("/dev/zero"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"0" * 11)))
    with pytest.raises(UsageError, match="standard input is larger"):
        files.read_named("-")


@pytest.mark.parametrize("text", ['{"a":' * 100_000, "{}", '{"descriptor": 1}', "[1]", "", "x\0"])
def test_what_is_no_descriptor_is_refused(vault: Asked, tmp_path: Path, text: str) -> None:
    (tmp_path / "file").write_text(text)
    words = ("vault", "import", str(tmp_path / "file"), "--name", "w")
    assert vault(*words, check=5)["error"]["code"] in {"policy_error", "not_importable"}


def test_binary_standard_input_is_usage(vault: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    real = io.TextIOWrapper
    monkeypatch.setattr(io, "TextIOWrapper", lambda _: real(io.BytesIO(b"\xff\xfe")))
    error = vault("vault", "import", "-", "--name", "w", check=2)["error"]
    assert error["message"] == "- is not a text file"


def test_the_same_keys_in_another_order_are_the_same_vault(vault: Asked) -> None:
    words = ("vault", "create", "w", "--card", "b", "--card", "a", "--card", "c", "--threshold")
    error = vault(*words, "2", check=2)["error"]
    assert (error["code"], error["kind"], error["name"]) == ("already_exists", "vault", "v")
    vault(*words, "3")
    assert vault("balance")["confirmed_sats"] == 3_000_000


def test_a_key_held_elsewhere_may_serve_two_vaults(vault: Asked, tmp_path: Path) -> None:
    other = asking(tmp_path / "other")
    other("init", "--network", "regtest")
    other("emulate", "new", "satochip", "x")
    words = ("card", "enrol", "x", "--emulated", "x", "--pin-stdin")
    expression = other(*words, stdin=PIN)["key"]["expression"]
    create = ("vault", "create", "--threshold", "1", "--key", f"aunt={expression}")
    for name, card in (("one", "a"), ("two", "b")):
        aunt, _ = vault(*create, name, "--card", card)["cosigners"]  # in the order typed
        assert (aunt["label"], aunt["key"]) == ("aunt", expression)
    renamed = (*create[:-1], f"uncle={expression}")
    assert vault(*renamed, "three", check=2)["error"]["name"] == "aunt"


def test_an_import_keeps_the_origin_the_card_gave(vault: Asked, tmp_path: Path) -> None:
    shown = vault("vault", "show", "v")
    a, b = (each["key"] for each in shown["cosigners"][:2])
    altered = "[00000000/48h/1h/0h/2h]" + a.rpartition("]")[2]
    descriptor = f"wsh(sortedmulti(1,{altered}/<0;1>/*,{b}/<0;1>/*))"
    (tmp_path / "file").write_text(descriptor)
    made = vault("vault", "import", str(tmp_path / "file"), "--name", "w")
    assert [each["key"] for each in made["cosigners"]] == [a, b]
    assert made["cosigners"][0]["carriers"] == ["card:a"]


@pytest.mark.parametrize("format_", ["descriptor", "json"])
def test_an_export_is_imported_elsewhere_as_the_same_vault(
    vault: Asked, tmp_path: Path, format_: str
) -> None:
    shown = vault("vault", "show", "v")
    text = vault("vault", "export", "v", "--format", format_)["text"]
    elsewhere = asking(tmp_path / "elsewhere")
    elsewhere("init", "--network", "regtest")
    made = elsewhere("vault", "import", "-", "--name", "copy", stdin=text)
    for field in ("descriptor", "checksum", "threshold", "total", "policy", "first_address"):
        assert made[field] == shown[field]
    assert json.loads(json.dumps(made))["cosigners"][0]["carriers"] == []


def test_the_demo_refuses_before_it_makes_anything(program: Program, tmp_path: Path) -> None:
    words = ("--json", "demo", "--keep", str(tmp_path / "kept"))
    for more in (("--cards", "satochip,nope,satochip"), ("--cards", "satochip"), ("--inputs", "0")):
        assert program(*words, *more, check=2).document["error"]["code"] == "usage_error"
    assert not (tmp_path / "kept").exists()
