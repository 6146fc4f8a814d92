"""The kit is printed, put away, and a vault is rebuilt from any part of it in an empty home."""

import io
import json
import re
import shlex
import shutil
import zipfile
from pathlib import Path

import pymupdf
import pypdf
import pytest
import zxingcpp
from PIL import Image

from coordinator.errors import UsageError
from coordinator.files import write_private
from coordinator.recovery import typed_lines
from psbt.keys import format_key_expression
from psbt.network import Network
from psbt.policy import parse_descriptor
from tests.cli.terminal import at_terminal
from tests.cli.test_money import STRANGER as OUTSIDE
from tests.program import PIN, UNPROVED, Asked, asking
from tests.sampled import further, shortened


@pytest.fixture
def kit(vault: Asked, tmp_path: Path) -> Path:
    vault("kit", "v", "--out", str(tmp_path / "kit"), "--location", "at-a")
    return tmp_path / "kit"


@pytest.fixture
def empty(tmp_path: Path) -> Asked:
    """An empty home on another machine, where the same emulated cards are at hand."""
    found = asking(tmp_path / "elsewhere")
    found("init", "--network", "regtest")
    return found


def printed(kit: Path) -> str:
    pages = pypdf.PdfReader(kit / "v-kit.pdf").pages
    return "\n".join(page.extract_text() for page in pages).replace("\u00a0", " ")


def typed(kit: Path) -> list[str]:
    found = [line for line in printed(kit).splitlines() if typed_lines.NUMBERED.fullmatch(line)]
    assert found
    return found


def scanned(kit: Path) -> list[str]:
    found = []
    for page in pymupdf.open(kit / "v-kit.pdf"):
        picture = Image.open(io.BytesIO(page.get_pixmap(dpi=200).tobytes("png")))
        found += [
            code.text
            for code in zxingcpp.read_barcodes(
                picture, formats=zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])
            )
        ]
    return found


def test_three_files_and_a_copy(vault: Asked, tmp_path: Path) -> None:
    out = tmp_path / "new" / "kit"
    made = vault("kit", "v", "--out", str(out), "--location", "at-a", "--paper", "letter")
    names = ["v-kit.pdf", "v-descriptor.txt", "v-encrypted.txt"]
    assert [Path(each["file"]).name for each in made["files"]] == names
    assert all((out / name).stat().st_mode & 0o077 == 0 for name in names)
    descriptor = vault("vault", "show", "v")["descriptor"]
    assert (out / "v-descriptor.txt").read_text() == descriptor + "\n"
    assert descriptor.encode() not in (out / "v-encrypted.txt").read_bytes()
    noted = {copy["copy"]: copy for copy in vault("copy", "list", "v")["copies"]}[made["copy"]]
    assert (noted["location"], noted["stale"], noted["gone"]) == ("at-a", False, None)
    assert (noted["version"], noted["digest"]) == (made["version"], made["digest"])
    assert vault("custody", "verify", "--head", made["head"])["valid"] is True
    said = printed(out)
    grouped = re.sub(r"\s+", " ", said[said.index("head ") + 5 :])[:71].upper()
    assert grouped.replace(" ", "").lower() == made["head"]
    assert vault("custody", "verify", "--head", grouped)["valid"] is True


def test_the_paper_tells_keys_and_never_places(vault: Asked, kit: Path) -> None:
    said = " ".join(printed(kit).split())
    for cosigner in vault("vault", "show", "v")["cosigners"]:
        assert cosigner["fingerprint"] in said
        assert f"card {cosigner['label']} (satochip 0.16-0.0)" in said
    assert "at-b" not in said
    assert "at-c" not in said
    vault("kit", "v", "--out", str(kit / "open"), "--with-places")
    assert "at-c" in printed(kit / "open")


def test_which_pairing_password_and_which_backup(asked: Asked, tmp_path: Path) -> None:
    asked("init", "--network", "regtest")
    for family, label, version in (("keycard", "k", "3.2"), ("tapsigner", "t", "1.0.3")):
        asked("emulate", "new", family, label, "--profile", version)
        asked("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    asked("carrier", "add", "card:t", "backup-file", "t-backup")
    asked("vault", "create", "v", "--threshold", "1", "--card", "k", "--card", "t")
    asked("kit", "v", "--out", str(tmp_path))
    said = " ".join(printed(tmp_path).split())
    assert "k pairs with the standard password KeycardDefaultPairing" in said
    assert "its encrypted backup file needs the key that is printed on the card" in said


def test_nothing_is_replaced_and_nothing_half_written(vault: Asked, kit: Path) -> None:
    before = {path.name: path.read_bytes() for path in kit.iterdir()}
    (kit / "v-kit.pdf").unlink()
    copies = len(vault("copy", "list", "v")["copies"])
    vault("kit", "v", "--out", str(kit), check=2)
    assert {path.name for path in kit.iterdir()} == before.keys() - {"v-kit.pdf"}
    assert len(vault("copy", "list", "v")["copies"]) == copies
    vault("kit", "v", "--out", str(kit / "x"), "--paper", "a5", check=2)
    vault("kit", "v", "--out", str(kit / "x"), "--location", "nowhere", check=2)
    vault("kit", "w", "--out", str(kit / "x"), check=2)
    assert not (kit / "x").exists()
    blocked = kit / "v-descriptor.txt" / "below"
    assert vault("kit", "v", "--out", str(blocked), check=2)["error"]["code"] == "usage_error"


def test_a_disk_that_fills_up_leaves_nothing(
    vault: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes, *, replace: bool) -> None:
        if path.name == "v-encrypted.txt":
            raise UsageError(f"cannot write {path}: no space left")
        write_private(path, data, replace=replace)

    before = vault("copy", "list", "v")
    monkeypatch.setattr("coordinator.recovery.kit.write_private", full)
    vault("kit", "v", "--out", str(tmp_path / "kit"), check=2)
    assert list((tmp_path / "kit").iterdir()) == []
    assert vault("copy", "list", "v") == before


@pytest.mark.parametrize(
    ("birthday", "begun", "timestamp"),
    [("2024-05-06", "2024-05-06", "1714953600"), ("812345", "at block 812345", "0")],
)
def test_the_birthday_saves_a_rescan(
    kit: Path, empty: Asked, birthday: str, begun: str, timestamp: str
) -> None:
    text = str(kit / "v-descriptor.txt")
    checksum = Path(text).read_text().strip()[-8:]
    empty("recover", text, "--name", "back", "--birthday", birthday, "--checksum", checksum)
    empty("kit", "back", "--out", str(kit))
    (kit / "back-kit.pdf").replace(kit / "v-kit.pdf")
    said = " ".join(printed(kit).split())
    assert f"begun {begun}" in said
    assert f'"timestamp": {timestamp},' in said


@pytest.mark.parametrize(
    "way", shortened(("codes", "encrypted", "lines", "text", "json"), "codes", "encrypted")
)
def test_a_vault_is_rebuilt_in_an_empty_home(
    vault: Asked, kit: Path, empty: Asked, way: str
) -> None:
    whole = vault("vault", "show", "v")
    more: tuple[str, ...] = ()
    if way == "encrypted":
        more = ("--key", whole["cosigners"][1]["key"])
    given = {
        "text": (kit / "v-descriptor.txt").read_text,
        "json": lambda: json.dumps(whole),
        "codes": lambda: "\n".join(reversed(scanned(kit))),
        "lines": lambda: "\n".join(reversed(typed(kit))).replace(" 0", "  0"),
        "encrypted": lambda: (kit / "v-encrypted.txt").read_text().replace("A", "A\n"),
    }[way]()
    found = empty("recover", "-", "--name", "back", *more, stdin=given)
    assert (found["descriptor"], found["digest"]) == (
        whole["descriptor"],
        vault("copy", "list", "v")["copies"][0]["digest"],
    )
    assert found["addresses"][0] == whole["first_address"]
    assert len(found["addresses"]) == 3
    assert all(address in printed(kit) for address in found["addresses"])


def test_a_drill_from_the_paper_alone(
    vault: Asked, kit: Path, empty: Asked, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere" / "emulated").mkdir()
    for card in (tmp_path / "home" / "emulated").glob("*.card"):
        (tmp_path / "elsewhere" / "emulated" / card.name).write_bytes(card.read_bytes())
    empty("recover", str(kit / "v-descriptor.txt"), "--name", "back")
    for label in "ab":
        empty("card", "enrol", label, "--emulated", label, "--pin-stdin", stdin=PIN)
    cards = ("--emulated", "a", "--emulated", "b", "--pin-stdin")
    stdin = f"a={PIN}\nb={PIN}\n"
    assert len(empty("vault", "verify", "back", *cards, stdin=stdin)["verified"]) == 2
    refused = empty("drill", "start", "back", check=5)["error"]
    assert refused["codes"] == ["policy_not_approved"]
    checksum = vault("vault", "show", "v")["checksum"]
    assert empty("vault", "approve", "back", "--checksum", checksum)["approved"]
    drill = empty("drill", "start", "back")["drill"]
    done = empty("drill", "sign", drill, *cards, stdin=stdin)
    assert (done["have"], done["bip322"] is not None) == (2, True)
    empty("regtest", "show")
    assert (
        vault("address", "check", empty("address", "new", "back", *UNPROVED)["address"])["vault"]
        == "v"
    )


def test_an_enrolled_card_opens_the_encrypted_copy(kit: Path, empty: Asked, tmp_path: Path) -> None:
    file = str(kit / "v-encrypted.txt")
    told = empty("recover", file, "--name", "back", check=2)["error"]["message"]
    assert "--key" in told
    (tmp_path / "elsewhere" / "emulated").mkdir()
    card = tmp_path / "home" / "emulated" / "c.card"
    (tmp_path / "elsewhere" / "emulated" / card.name).write_bytes(card.read_bytes())
    empty("card", "enrol", "c", "--emulated", "c", "--pin-stdin", stdin=PIN)
    found = empty("recover", file, "--name", "back")
    assert found["cosigners"][2]["carriers"] == ["card:c"]
    stranger = asking(tmp_path / "third")
    stranger("init", "--network", "regtest")
    xpub = (
        "tpubDFH9dgzveyD8zTbPUFuLrGmCydNvxehyNdUXKJAQN8x4aZ4j6UZqGfnqFrD4NqyaTVGKbvEW54tsvPTK2UoSb"
        "CC1PJY8iCNiwTL3RWZEheQ"
    )
    stranger("recover", file, "--name", "back", "--key", xpub, check=2)
    stranger("recover", file, "--name", "back", "--key", "nonsense", check=2)
    key = found["cosigners"][0]["key"]
    assert stranger("recover", file, "--name", "back", "--key", xpub, "--key", key)["addresses"]


def test_a_mistyped_line_is_named(kit: Path, empty: Asked) -> None:
    given = typed(kit)
    wrong = given[2][:5] + ("x" if given[2][5] != "x" else "y") + given[2][6:]
    told = empty(
        "recover", "-", "--name", "b", stdin="\n".join([*given[:2], wrong, *given[3:]]), check=2
    )
    assert told["error"]["message"] == "line 3 was mistyped: its check code does not fit"
    short = empty("recover", "-", "--name", "b", stdin="\n".join(given[:1] + given[2:]), check=2)
    assert "line 2 of" in short["error"]["message"]
    assert empty("vault", "list")["vaults"] == []


def test_a_wrong_line_can_be_typed_again(kit: Path, empty: Asked, tmp_path: Path) -> None:
    given = typed(kit)
    wrong = given[1][:5] + ("x" if given[1][5] != "x" else "y") + given[1][6:]
    first = "\n".join([given[0], wrong, wrong[:-1], *given[2:4], given[2]]) + "\n"
    rest = "\n".join([given[1], *given[4:]])
    answers = [("type the numbered lines", first), (f"of {len(given)} is missing", rest)]
    seen = at_terminal(tmp_path / "elsewhere", ["recover", "-", "--name", "back"], answers)
    assert seen.status == 0, seen.screen
    assert seen.screen.count("line 2 was mistyped: type it again") == 2
    assert "came twice" not in seen.screen
    assert empty("vault", "list")["vaults"][0]["name"] == "back"


def test_a_stray_line_is_named_and_the_others_are_kept(
    kit: Path, empty: Asked, tmp_path: Path
) -> None:
    given = typed(kit)
    again = given[1].replace(" ", "  ")
    first = "\n".join(["Recovery kit", *given[:2], "what a long line", "\x1b[2J", again]) + "\n"
    answers = [("type the numbered lines", first), ("is missing", "\n".join(given[2:]))]
    seen = at_terminal(tmp_path / "elsewhere", ["recover", "-", "--name", "back"], answers)
    assert seen.status == 0, seen.screen
    for stray in ("'Recovery kit'", "'what a long line'", "[2J'"):
        assert f"{stray} has no number: left out" in seen.screen
    assert empty("vault", "list")["vaults"][0]["name"] == "back"


@pytest.mark.parametrize("encoding", further("utf-16", "utf-16-le", "utf-8-sig"))
@pytest.mark.parametrize("name", ["v-descriptor.txt", "v-encrypted.txt", "lines"])
def test_a_kit_is_read_in_any_encoding(
    kit: Path, empty: Asked, tmp_path: Path, name: str, encoding: str
) -> None:
    text = "\r\n".join(typed(kit)) if name == "lines" else (kit / name).read_text()
    (tmp_path / "file").write_bytes(text.encode(encoding))
    key = parse_descriptor((kit / "v-descriptor.txt").read_text(), Network.REGTEST).keys[0]
    more = ("--key", format_key_expression(key, Network.REGTEST))
    empty("recover", str(tmp_path / "file"), "--name", "back", *more)


@pytest.mark.parametrize("way", ["text", "give up", "nothing"])
def test_what_else_is_typed(kit: Path, empty: Asked, tmp_path: Path, way: str) -> None:
    given = (kit / "v-descriptor.txt").read_text() if way == "text" else ""
    begun = typed(kit)[0] + "\n" if way == "give up" else given
    answers = [("type the numbered lines", begun), ("is missing", "")]
    seen = at_terminal(tmp_path / "elsewhere", ["recover", "-", "--name", "back"], answers)
    assert seen.status == (0 if way == "text" else 2), seen.screen
    assert len(empty("vault", "list")["vaults"]) == (way == "text")


NO_KIT = [b"", b"%PDF-1.4", b"\xff\xfe", b"BIP138garbage", b"B$2U0100zz"]
NO_DESCRIPTOR = [b"wsh(", b"{}", b"hello"]


@pytest.mark.parametrize("place", ["at-a", "at-c"])
def test_its_pdf_brings_the_vault_back(
    vault: Asked, kit: Path, empty: Asked, tmp_path: Path, place: str
) -> None:
    """Plain or locked, as it was written, and as a scanner keeps the pages that lay on it."""
    assert kit.exists()
    vault("kit", "v", "--out", str(tmp_path / place), "--location", place)
    key = vault("vault", "show", "v")["cosigners"][0]["key"]
    made, scan = tmp_path / place / "v-kit.pdf", tmp_path / "scan.pdf"
    pages = [
        Image.open(io.BytesIO(page.get_pixmap(dpi=150).tobytes("png"))).convert("L")
        for page in pymupdf.open(made)
    ]
    pages[0].save(scan, "PDF", save_all=True, append_images=pages[1:], resolution=150)
    for name, file in (("whole", made), ("scanned", scan)):
        empty("recover", str(file), "--name", name, "--key", key)
    checksums = {each["checksum"] for each in empty("vault", "list")["vaults"]}
    assert checksums == {vault("vault", "show", "v")["checksum"]}


@pytest.mark.parametrize("data", [*NO_KIT, *NO_DESCRIPTOR])
def test_what_is_no_kit(empty: Asked, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    status = 5 if data in NO_DESCRIPTOR else 2
    empty("recover", str(tmp_path / "file"), "--name", "b", check=status)
    assert empty("vault", "list")["vaults"] == []


def test_copies_are_noted_once(vault: Asked) -> None:
    added = vault("copy", "add", "v", "plate", "--location", "at-b")
    assert (added["copy"], added["location"]) == ("copy:plate", "at-b")
    vault("copy", "add", "v", "plate", check=2)
    vault("copy", "add", "w", "other", check=2)
    vault("copy", "add", "v", "other", "--location", "nowhere", check=2)
    assert "copy:other" not in [copy["copy"] for copy in vault("copy", "list", "v")["copies"]]


@pytest.mark.parametrize(
    ("location", "asked", "audience"),
    [
        ("at-a", (), "locked"),
        ("at-b", (), "open"),
        ("at-c", (), "open"),
        (None, (), "locked"),
        ("at-c", ("--for", "locked"), "locked"),
        ("at-b", ("--for", "executor"), "executor"),
    ],
)
def test_kind_of_the_place_says_what_a_kit_there_holds(
    vault: Asked, tmp_path: Path, location: str | None, asked: tuple[str, ...], audience: str
) -> None:
    lies = ("--location", location) if location else ()
    made = vault("kit", "v", "--out", str(tmp_path / "kit"), *lies, *asked)
    assert made["for"] == audience
    assert made["reading_grade"] <= 6
    assert made["words"] <= 260
    plain = (tmp_path / "kit" / "v-descriptor.txt").exists()
    said = printed(tmp_path / "kit")
    assert plain == (audience == "locked")
    assert (made["addresses"][0] in said) == (audience == "locked")
    assert ("its PIN note" in said) == (audience == "executor")
    doubts = " ".join(made["notices"])
    assert ("tells where every card lies, and card b lies at at-b" in doubts) == (
        audience == "executor"
    )
    assert ("at-c is no locked place" in doubts) == (location == "at-c" and audience == "locked")


def test_helpers_and_own_words_stand_in_the_letter(vault: Asked, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("Dear Ann,\n---\nWith love, Tom\n")
    given = ("--contact", "Marie, 0123", "--contact", "jean@x.org", "--message", str(words))
    made = vault("kit", "v", "--out", str(tmp_path / "kit"), *given)
    first = pypdf.PdfReader(tmp_path / "kit" / "v-kit.pdf").pages[0].extract_text()
    assert first.index("Dear Ann") < first.index("Marie, 0123") < first.index("With love, Tom")
    assert made["notices"] == []
    nameless = vault("kit", "v", "--out", str(tmp_path / "n"), "--contact", "Jean")["notices"]
    assert "helper Jean is named without a number or an address" in " ".join(nameless)
    words.write_text("x" * 1001)
    refused = vault("kit", "v", "--out", str(tmp_path / "k"), *given, check=2)["error"]["message"]
    assert "1001 characters; 1000 is the most" in refused
    vault("kit", "v", "--out", str(tmp_path / "k"), "--contact", " ", check=2)
    vault("kit", "v", "--out", str(tmp_path / "k"), "--for", "thief", check=2)
    assert not (tmp_path / "k").exists()


def test_program_beside_the_kit_is_what_its_name_says(vault: Asked, tmp_path: Path) -> None:
    wheel = tmp_path / "cardquorum-9.8.7-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "cardquorum-9.8.7.dist-info/METADATA", "Name: cardquorum\nVersion: 9.8.7\n"
        )
    out = tmp_path / "kit"
    made = vault("kit", "v", "--out", str(out), "--program", str(wheel))
    sums = {Path(each["file"]).name: each["sha256"] for each in made["files"]}
    assert (out / wheel.name).read_bytes() == wheel.read_bytes()
    said = printed(out).replace("\n", "")
    assert sums[wheel.name] in said
    assert f"pipx install './{wheel.name}[pcsc,bdk]'" in said
    for name, data in (
        ("cardquorum-9.8.8-py3-none-any.whl", wheel.read_bytes()),
        ("other-9.8.7-py3-none-any.whl", wheel.read_bytes()),
        ("cardquorum-9.8.7-1-py3-none-any.whl", b"no archive"),
    ):
        (tmp_path / name).write_bytes(data)
        given = ("--program", str(tmp_path / name))
        refused = vault("kit", "v", "--out", str(tmp_path / "no"), *given, check=2)["error"]
        assert refused["code"] == "usage_error"
        assert name in refused["message"]


def test_steps_of_a_kit_work_as_they_are_printed(vault: Asked, tmp_path: Path) -> None:
    """An heir with two cards and the kit of an open place: look, prove, pay."""
    vault("kit", "v", "--out", str(tmp_path / "kit"), "--location", "at-c")
    elsewhere = asking(tmp_path / "elsewhere")
    steps = printed(tmp_path / "kit")
    steps = steps[steps.index("With cardquorum") : steps.index("With Sparrow")]
    commands = [
        shlex.split(line)[1:]
        for line in map(str.strip, steps.replace("\\\n", "").splitlines())
        if line.startswith("cardquorum ")
    ]
    asking_it, talking, *commands = commands
    assert asking_it == ["--version"]
    assert talking == ["guide"], "which talks at a terminal: tests/cli/test_guide_arrival.py"
    made, sent = "", []
    for command in commands:
        if "--drain" in command:
            elsewhere("regtest", "mine")
        words = [
            made
            if word == "ID"
            else word.replace("ADDRESS", OUTSIDE).replace(
                "v-encrypted.txt", str(tmp_path / "kit" / "v-encrypted.txt")
            )
            for word in command
        ]
        cards = command[:2] in (["card", "enrol"], ["vault", "verify"], ["spend", "sign"])
        more = ("--pin-stdin", *(("--yes",) if command[:2] == ["spend", "sign"] else ()))
        label = command[2:] if command[:2] == ["card", "enrol"] else ["a", "b"]
        offered = [word for each in label for word in ("--emulated", each)]
        pins = PIN if command[:2] == ["card", "enrol"] else f"a={PIN}\nb={PIN}\n"
        answer = elsewhere(
            *words, *((*offered, *more) if cards else ()), stdin=pins if cards else ""
        )
        if command[0] == "init":
            for part in ("emulated", "chain"):
                shutil.copytree(tmp_path / "home" / part, tmp_path / "elsewhere" / part)
        made = answer.get("ceremony", made)
        sent += [answer["txid"]] if command[:2] == ["spend", "broadcast"] else []
    assert len(sent) == 1
    paid = {output["kind"] for output in answer["review"]["outputs"]}
    assert paid == {"payment"}, "the last step is a payment of all the rest"


def test_audit_tells_where_a_shut_bank_stops_the_vault(vault: Asked) -> None:
    def found() -> set[str]:
        return {each["code"] for each in vault("audit", "v", check=None)["findings"]}

    assert not found() & {"bank_shut", "pin_in_bank"}
    for card, place in (("b", "at-a"), ("c", "at-b"), ("a", "at-c")):
        vault("secret", "add", f"{card}-pin", "--of", card, "--kind", "pin", "--written-at", place)
    assert "pin_in_bank" in found()
    vault("secret", "add", "b-pin", "--of", "b", "--kind", "pin", "--written-at", "at-c")
    assert not found() & {"bank_shut", "pin_in_bank"}
    vault("location", "add", "at-d", "--kind", "bank-vault")
    vault("custody", "record", "card:c", "placed", "--at", "at-d")
    assert "bank_shut" in found()


@pytest.mark.parametrize("way", ["codes", "lines"])
def test_paper_of_an_open_place_is_read_with_a_key(
    vault: Asked, empty: Asked, tmp_path: Path, way: str
) -> None:
    vault("kit", "v", "--out", str(tmp_path / "kit"), "--location", "at-b")
    whole = vault("vault", "show", "v")
    given = "\n".join({"codes": scanned, "lines": typed}[way](tmp_path / "kit"))
    told = empty("recover", "-", "--name", "back", stdin=given, check=2)["error"]["message"]
    assert "--key" in told
    key = ("--key", whole["cosigners"][0]["key"])
    found = empty("recover", "-", "--name", "back", *key, stdin=given)
    assert found["descriptor"] == whole["descriptor"]
    assert "xpubs can write such an encrypted copy" in found["notices"][0]
